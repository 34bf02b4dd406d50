// domain/run_group.hpp — the shards of one fire, seen as one thing.
//
// A shard that was run again counts with its newest run; the earlier ones are history.
#pragma once

#include "core/enum_names.hpp"
#include "domain/task_run.hpp"

#include <map>
#include <optional>
#include <span>
#include <vector>

namespace scheduler::domain {

// As a whole: while a shard has not ended, running once one of them was dispatched, else waiting. Once all have ended,
// the first of these that a shard ended in: failed, timed_out, cancelled, skipped; succeeded when all did.
enum class GroupState { waiting, running, succeeded, failed, timed_out, cancelled, skipped };
constexpr auto enum_names(GroupState) {
  return std::to_array<std::string_view>(
      {"waiting", "running", "succeeded", "failed", "timed_out", "cancelled", "skipped"});
}

struct RunGroup {
  RunId id;  // of the first run of the fire
  TaskId task;
  GroupState state = GroupState::waiting;
  int shards = 0;
  std::map<RunState, int> by_state;   // states that no shard is in are absent
  std::optional<TimePoint> ended_at;  // when the last one ended; nothing: not all have
  std::vector<TaskRun> runs;          // the newest of each shard, by shard
};

// `runs`: the newest of each shard, by shard; at least one.
[[nodiscard]] RunGroup group_of(std::vector<TaskRun> runs);

// The shards that a retry of the group runs again: failed, timed out or cancelled.
[[nodiscard]] bool is_run_again(RunState state);

}  // namespace scheduler::domain
