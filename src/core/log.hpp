// core/log.hpp — the log facade: one event a line, a constant message and named fields. Who writes it is set by main.
//
//   log::info("run ended", {{"run", run.value}, {"state", "succeeded"}});
//
// Until a sink is set, warnings and errors go to standard error and the rest is dropped. Safe from any thread.
#pragma once

#include <array>
#include <concepts>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace scheduler::log {

enum class Level { debug, info, warning, error };
constexpr auto enum_names(Level) { return std::to_array<std::string_view>({"debug", "info", "warning", "error"}); }

struct Field {
  std::string_view key;
  std::string value;
  Field(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  Field(std::string_view k, std::string_view v) : key(k), value(v) {}
  Field(std::string_view k, const char* v) : key(k), value(v) {}
  Field(std::string_view k, std::integral auto v) : key(k), value(std::to_string(v)) {}
};

// Implementations must be thread-safe and must not throw.
class Sink {
 public:
  virtual ~Sink() = default;
  virtual void write(Level level, std::string_view message, std::span<const Field> fields) = 0;
};

void set_sink(std::shared_ptr<Sink> sink, Level lowest);
[[nodiscard]] bool enabled(Level level);
void write(Level level, std::string_view message, std::initializer_list<Field> fields);

inline void debug(std::string_view message, std::initializer_list<Field> fields = {}) {
  if (enabled(Level::debug)) write(Level::debug, message, fields);
}
inline void info(std::string_view message, std::initializer_list<Field> fields = {}) {
  if (enabled(Level::info)) write(Level::info, message, fields);
}
inline void warning(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::warning, message, fields);
}
inline void error(std::string_view message, std::initializer_list<Field> fields = {}) {
  write(Level::error, message, fields);
}

}  // namespace scheduler::log
