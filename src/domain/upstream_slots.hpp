// domain/upstream_slots.hpp — what a run of a schedule waits for, and what it does once that has ended.
//
// The interval rule: the run for slot S waits for every slot of an upstream task in (its own previous slot, S]; where
// there is none, for the upstream's last slot up to S. So a daily task waits for the 24 runs of an hourly one, and an
// hourly one uses today's run of a daily one. Slots from before the upstream's schedule was written are its own past
// and are not waited for. An upstream without a schedule counts with its latest run, where that has ended since the
// previous slot, else with the next one that ends.
#pragma once

#include "domain/dependencies.hpp"
#include "domain/schedule.hpp"
#include "domain/task.hpp"
#include "domain/task_run.hpp"

#include <optional>
#include <span>
#include <vector>

namespace scheduler::domain {

struct UpstreamSchedule {
  TaskId task;
  std::optional<Schedule> schedule;  // nothing: it has none
  TimePoint since{};                 // slots up to here are none of the schedule's
  bool unreadable = false;           // it has one that names no slots any more, as its zone has left the host
};

// One thing that a run waits for.
struct AwaitedRun {
  TaskId task;
  std::optional<TimePoint> slot;  // nothing: a run without a slot, of those that ended after `ended_since` the latest
  TimePoint ended_since{};
  bool never = false;  // the upstream names no slot that the run could wait for: as good as skipped
  bool operator==(const AwaitedRun&) const = default;
};

// A run waits for no more than so many others. A task runs daily after one that runs each minute, but not each second.
inline constexpr std::size_t kAwaitedRunsMax = 10'000;

// In the order of `upstreams`, each one's slots oldest first. Longer than kAwaitedRunsMax: there are more than that.
[[nodiscard]] std::vector<AwaitedRun> awaited_runs(const Schedule& schedule, TimePoint slot,
                                                   std::span<const UpstreamSchedule> upstreams);

}  // namespace scheduler::domain
