#include "domain/run_group.hpp"

#include <algorithm>
#include <array>

namespace scheduler::domain {
namespace {

GroupState state_of(const std::map<RunState, int>& by_state) {
  const auto any = [&](RunState state) { return by_state.contains(state); };
  const bool all_ended = std::ranges::all_of(by_state, [](const auto& it) { return is_terminal(it.first); });
  if (!all_ended) {
    const bool begun = std::ranges::any_of(by_state, [](const auto& it) { return it.first >= RunState::dispatched; });
    return begun ? GroupState::running : GroupState::waiting;
  }
  constexpr auto kWorstFirst = std::to_array<std::pair<RunState, GroupState>>({
      {RunState::failed, GroupState::failed},
      {RunState::timed_out, GroupState::timed_out},
      {RunState::cancelled, GroupState::cancelled},
      {RunState::skipped, GroupState::skipped},
  });
  for (const auto& [run, group] : kWorstFirst)
    if (any(run)) return group;
  return GroupState::succeeded;
}

}  // namespace

RunGroup group_of(std::vector<TaskRun> runs) {
  RunGroup group;
  group.id = runs.front().group.value_or(runs.front().id);
  group.task = runs.front().task;
  group.shards = static_cast<int>(runs.size());
  bool all_ended = true;
  std::optional<TimePoint> last;
  for (const auto& run : runs) {
    ++group.by_state[run.state];
    all_ended = all_ended && run.ended_at.has_value();
    last = std::max(last, run.ended_at);
  }
  group.state = state_of(group.by_state);
  if (all_ended) group.ended_at = last;
  group.runs = std::move(runs);
  return group;
}

bool is_run_again(RunState state) {
  return state == RunState::failed || state == RunState::timed_out || state == RunState::cancelled;
}

}  // namespace scheduler::domain
