#include "infrastructure/executors/upstream_values.hpp"

#include "core/json_reader.hpp"
#include "domain/upstream_reference.hpp"

#include <fmt/format.h>

#include <charconv>

namespace scheduler::infrastructure {
namespace {

using domain::UpstreamReference;

constexpr std::size_t kUpstreamDepthMax = kJsonDepthMax + 8;  // outputs stand a few levels down
constexpr std::size_t kInsertedBytesMax = 4 << 20;            // into all texts of one attempt together

std::unexpected<SchedulerError> refuse(const UpstreamReference& reference, std::string_view why) {
  return fail(ErrorKind::Validation, fmt::format("{}: {}", to_text(reference), why));
}

const json::value* step(const json::value& from, std::string_view key) {
  if (const auto* object = from.if_object()) return object->if_contains(key);
  const auto* list = from.if_array();
  if (list == nullptr) return nullptr;
  std::size_t index = 0;
  const auto [end, fault] = std::from_chars(key.data(), key.data() + key.size(), index);
  const bool is_index = fault == std::errc{} && end == key.data() + key.size();
  return is_index && index < list->size() ? &(*list)[index] : nullptr;
}

std::string names_of(const json::object& tasks) {
  std::string names;
  for (const auto& [name, run] : tasks)
    names.append(names.empty() ? "" : ", ").append(quote_word(std::string_view(name.data(), name.size())));
  return names;
}

// What the upstream runs of one run left.
class UpstreamValues {
 public:
  static SchedulerResult<UpstreamValues> parse(const std::optional<std::string>& text) {
    UpstreamValues values;
    if (!text) return values;
    json::parse_options options;
    options.max_depth = kUpstreamDepthMax;
    boost::system::error_code fault;
    auto parsed = json::parse(*text, fault, {}, options);
    if (fault || !parsed.is_object())
      return fail(ErrorKind::Validation, "what the upstream runs left cannot be read: it is no JSON object");
    values.tasks_ = std::move(parsed.get_object());
    return values;
  }

  // `text` with the values in the place of its references.
  [[nodiscard]] SchedulerResult<std::string> expand(std::string_view text) {
    TRY(const auto parts, domain::parse_references(text));
    std::string expanded;
    for (const auto& part : parts) {
      if (const auto* literal = std::get_if<std::string>(&part)) {
        expanded += *literal;
        continue;
      }
      const auto& reference = std::get<UpstreamReference>(part);
      TRY(const auto value, text_of(reference));
      inserted_ += value.size();
      if (inserted_ > kInsertedBytesMax)
        return refuse(reference,
                      fmt::format("with it, more than {} bytes would be inserted; hand over the data elsewhere",
                                  kInsertedBytesMax));
      expanded += value;
    }
    return expanded;
  }

 private:
  [[nodiscard]] SchedulerResult<std::string> text_of(const UpstreamReference& reference) const {
    TRY(const auto* value, output_of(reference));
    for (const auto& key : reference.path) {
      value = step(*value, key);
      if (value == nullptr) return refuse(reference, fmt::format("the output has no {} there", quote_word(key)));
    }
    if (const auto* text = value->if_string()) return std::string(text->data(), text->size());
    if (const auto* number = value->if_double()) return fmt::format("{}", *number);  // 0.5, not 5E-1
    if (value->is_number() || value->is_bool()) return json::serialize(*value);
    return refuse(reference, fmt::format("it is {}, and only texts, numbers and booleans can be inserted",
                                         value->is_null()    ? "null"
                                         : value->is_array() ? "a list"
                                                             : "an object"));
  }

