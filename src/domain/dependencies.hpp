// domain/dependencies.hpp — tasks that run after other tasks: the graph they form, and when a round is complete.
//
// A round of a task is one ended run of each of its upstreams, taken in the order in which they ended.
#pragma once

#include "domain/task.hpp"
#include "domain/task_run.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace scheduler::domain {

// What a run waits or waited for: a run of an upstream task, or the one of that task's fire time.
struct UpstreamRun {
  TaskId task;
  std::string task_name;          // as it is now; filled when read
  std::optional<TimePoint> slot;  // the upstream's fire time, where that is what the run waits for
  std::optional<RunId> run;       // nothing: there is none yet, or the fire time made none
  std::optional<RunState> state;  // how it ended, a terminal one; nothing: it has not
  bool operator==(const UpstreamRun&) const = default;
};

using DependencyGraph = std::map<TaskId, std::vector<TaskId>>;  // task -> its upstreams

// A cycle through `start`, as the path start, …, start; nothing when there is none. O(tasks + edges), no recursion.
[[nodiscard]] std::optional<std::vector<TaskId>> find_cycle(const DependencyGraph& graph, TaskId start);

// Whether a task runs after a round in which its upstream runs ended in these (terminal) states; if not it is skipped.
[[nodiscard]] bool runs_after(TriggerRule rule, std::span<const RunState> upstreams);

}  // namespace scheduler::domain
