#include "domain/run_group.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace scheduler::domain {
namespace {

using namespace std::chrono_literals;

std::vector<TaskRun> shards(const std::vector<RunState>& states) {
  std::vector<TaskRun> runs;
  for (const auto state : states) {
    TaskRun run;
    run.id = RunId{static_cast<std::int64_t>(runs.size()) + 7};
    run.task = TaskId{3};
    run.group = RunId{7};
    run.state = state;
    if (is_terminal(state)) run.ended_at = TimePoint{Seconds{runs.size()}};
    runs.push_back(run);
  }
  return runs;
}

TEST(GroupOf, Shards_SayHowItStandsAsAWhole) {
  using enum RunState;
  const struct {
    std::string_view name;
    std::vector<RunState> shards;
    GroupState expected;
  } rows[] = {
      {"nothing has begun", {pending, waiting}, GroupState::waiting},
      {"one is with a worker", {pending, dispatched}, GroupState::running},
      {"one runs", {waiting, running}, GroupState::running},
      {"some have ended", {succeeded, pending}, GroupState::running},
      {"one has failed, others go on", {failed, running}, GroupState::running},
      {"all ended well", {succeeded, succeeded}, GroupState::succeeded},
      {"one failed", {succeeded, failed, cancelled}, GroupState::failed},
      {"one ran out of time", {succeeded, timed_out, cancelled}, GroupState::timed_out},
      {"one was cancelled", {cancelled, succeeded, skipped}, GroupState::cancelled},
      {"skipped as a whole", {skipped, skipped}, GroupState::skipped},
  };
  for (const auto& row : rows) {
    const auto group = group_of(shards(row.shards));
    EXPECT_EQ(name_of(group.state), name_of(row.expected)) << row.name;
    const bool ended = group.state >= GroupState::succeeded;
    EXPECT_EQ(group.ended_at.has_value(), ended) << row.name;
  }
}

TEST(GroupOf, EndedShards_EndWithTheLastOne) {
  const auto group = group_of(shards({RunState::succeeded, RunState::failed, RunState::succeeded}));
  EXPECT_EQ(group.id, RunId{7});
  EXPECT_EQ(group.task, TaskId{3});
  EXPECT_EQ(group.shards, 3);
  EXPECT_EQ(group.by_state, (std::map<RunState, int>{{RunState::succeeded, 2}, {RunState::failed, 1}}));
  EXPECT_EQ(group.ended_at, TimePoint{2s});
}

TEST(GroupOf, RunWithoutAGroup_IsOneOfItsOwn) {
  auto runs = shards({RunState::succeeded});
  runs[0].group.reset();
  EXPECT_EQ(group_of(runs).id, runs[0].id);
}

}  // namespace
}  // namespace scheduler::domain
