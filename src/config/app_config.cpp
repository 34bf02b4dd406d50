#include "config/app_config.hpp"

#include "config/bind_address.hpp"
#include "config/broker_url.hpp"
#include "config/settings.hpp"
#include "config/toml_reader.hpp"
#include "core/utf8.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

extern char** environ;  // NOLINT: POSIX declares it nowhere

namespace scheduler::config {
namespace {

constexpr std::string_view kPrefix = "SCHEDULER_";
constexpr std::string_view kSqlite = "sqlite:";
constexpr std::size_t kFileBytesMax = 1 << 20;

// What load_config has gathered: the settings so far, who set each, and every fault, one a line.
struct Draft {
  AppConfig config;
  std::map<std::string, std::string, std::less<>> set_by;  // key -> "config/scheduler.toml:12"
  std::vector<std::string> faults;

  // One line each: a quoted key may hold anything, line ends too.
  void fault(std::string_view where, std::string_view key, std::string_view what) {
    const auto line = key.empty() ? fmt::format("{}: {}", where, what) : fmt::format("{}: {}: {}", where, key, what);
    faults.push_back(with_hidden_escaped(line));
  }
  // A fault of a value, whoever set it.
  void fault_of(const std::string& key, std::string_view what) {
    const auto it = set_by.find(key);
    fault(it == set_by.end() ? "default" : it->second, key, what);
  }
  void set(const std::string& where, const Setting& setting, const Value& value) {
    if (const auto done = assign(config, setting, value); !done) return fault(where, setting.key, done.error());
    set_by[std::string(setting.key)] = where;
  }
  void set_text(const std::string& where, const Setting& setting, std::string_view text) {
    if (const auto value = value_from_text(setting, text); !value)
      fault(where, setting.key, value.error());
    else
      set(where, setting, *value);
  }
};

std::expected<std::string, std::string> read_file(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  if (!file || !(text << file.rdbuf())) {  // an empty file fails the second test without an errno
    if (errno != 0 || !file) return std::unexpected(std::strerror(errno == 0 ? EIO : errno));
  }
  if (text.view().size() > kFileBytesMax) return std::unexpected("it is larger than 1 MiB");
  return std::move(text).str();
}

void apply_file(const std::string& path, Draft& draft) {
  const auto text = read_file(path);
  if (!text)
    return draft.fault(
        path, "",
        fmt::format("cannot be read: {}; name a file that exists, or none to use the defaults", text.error()));
  const auto entries = read_toml(*text, path);
  if (!entries) return draft.faults.push_back(with_hidden_escaped(entries.error().message));
  for (const auto& entry : *entries) {
    const auto where = fmt::format("{}:{}", path, entry.line);
    if (const auto* setting = find_setting(entry.key))
      draft.set(where, *setting, entry.value);
    else if (std::holds_alternative<std::map<std::string, std::string>>(entry.value))
      draft.fault(where, entry.key, "is not a table of the settings" + table_hint(entry.key));
    else
      draft.fault(where, entry.key, "is not a setting" + setting_hint(entry.key));
  }
}

// SCHEDULER_DATABASE__URL -> database.url
std::string key_of_variable(std::string_view name) {
  std::string key;
  for (name.remove_prefix(kPrefix.size()); !name.empty();) {
    const bool level = name.starts_with("__");
    key += level ? '.' : static_cast<char>(std::tolower(static_cast<unsigned char>(name.front())));
    name.remove_prefix(level ? 2 : 1);
  }
  return key;
}

// Only these can be settings: the variables given to tasks (SCHEDULER_RUN_ID, …) have no double underscore.
bool is_setting_variable(std::string_view name) {
  return name.starts_with(kPrefix) && (name.contains("__") || name == "SCHEDULER_DATA_DIR");
}

void apply_variable(const std::string& name, const std::string& value, Draft& draft,
                    const std::map<std::string, std::string>& environment) {
  const auto where = "environment " + name;
  const auto key = key_of_variable(name);
  if (const auto* setting = find_setting(key)) return draft.set_text(where, *setting, value);
  const auto* from_file =
      key.ends_with("_file") ? find_setting(std::string_view(key).substr(0, key.size() - 5)) : nullptr;
  if (!from_file) return draft.fault(where, key, "is not a setting" + setting_hint(key));
  if (const auto plain = name.substr(0, name.size() - 5); environment.contains(plain))
    return draft.fault(where, from_file->key, fmt::format("{} is set as well; keep one of the two", plain));
  auto text = read_file(value);
  if (!text) return draft.fault(where, from_file->key, fmt::format("'{}' cannot be read: {}", value, text.error()));
  while (text->ends_with('\n') || text->ends_with('\r')) text->pop_back();
  draft.set_text(where, *from_file, *text);
}

// The text of a URL may hold a password, so no message repeats it.
void check_database(Draft& draft) {
  const auto& url = draft.config.database.url;
  if (url.empty()) return;
  if (is_postgres(url)) {
    // libpq would read the password as host and port, and say it in its error.
    const auto host = std::string_view(url).substr(url.find("://") + 3);
    if (const auto end = host.find_first_of("/?#"); end != host.npos && !host.substr(0, end).contains('@') &&
                                                    host.substr(end, host.find('=', end) - end).contains('@'))
      draft.fault_of("database.url", "has a '/', '?' or '#' in its user or password; write them as %2F, %3F and %23");
    return;
  }
  if (!url.starts_with(kSqlite) || url.size() == kSqlite.size() || url.starts_with("sqlite://"))
    draft.fault_of("database.url",
                   "must be sqlite:PATH, for example sqlite:/var/lib/scheduler/scheduler.db, or "
                   "postgresql://USER:PASSWORD@HOST:PORT/DATABASE");
}

bool is_name(std::string_view name, std::size_t most) {
  return name.size() <= most && std::ranges::all_of(name, [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
                  c == '-';
         });
}

void check_queue(Draft& draft) {
  const auto& queue = draft.config.message_queue;
  if (queue.prefix.empty() || !is_name(queue.prefix, 64))
    draft.fault_of("message_queue.prefix", "must be 1 to 64 letters, digits, '.', '_' or '-'");
  if (queue.type == "embedded" && !queue.url.empty())
    draft.fault_of("message_queue.url",
                   "is of no use to the embedded queue; set message_queue.type to rabbitmq or redis_stream, or "
                   "leave the url out");
  if (queue.type == "embedded") return;
  const auto url = queue.type == "rabbitmq" ? parse_amqp_url(queue.url) : parse_redis_url(queue.url);
  if (!url) draft.fault_of("message_queue.url", url.error().message);
}

// Rules that need more than one key, or more than a range.
void cross_check(Draft& draft) {
  const auto& config = draft.config;
  if (config.data_dir.empty()) draft.fault_of("data_dir", "is empty; name a directory, for example ./data");
  if (const auto address = parse_bind_address(config.api.bind_address); !address)
    draft.fault_of("api.bind_address", address.error().message);
  check_database(draft);
  check_queue(draft);
  if (!is_name(config.worker.worker_id, 128))
    draft.fault_of("worker.worker_id",
                   "must be up to 128 letters, digits, '.', '_' or '-'; empty means the host's name");
  if (config.worker.worker_id == "stats")
    draft.fault_of("worker.worker_id", "'stats' names something else at /api/workers; choose another");
  const int beat = config.worker.heartbeat_interval_seconds;
  // Both live in one file even where the worker runs elsewhere; one lost heartbeat must not kill a worker.
  if (config.dispatcher.worker_timeout_seconds <= 2 * beat)
    draft.fault_of("dispatcher.worker_timeout_seconds",
                   fmt::format("{} must be more than two heartbeats (worker.heartbeat_interval_seconds is {}); use at "
                               "least {}, or a shorter heartbeat",
                               config.dispatcher.worker_timeout_seconds, beat, 2 * beat + 1));
}

}  // namespace

SchedulerResult<AppConfig> AppConfig::load(const std::string& path) {
  return load_config(path, scheduler_environment(), {});
}

SchedulerResult<AppConfig> load_config(const std::string& path, const std::map<std::string, std::string>& environment,
                                       const std::map<std::string, std::string>& overrides) {
  Draft draft;
  if (!path.empty()) apply_file(path, draft);
  for (const auto& [name, value] : environment)
    if (is_setting_variable(name)) apply_variable(name, value, draft, environment);
  for (const auto& [key, value] : overrides) {
    if (const auto* setting = find_setting(key))
      draft.set_text("command line", *setting, value);
    else
      draft.fault("command line", key, "is not a setting" + setting_hint(key));
  }
  cross_check(draft);
  if (!draft.faults.empty()) return fail(ErrorKind::Config, fmt::format("{}", fmt::join(draft.faults, "\n")));
  return std::move(draft.config);
}

std::map<std::string, std::string> scheduler_environment() {
  std::map<std::string, std::string> found;
  for (char** it = environ; it && *it; ++it) {
    const std::string_view line(*it);
    const auto equals = line.find('=');
    if (equals != line.npos && line.starts_with(kPrefix))
      found.emplace(line.substr(0, equals), line.substr(equals + 1));
  }
  return found;
}

std::string store_url(const AppConfig& config) {
  return config.database.url.empty() ? fmt::format("{}{}/scheduler.db", kSqlite, config.data_dir) : config.database.url;
}

bool is_postgres(std::string_view url) { return url.starts_with("postgresql://") || url.starts_with("postgres://"); }

}  // namespace scheduler::config
