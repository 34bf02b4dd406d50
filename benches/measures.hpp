// benches/measures.hpp — what is measured in every shape: a backlog of no-ops, one trigger at a time, many fires at
// once.
#pragma once

#include "parts.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace scheduler {

[[nodiscard]] double percentile(std::vector<double> values, double p);
[[nodiscard]] inline double median(std::vector<double> values) { return percentile(std::move(values), 0.5); }

// "| what | seen | goal |"
void row(std::string_view what, std::string_view seen, std::string_view goal);

struct Backlog {
  double insert_seconds = 0;
  double drain_seconds = 0;  // from the first start to the last committed end
  [[nodiscard]] double cycle_seconds() const { return insert_seconds + drain_seconds; }
};
// `runs` no-ops are inserted 1,000 at a time while no worker is there; then one comes. A multiple of 2,000.
[[nodiscard]] Backlog measure_backlog(const Shape& shape, int runs);

// From the call that triggers a run to its start, one at a time, everything idle. Milliseconds.
[[nodiscard]] std::vector<double> measure_trigger_latency(const Shape& shape, int times);

struct Lateness {
  std::vector<double> ms;  // from the slot to the start
  std::int64_t expected = 0;
};
// Schedules that fire every second.
[[nodiscard]] Lateness measure_steady_fires(const Shape& shape, int schedules, int seconds);
// Schedules that fire once, all at the same instant. `clone` makes `count` more tasks like the one that it is given.
[[nodiscard]] Lateness measure_burst(const Shape& shape, int schedules,
                                     const std::function<void(TaskId like, int count)>& clone);

}  // namespace scheduler
