#include "config/settings.hpp"

#include "core/suggest.hpp"
#include "core/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace scheduler::config {
namespace {

constexpr std::string_view kQueueTypes[] = {"embedded", "rabbitmq", "redis_stream"};
constexpr std::string_view kStrategies[] = {"round_robin", "least_loaded", "task_type_affinity", "random", "composite"};
constexpr std::string_view kTaskTypes[] = {"http", "noop", "python", "shell"};
constexpr std::string_view kLevels[] = {"debug", "info", "warning", "error"};
constexpr std::string_view kFormats[] = {"pretty", "json"};

#define IN(member) [](AppConfig& c) -> auto& { return c.member; }
const Setting kSettings[] = {
    {"data_dir", Text{IN(data_dir)}, "Where the database and other state live; made when it is missing."},

    {"api.enabled", Flag{IN(api.enabled)}, "Serve the REST API and the dashboard."},
    {"api.bind_address", Text{IN(api.bind_address)},
     "host:port; 0.0.0.0 or [::] for every interface. Port 0 takes any free one."},
    {"api.trusted_proxies", Text{IN(api.trusted_proxies)},
     "Proxies whose X-Forwarded-For is believed: addresses and networks, like \"10.0.0.0/8, ::1\"."},
    {"api.requests_per_second", Number{IN(api.requests_per_second), 0, 1'000'000},
     "Of one account, and twice as many at once; one address has four times as many. 0: no limit."},

    {"auth.bootstrap_admin_name", Text{IN(auth.bootstrap_admin_name)},
     "Of the first account, where the password below is given."},
    {"auth.bootstrap_admin_password", Text{.in = IN(auth.bootstrap_admin_password), .secret = true},
     "Makes the first account at the first start; better as SCHEDULER_AUTH__BOOTSTRAP_ADMIN_PASSWORD_FILE."},

    {"database.url", Text{IN(database.url)},
     "sqlite:PATH or postgresql://USER:PASSWORD@HOST:PORT/DATABASE; empty means sqlite:<data_dir>/scheduler.db."},
    {"database.max_connections", Number{IN(database.max_connections), 0, 64},
     "SQLite: readers beside the one writer; PostgreSQL: connections of this process. 0 chooses."},

    {"message_queue.type", Text{IN(message_queue.type), kQueueTypes},
     "What carries work to the workers; embedded means inside this process."},
    {"message_queue.url", Text{IN(message_queue.url)},
     "Where the broker is: amqp://[USER:PASSWORD@]HOST[:PORT][/VHOST], redis://[[USER]:PASSWORD@]HOST[:PORT][/DB]."},
    {"message_queue.prefix", Text{IN(message_queue.prefix)},
     "Begins the names of our queues at the broker; schedulers with different databases need different ones."},

    {"dispatcher.enabled", Flag{IN(dispatcher.enabled)}, "Fire schedules and hand runs to workers."},
    {"dispatcher.strategy", Text{IN(dispatcher.strategy), kStrategies}, "How the worker for a run is chosen."},
    {"dispatcher.worker_timeout_seconds", Number{IN(dispatcher.worker_timeout_seconds), 2, 3600},
     "Silence after which a worker is dead and its runs are rescued; more than two heartbeats."},
    {"dispatcher.priority_aging_seconds", Number{IN(dispatcher.priority_aging_seconds), 0, 86400},
     "A due run that has waited so long counts as one priority level higher; 0 turns that off."},

    {"worker.enabled", Flag{IN(worker.enabled)}, "Execute runs in this process."},
    {"worker.worker_id", Text{IN(worker.worker_id)}, "Unique name of this worker; empty means the host's name."},
    {"worker.slots", Number{IN(worker.slots), 1, 4096}, "Attempts that run at the same time."},
    {"worker.task_types", WordList{IN(worker.task_types), kTaskTypes}, "What this worker executes."},
    {"worker.heartbeat_interval_seconds", Number{IN(worker.heartbeat_interval_seconds), 1, 600},
     "How often the worker says that it is alive."},
    {"worker.drain_timeout_seconds", Number{IN(worker.drain_timeout_seconds), 0, 86400},
     "How long a stop waits for attempts that still run."},
    {"worker.kill_grace_seconds", Number{IN(worker.kill_grace_seconds), 0, 300},
     "Between SIGTERM and SIGKILL when an attempt is stopped."},
    {"worker.labels", LabelMap{IN(worker.labels)}, "Tasks may ask for a worker that bears certain labels."},

    {"log.level", Text{IN(log.level), kLevels}, "The least important lines that are written."},
    {"log.format", Text{IN(log.format), kFormats}, "For people, or one JSON object a line for machines."},
};
#undef IN

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

std::string list_words(std::span<const std::string_view> words) {
  std::string all;
  for (std::size_t i = 0; i < words.size(); ++i)
    all.append(i == 0 ? "" : i + 1 == words.size() ? " or " : ", ").append(words[i]);
  return all;
}

bool is_known(std::string_view word, std::span<const std::string_view> words) {
  return std::ranges::find(words, word) != words.end();
}

bool has_control(std::string_view text) {
  return std::ranges::any_of(text, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

bool is_label_word(std::string_view word) {
  constexpr std::string_view kOthers = "._-/";
  return word.size() <= 63 && std::ranges::all_of(word, [&](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || kOthers.contains(c);
         });
}

std::string kind_of(const Value& value) {
  return std::visit(Overloaded{[](bool) -> std::string { return "true or false"; },
                               [](std::int64_t) -> std::string { return "a number"; },
                               [](const std::string&) -> std::string { return "text"; },
                               [](const std::vector<std::string>&) -> std::string { return "a list"; },
                               [](const std::map<std::string, std::string>&) -> std::string { return "a table"; },
                               [](const Foreign& it) { return it.kind; }},
                    value);
}

std::unexpected<std::string> wrong_kind(std::string_view expected, const Value& value) {
  return std::unexpected(fmt::format("must be {}, not {}", expected, kind_of(value)));
}

std::unexpected<std::string> unknown_word(std::string_view word, std::span<const std::string_view> words) {
  const auto best = nearest(word, words);
  return std::unexpected(fmt::format("'{}' is not known; use {}{}", word.substr(0, 64), list_words(words),
                                     best.empty() ? "" : fmt::format(" (did you mean '{}'?)", best)));
}

std::expected<void, std::string> set(AppConfig& config, const Flag& flag, const Value& value) {
  const auto* on = std::get_if<bool>(&value);
  if (!on) return wrong_kind("true or false", value);
  flag.in(config) = *on;
  return {};
}

std::expected<void, std::string> set(AppConfig& config, const Number& number, const Value& value) {
  const auto* n = std::get_if<std::int64_t>(&value);
  if (!n) return wrong_kind(fmt::format("a whole number from {} to {}", number.min, number.max), value);
  if (*n < number.min || *n > number.max)
    return std::unexpected(
        fmt::format("{} is out of range; use a whole number from {} to {}", *n, number.min, number.max));
  number.in(config) = static_cast<int>(*n);
  return {};
}

std::expected<void, std::string> set(AppConfig& config, const Text& text, const Value& value) {
  const auto* word = std::get_if<std::string>(&value);
  if (!word) return wrong_kind("text in quotes", value);
  if (!text.words.empty() && !is_known(*word, text.words)) return unknown_word(*word, text.words);
  if (text.secret && word->empty()) return std::unexpected("is empty; give it a value, or leave it out");
  if (has_control(*word)) return std::unexpected("must not hold control characters; remove them");
  text.in(config) = *word;
  return {};
}

std::expected<void, std::string> set(AppConfig& config, const WordList& list, const Value& value) {
  const auto* words = std::get_if<std::vector<std::string>>(&value);
  if (!words) return wrong_kind("a list of texts, like [\"shell\"]", value);
  if (words->empty()) return std::unexpected(fmt::format("is empty; name at least one of {}", list_words(list.words)));
  for (const auto& word : *words) {
    if (!is_known(word, list.words)) return unknown_word(word, list.words);
    if (std::ranges::count(*words, word) > 1)
      return std::unexpected(fmt::format("names '{}' twice; name it once", word));
  }
  list.in(config) = *words;
  return {};
}

std::expected<void, std::string> set(AppConfig& config, const LabelMap& labels, const Value& value) {
  const auto* map = std::get_if<std::map<std::string, std::string>>(&value);
  if (!map) return wrong_kind("a table of texts, like {zone = \"a\"}", value);
  if (map->size() > 32) return std::unexpected(fmt::format("has {} labels; at most 32 are allowed", map->size()));
  for (const auto& [key, word] : *map)
    if (key.empty() || !is_label_word(key) || !is_label_word(word))
      return std::unexpected(
          fmt::format("'{}' = '{}' is not a label; keys and values are up to 63 letters, digits, '.', '_', '-' or '/', "
                      "keys not empty",
                      with_hidden_escaped(key.substr(0, 64)), with_hidden_escaped(word.substr(0, 64))));
  labels.in(config) = *map;
  return {};
}

std::vector<std::string> split_commas(std::string_view text) {
  std::vector<std::string> parts;
  while (!text.empty()) {
    const auto comma = std::min(text.find(','), text.size());
    auto part = text.substr(0, comma);
    part.remove_prefix(std::min(part.find_first_not_of(' '), part.size()));
    part.remove_suffix(part.size() - (part.find_last_not_of(' ') + 1));
    parts.emplace_back(part);
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return parts;
}

constexpr std::string_view kWhereAllAre = "; scheduler-cli config example lists every setting";

std::string_view last_word(std::string_view key) { return key.substr(key.rfind('.') + 1); }

}  // namespace

std::span<const Setting> settings() { return kSettings; }

const Setting* find_setting(std::string_view key) {
  const auto* it = std::ranges::find(kSettings, key, &Setting::key);
  return it == std::end(kSettings) ? nullptr : it;
}

std::vector<std::string_view> setting_tables() {
  std::vector<std::string_view> tables;
  for (const auto& setting : kSettings)
    if (const auto dot = setting.key.rfind('.'); dot != setting.key.npos)
      if (const auto table = setting.key.substr(0, dot); tables.empty() || tables.back() != table)
        tables.push_back(table);
  return tables;
}

std::string setting_hint(std::string_view unknown_key) {
  std::vector<std::string_view> keys, words;
  for (const auto& setting : kSettings) {
    keys.push_back(setting.key);
    words.push_back(last_word(setting.key));
  }
  if (const auto best = nearest(unknown_key, keys); !best.empty()) return fmt::format("; did you mean '{}'?", best);
  // A right word in the wrong table.
  if (const auto best = nearest(last_word(unknown_key), words); !best.empty())
    return fmt::format("; did you mean '{}'?", keys[std::ranges::find(words, best) - words.begin()]);
  return std::string(kWhereAllAre);
}

std::string table_hint(std::string_view unknown_table) {
  auto tables = setting_tables();
  for (const auto& setting : kSettings)
    if (std::holds_alternative<LabelMap>(setting.shape)) tables.push_back(setting.key);  // written as a table, too
  const auto best = nearest(unknown_table, tables);
  return best.empty() ? std::string(kWhereAllAre) : fmt::format("; did you mean [{}]?", best);
}

std::expected<void, std::string> assign(AppConfig& config, const Setting& setting, const Value& value) {
  return std::visit([&](const auto& shape) { return set(config, shape, value); }, setting.shape);
}

std::expected<Value, std::string> value_from_text(const Setting& setting, std::string_view text) {
  using Result = std::expected<Value, std::string>;
  return std::visit(Overloaded{[&](const Flag&) -> Result {
                                 if (text == "true") return true;
                                 if (text == "false") return false;
                                 return std::unexpected(fmt::format("'{}' must be true or false", text.substr(0, 64)));
                               },
                               [&](const Number& number) -> Result {
                                 std::int64_t n = 0;
                                 const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), n);
                                 if (fault != std::errc{} || end != text.data() + text.size())
                                   return std::unexpected(fmt::format("'{}' must be a whole number from {} to {}",
                                                                      text.substr(0, 64), number.min, number.max));
                                 return n;
                               },
                               [&](const Text&) -> Result { return std::string(text); },
                               [&](const WordList&) -> Result { return split_commas(text); },
                               [&](const LabelMap&) -> Result {
                                 std::map<std::string, std::string> labels;
                                 for (const auto& part : split_commas(text)) {
                                   const auto equals = part.find('=');
                                   if (equals == part.npos)
                                     return std::unexpected(fmt::format(
                                         "'{}' must be written as key=value, for example zone=a,disk=ssd", part));
                                   labels[part.substr(0, equals)] = part.substr(equals + 1);
                                 }
                                 return labels;
                               }},
                    setting.shape);
}

std::string allowed_values(const Setting& setting) {
  return std::visit(Overloaded{[](const Flag&) -> std::string { return {}; },
                               [](const Number& number) { return fmt::format("{} to {}", number.min, number.max); },
                               [](const Text& text) { return list_words(text.words); },
                               [](const WordList& list) { return list_words(list.words); },
                               [](const LabelMap&) -> std::string { return {}; }},
                    setting.shape);
}

}  // namespace scheduler::config