  [[nodiscard]] SchedulerResult<const json::value*> output_of(const UpstreamReference& reference) const {
    const auto* run = tasks_.if_contains(reference.task);
    if (run == nullptr && tasks_.empty()) return refuse(reference, "this run waited for no upstream run");
    if (run == nullptr)
      return refuse(reference, fmt::format("this run waited for no run of that task, but for {}", names_of(tasks_)));
    if (const auto* several = step(*run, "runs"); several != nullptr && several->is_array())
      return refuse(reference, fmt::format("this run waited for {} runs of that task, and it does not say which; "
                                           "SCHEDULER_UPSTREAM_FILE holds them all",
                                           several->get_array().size()));
    const auto* output = step(*run, "output");
    if (output != nullptr && output->is_object()) return output;
    const auto *id = step(*run, "run_id"), *state = step(*run, "state");
    return refuse(reference, fmt::format("run {} left no output; it ended {}", id ? json::serialize(*id) : "?",
                                         state && state->is_string() ? std::string_view(state->get_string()) : "?"));
  }

  json::object tasks_;
  std::size_t inserted_ = 0;
};

SchedulerResult<void> expand_into(std::string& text, UpstreamValues& values, std::string_view prefix = {}) {
  TRY(text, values.expand(text));
  auto fault = process_text_fault(std::string(prefix) + text);
  if (fault.empty()) return {};
  return fail(ErrorKind::Validation, "with the upstream's output in it, a text " + std::move(fault));
}

SchedulerResult<void> expand_all(std::vector<std::string>& texts, UpstreamValues& values) {
  for (auto& text : texts) CHECK(expand_into(text, values));
  return {};
}

SchedulerResult<void> expand_all(EnvironmentOverrides& environment, UpstreamValues& values) {
  for (auto& [name, text] : environment) CHECK(expand_into(text, values, name + "="));
  return {};
}

SchedulerResult<void> expand_json(json::value& value, UpstreamValues& values) {
  if (auto* text = value.if_string()) {
    TRY(const auto expanded, values.expand({text->data(), text->size()}));
    *text = expanded;
  } else if (auto* object = value.if_object()) {
    for (auto& [key, item] : *object) CHECK(expand_json(item, values));
  } else if (auto* list = value.if_array()) {
    for (auto& item : *list) CHECK(expand_json(item, values));
  }
  return {};
}

SchedulerResult<void> expand_body(HttpBody& body, UpstreamValues& values) {
  if (body.is_json) {
    TRY(auto value, parse_json(body.text));
    CHECK(expand_json(value, values));
    body.text = json::serialize(value);
  } else {
    TRY(body.text, values.expand(body.text));
  }
  return {};
}

// Most tasks name no upstream: nothing of it is read for them.
bool is_marked(std::string_view text) { return text.contains("${upstream."); }
bool is_marked(const EnvironmentOverrides& environment) {
  return std::ranges::any_of(environment, [](const auto& it) { return is_marked(it.second); });
}
bool is_marked(const std::vector<std::string>& texts) {
  return std::ranges::any_of(texts, [](const std::string& it) { return is_marked(std::string_view(it)); });
}

}  // namespace

SchedulerResult<void> insert_upstream_values(ShellParameters& into, const std::optional<std::string>& upstream) {
  if (!is_marked(into.environment) && !(into.args && is_marked(*into.args))) return {};
  TRY(auto values, UpstreamValues::parse(upstream));
  if (into.args) CHECK(expand_all(*into.args, values));
  return expand_all(into.environment, values);
}

SchedulerResult<void> insert_upstream_values(PythonParameters& into, const std::optional<std::string>& upstream) {
  if (!is_marked(into.environment) && !is_marked(into.arguments)) return {};
  TRY(auto values, UpstreamValues::parse(upstream));
  CHECK(expand_all(into.arguments, values));
  return expand_all(into.environment, values);
}

SchedulerResult<void> insert_upstream_values(HttpParameters& into, const std::optional<std::string>& upstream) {
  if (!into.body || !is_marked(std::string_view(into.body->text))) return {};
  TRY(auto values, UpstreamValues::parse(upstream));
  return expand_body(*into.body, values);
}

}  // namespace scheduler::infrastructure
