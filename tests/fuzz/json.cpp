// Request bodies: each is read whole, or refused with faults whose JSON pointers lead somewhere in it.
#include "api/bodies.hpp"
#include "api/task_json.hpp"
#include "core/utf8.hpp"
#include "fuzz/fuzz.hpp"

#include <boost/json.hpp>

#include <algorithm>
#include <cmath>

namespace scheduler::fuzz {
namespace {

namespace json = boost::json;
using api::ReadOnlyFields;

constexpr std::size_t kFaultsMax = 128;

// RFC 6901: '~' is written ~0 and '/' ~1.
bool is_pointer(std::string_view pointer) {
  if (!pointer.empty() && !pointer.starts_with('/')) return false;
  for (auto at = pointer.find('~'); at != pointer.npos; at = pointer.find('~', at + 1))
    if (at + 1 == pointer.size() || (pointer[at + 1] != '0' && pointer[at + 1] != '1')) return false;
  return true;
}

// The place itself, or for a member that is missing, the object that it is missing from.
bool leads_somewhere(const json::value& document, std::string_view pointer) {
  boost::system::error_code fault;
  const auto found = [&](std::string_view to) { return document.find_pointer({to.data(), to.size()}, fault); };
  if (found(pointer)) return true;
  const auto* around = found(pointer.substr(0, pointer.rfind('/')));
  return around && around->is_object();
}

void check_faults(std::string_view body, const std::vector<FieldError>& faults) {
  MUST(faults.size() <= kFaultsMax, std::to_string(faults.size()));
  boost::system::error_code no_json;
  const auto document = json::parse({body.data(), body.size()}, no_json);
  for (const auto& [pointer, message] : faults) {
    MUST(is_pointer(pointer) && is_utf8(pointer), pointer);
    MUST(!message.empty() && is_utf8(message), message);
    MUST(no_json || leads_somewhere(document, pointer), pointer);
  }
}

template <class T>
bool is_read(std::string_view body, const SchedulerResult<T>& result) {
  if (result) return true;
  MUST(result.error().kind == ErrorKind::Validation, result.error().message);
  MUST(!result.error().message.empty() && is_utf8(result.error().message), result.error().message);
  check_faults(body, result.error().fields);
  return false;
}

std::string written(domain::TaskSpec spec, const std::vector<application::TaskRef>& upstreams) {
  spec.dependencies.clear();
  for (const auto& it : upstreams)
    if (const auto* id = std::get_if<TaskId>(&it)) spec.dependencies.push_back(*id);
  api::JsonWriter writer;
  api::write_task(writer, {.id = {7}, .spec = std::move(spec)});
  return writer.take();
}

// The same but for the last digits of fractions: Boost.JSON 1.81 reads them to within a few units of the last place.
bool is_same(const json::value& a, const json::value& b) {
  constexpr double kTolerance = 1e-14;
  if (a.is_double() && b.is_double()) {
    const auto x = a.get_double(), y = b.get_double();
    return std::abs(x - y) <= kTolerance * std::max(std::abs(x), std::abs(y));
  }
  if (a.is_object() && b.is_object())
    return a.get_object().size() == b.get_object().size() && std::ranges::all_of(a.get_object(), [&](const auto& it) {
             const auto* other = b.get_object().if_contains(it.key());
             return other && is_same(it.value(), *other);
           });
  if (a.is_array() && b.is_array())
    return std::ranges::equal(a.get_array(), b.get_array(),
                              [](const json::value& x, const json::value& y) { return is_same(x, y); });
  return a == b;
}
bool is_same_text(const std::string& a, const std::string& b) {
  return a == b || is_same(json::parse(a), json::parse(b));
}

// What the server shows can be written back, whole or as an empty patch, and means the same.
void check_round_trip(const application::TaskDraft& draft) {
  const auto text = written(draft.spec, draft.dependencies);
  const auto again = api::read_task(text, ReadOnlyFields::ignore);
  MUST(again && again->faults.empty(), text);
  MUST(is_same_text(written(again->spec, again->dependencies), text), text);
  auto spec = again->spec;
  for (const auto& it : again->dependencies) spec.dependencies.push_back(std::get<TaskId>(it));
  const auto patched = api::read_patched_task({.id = {7}, .spec = std::move(spec)}, "{}");
  MUST(patched && patched->faults.empty(), text);
  MUST(is_same_text(written(patched->spec, patched->dependencies), text), text);
}

void check_draft(std::string_view body, const SchedulerResult<application::TaskDraft>& draft) {
  if (!is_read(body, draft)) return;
  check_faults(body, draft->faults);
  for (const auto& it : domain::validate(draft->spec)) MUST(is_pointer(it.pointer) && !it.message.empty(), it.pointer);
  if (draft->faults.empty()) check_round_trip(*draft);
}

// Faults of a patch may lie in what it leads to.
void check_patch(std::string_view body) {
  static const domain::Task task{.id = {7},
                                 .spec = {.name = "nightly",
                                          .task_type = "shell",
                                          .schedule = "0 2 * * *",
                                          .parameters = R"({"command":"true","args":["a"]})",
                                          .labels = {{"team", "data"}}}};
  const auto patched = api::read_patched_task(task, body);
  if (!is_read(body, patched)) return;
  for (const auto& it : patched->faults) MUST(is_pointer(it.pointer) && !it.message.empty(), it.pointer);
  if (patched->faults.empty()) check_round_trip(*patched);
}

}  // namespace
}  // namespace scheduler::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace scheduler;
  using namespace scheduler::fuzz;
  const auto body = as_text(data, size);
  check_draft(body, api::read_task(body, ReadOnlyFields::refuse));
  check_draft(body, api::read_task(body, ReadOnlyFields::ignore));
  check_patch(body);
  is_read(body, api::read_trigger(body));
  is_read(body, api::read_preview(body));
  is_read(body, api::read_nothing(body));
  return 0;
}
