#include "core/log.hpp"

#include <fmt/format.h>

#include <atomic>
#include <cstdio>

namespace scheduler::log {
namespace {

std::atomic<Level> g_lowest{Level::warning};
std::shared_ptr<Sink> g_sink;  // set once by main before any other thread starts

}  // namespace

void set_sink(std::shared_ptr<Sink> sink, Level lowest) {
  g_sink = std::move(sink);
  g_lowest = lowest;
}

bool enabled(Level level) { return level >= g_lowest.load(std::memory_order_relaxed); }

void write(Level level, std::string_view message, std::initializer_list<Field> fields) {
  if (!enabled(level)) return;
  if (g_sink) return g_sink->write(level, message, {fields.begin(), fields.size()});
  std::string line(message);
  for (const auto& field : fields) line += fmt::format(" {}={}", field.key, field.value);
  std::fprintf(stderr, "%s\n", line.c_str());
}

}  // namespace scheduler::log
