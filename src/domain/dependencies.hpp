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

// How many of the upstream runs that a run waits for have ended, and how.
struct UpstreamTally {
  std::size_t open = 0, succeeded = 0, skipped = 0, failed = 0;  // failed: ended otherwise
  void add(std::optional<RunState> state, std::size_t count = 1);
};

enum class Verdict { wait, run, skip };

// What the rule says of a run now. It runs once everything it waits for has ended, never before; it is skipped as soon
// as nothing that is still open could let it run. A run that waits for nothing runs.
[[nodiscard]] Verdict verdict_of(TriggerRule rule, const UpstreamTally& tally);

// The sentence of a run that is skipped because of this upstream.
[[nodiscard]] std::string why_refused(const UpstreamRun& upstream);

// Whether a task runs after a round in which its upstream runs ended in these (terminal) states; if not it is skipped.
[[nodiscard]] bool runs_after(TriggerRule rule, std::span<const RunState> upstreams);

}  // namespace scheduler::domain
