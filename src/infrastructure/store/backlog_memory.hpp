// infrastructure/store/backlog_memory.hpp — how many runs of a task nobody has begun, where it need not be counted
// again.
//
// Counting a backlog costs as much as it is long. So a count is good for a second, with what this process has inserted
// since on top: a task's max_queued_runs may be exceeded by what others insert within that second, and no more. Below
// kAlwaysCounted it is cheap, and exact.
#pragma once

#include "core/ids.hpp"
#include "core/time.hpp"

#include <cstdint>
#include <optional>
#include <unordered_map>

namespace scheduler::infrastructure {

class BacklogMemory {
 public:
  static constexpr std::int64_t kAlwaysCounted = 1000;

  // Nothing: count it. `max`: the task's max_queued_runs.
  [[nodiscard]] std::optional<std::int64_t> recall(TaskId task, std::int64_t max, TimePoint now) const {
    const auto found = known_.find(task);
    if (max <= kAlwaysCounted || found == known_.end()) return std::nullopt;
    const auto age = now - found->second.at;
    if (age < Micros{0} || age >= Seconds{1}) return std::nullopt;
    return found->second.count;
  }
  void keep(TaskId task, std::int64_t count, TimePoint now) {
    if (known_.size() >= kTasksMax) known_.clear();
    known_[task] = {count, now};
  }
  // Also where the transaction fails after all: a second later it is forgotten.
  void add(TaskId task, std::int64_t runs) {
    if (const auto found = known_.find(task); found != known_.end()) found->second.count += runs;
  }

 private:
  static constexpr std::size_t kTasksMax = 10'000;
  struct Count {
    std::int64_t count = 0;
    TimePoint at{};
  };
  std::unordered_map<TaskId, Count> known_;
};

}  // namespace scheduler::infrastructure
