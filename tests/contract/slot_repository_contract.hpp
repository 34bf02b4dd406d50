// contract/slot_repository_contract.hpp — what every SlotRepository must do.
#pragma once

#include "contract/store_fixture.hpp"

namespace scheduler::contract {

class SlotRepositoryContract : public StoreContract {};

TEST_P(SlotRepositoryContract, Due_SeveralTasks_EarliestFirstAndTheNextInstant) {
  const auto late = create_scheduled("late", OverlapPolicy::allow);
  clock.advance(30s);
  const auto later = create_scheduled("later", OverlapPolicy::allow);
  EXPECT_THAT(ok(slots().due(10)).due, IsEmpty());
  EXPECT_EQ(ok(slots().due(10)).next_fire_at, late.next_fire_at);
  clock.advance(30s);
  auto view = ok(slots().due(10));
  EXPECT_EQ(view.now, clock.now());
  ASSERT_EQ(view.due.size(), 1u) << "due exactly now counts";
  EXPECT_EQ(view.due[0].id, late.id);
  EXPECT_EQ(view.due[0].spec, late.spec);
  EXPECT_EQ(view.next_fire_at, later.next_fire_at);
  clock.advance(10min);
  view = ok(slots().due(10));
  ASSERT_EQ(view.due.size(), 2u);
  EXPECT_EQ(view.due[0].id, late.id);
  EXPECT_FALSE(view.next_fire_at);
  EXPECT_EQ(ok(slots().due(1)).due.size(), 1u);
}

TEST_P(SlotRepositoryContract, Due_PausedTask_IsNotThere) {
  auto task = create_scheduled("a", OverlapPolicy::allow);
  task.spec.status = domain::TaskStatus::paused;
  ok(tasks().update(task, {}));
  clock.advance(5min);
  EXPECT_THAT(ok(slots().due(10)).due, IsEmpty());
  EXPECT_FALSE(ok(slots().due(10)).next_fire_at);
}

TEST_P(SlotRepositoryContract, Quarantine_BrokenTask_IsOutOfTheListUntilItIsEdited) {
  auto task = create_scheduled("a", OverlapPolicy::allow);
  clock.advance(5min);
  ok(slots().quarantine(task.id, task.version + 1));
  EXPECT_EQ(ok(slots().due(10)).due.size(), 1u) << "another version was meant";
  ok(slots().quarantine(task.id, task.version));
  EXPECT_THAT(ok(slots().due(10)).due, IsEmpty());
  ok(tasks().update(task, {}));
  EXPECT_EQ(ok(slots().due(10)).due.size(), 1u);
}

TEST_P(SlotRepositoryContract, Commit_FiredSlot_MakesARunForEachShardAndMovesTheWatermark) {
  const auto task = create_scheduled("a", OverlapPolicy::allow, 3);
  const auto report = fire(task.id);
  EXPECT_EQ(report.runs, 3u);
  auto made = runs_of(task.id);
  ASSERT_EQ(made.size(), 3u);
  std::ranges::reverse(made);
  for (int shard = 0; shard < 3; ++shard) {
    const auto& it = made[static_cast<std::size_t>(shard)];
    EXPECT_EQ(it.state, RunState::pending);
    EXPECT_EQ(it.trigger, domain::Trigger::schedule);
    EXPECT_EQ(it.slot, clock.now());
    EXPECT_EQ(it.due_at, clock.now());
    EXPECT_EQ(it.shard_index, shard);
    EXPECT_EQ(it.shard_total, 3);
    EXPECT_EQ(it.attempt, 0);
    EXPECT_EQ(it.token, 0);
  }
  const auto stored = ok(tasks().get(task.id));
  EXPECT_EQ(stored.watermark, clock.now());
  EXPECT_EQ(stored.next_fire_at, clock.now() + 1min);
  EXPECT_EQ(stored.version, 1) << "firing is no change of the task";
}

TEST_P(SlotRepositoryContract, Commit_SlotThatWasDecided_MakesNoSecondRun) {
  const auto task = create_scheduled("a", OverlapPolicy::allow, 2);
  fire(task.id);
  const auto again = commit(task.id, {fired(clock.now())});
  EXPECT_EQ(again.runs, 0u);
  EXPECT_EQ(again.lost_races, 0u);
  EXPECT_EQ(runs_of(task.id).size(), 2u);
}

TEST_P(SlotRepositoryContract, Commit_OtherVersionOrWatermark_LosesTheRaceAndChangesNothing) {
  const auto task = create_scheduled("a", OverlapPolicy::allow);
  const auto slot = clock.now() + 1min;
  const domain::FirePlan plan{{fired(slot)}, slot, slot + 1min};
  auto other = task;
  ++other.version;
  EXPECT_EQ(ok(slots().commit({{other, plan}})).lost_races, 1u);
  other = task;
  other.watermark = *task.watermark - 1s;
  EXPECT_EQ(ok(slots().commit({{other, plan}})).lost_races, 1u);
  EXPECT_THAT(runs_of(task.id), IsEmpty());
  EXPECT_EQ(ok(tasks().get(task.id)).watermark, task.watermark);
}

TEST_P(SlotRepositoryContract, Commit_TheSameFireManyTimesAtOnce_ExactlyOneWins) {
  const auto task = create_scheduled("a", OverlapPolicy::allow);
  const auto slot = clock.now() + 1min;
  std::vector<Async<FireReport>> works;
  for (int i = 0; i < 16; ++i) works.push_back(slots().commit({{task, {{fired(slot)}, slot, slot + 1min}}}));
  std::size_t made = 0, lost_races = 0;
  for (auto& it : run_all(std::move(works))) {
    const auto report = must(std::move(it));
    made += report.runs;
    lost_races += report.lost_races;
  }
  EXPECT_EQ(made, 1u);
  EXPECT_EQ(lost_races, 15u);
  EXPECT_EQ(runs_of(task.id).size(), 1u);
}

TEST_P(SlotRepositoryContract, Commit_SeveralFires_OneLostRaceDoesNotSinkTheRest) {
  const auto a = create_scheduled("a", OverlapPolicy::allow), b = create_scheduled("b", OverlapPolicy::allow);
  auto stale = a;
  ++stale.version;
  const auto slot = clock.now() + 1min;
  const domain::FirePlan plan{{fired(slot)}, slot, slot + 1min};
  const auto report = ok(slots().commit({{stale, plan}, {b, plan}}));
  EXPECT_EQ(report.lost_races, 1u);
  EXPECT_EQ(report.runs, 1u);
}

TEST_P(SlotRepositoryContract, Commit_SkippedRange_IsRecordedWithoutRuns) {
  const auto task = create_scheduled("a", OverlapPolicy::allow);
  const auto first = clock.now() + 1min, last = clock.now() + 60min;
  const auto report = commit(task.id, {{first, last, false, Reason::misfire}, fired(last + 1min)});
  EXPECT_EQ(report.skipped, 1u);
  EXPECT_EQ(report.runs, 1u);
  EXPECT_EQ(runs_of(task.id).size(), 1u);
}

TEST_P(SlotRepositoryContract, Commit_EarlierRunActive_PolicyDecides) {
  const struct {
    std::string_view name;
    OverlapPolicy policy;
    std::vector<RunState> expected;  // of three fires in a row, oldest first
    std::size_t skipped;
  } rows[] = {
      {"allow starts all", OverlapPolicy::allow, {RunState::pending, RunState::pending, RunState::pending}, 0},
      {"forbid keeps the first", OverlapPolicy::forbid, {RunState::pending}, 2},
      {"queue_one keeps one more", OverlapPolicy::queue_one, {RunState::pending, RunState::waiting}, 1},
      {"replace keeps the last",
       OverlapPolicy::replace,
       {RunState::cancelled, RunState::cancelled, RunState::pending},
       0},
  };
  for (const auto& row : rows) {
    const auto task = create_scheduled(std::string(row.name), row.policy);
    std::size_t skipped = 0;
    for (int i = 0; i < 3; ++i) skipped += fire(task.id).skipped;
    EXPECT_EQ(states_of(task.id), row.expected) << row.name;
    EXPECT_EQ(skipped, row.skipped) << row.name;
  }
}

TEST_P(SlotRepositoryContract, Commit_QueueOne_WaitingShardsGoOnTogetherWhenTheLastActiveRunEnds) {
  const auto task = create_scheduled("a", OverlapPolicy::queue_one, 2);
  fire(task.id);
  fire(task.id);
  const auto all = runs_of(task.id);  // newest first: two waiting, two pending
  finish(all[3].id);
  EXPECT_THAT(states_of(task.id),
              ElementsAre(RunState::succeeded, RunState::pending, RunState::waiting, RunState::waiting));
  finish(all[2].id, RunState::failed);
  EXPECT_THAT(states_of(task.id),
              ElementsAre(RunState::succeeded, RunState::failed, RunState::pending, RunState::pending));
}

TEST_P(SlotRepositoryContract, Commit_QueueOne_RetryKeepsTheNextOneWaitingAndCancelLetsItGo) {
  const auto task = create_scheduled("a", OverlapPolicy::queue_one);
  fire(task.id);
  const auto first = runs_of(task.id)[0].id;
  fire(task.id);
  send(first);
  EXPECT_TRUE(apply(retried(first, clock.now() + 10s)));
  EXPECT_THAT(states_of(task.id), ElementsAre(RunState::pending, RunState::waiting));
  ok(runs().cancel(first));
  EXPECT_THAT(states_of(task.id), ElementsAre(RunState::cancelled, RunState::pending));
}

TEST_P(SlotRepositoryContract, Commit_Replace_StopsWhatRunsAndDropsWhatWaits) {
  const auto task = create_scheduled("a", OverlapPolicy::replace);
  fire(task.id);
  const auto held = runs_of(task.id)[0].id;
  const auto token = send(held);
  auto report = fire(task.id);
  ASSERT_EQ(report.to_cancel.size(), 1u);
  EXPECT_EQ(report.to_cancel[0].run, held);
  EXPECT_EQ(report.to_cancel[0].token, token);
  EXPECT_EQ(report.to_cancel[0].incarnation, kWorker);
  EXPECT_EQ(run(held).cancel_reason, Reason::overlap);
  fire(task.id);
  EXPECT_THAT(states_of(task.id), ElementsAre(RunState::dispatched, RunState::skipped, RunState::waiting));
  const auto dropped = runs_of(task.id)[1];
  EXPECT_EQ(dropped.reason, Reason::overlap);
  EXPECT_NE(dropped.message, "");
  EXPECT_TRUE(apply(ended(held, RunState::cancelled)));
  EXPECT_THAT(states_of(task.id), ElementsAre(RunState::cancelled, RunState::skipped, RunState::pending));
}

// It once ended as if a user had cancelled it.
TEST_P(SlotRepositoryContract, Commit_ReplacedRunFailsMeanwhile_EndsForTheOverlap) {
  const auto task = create_scheduled("a", OverlapPolicy::replace);
  fire(task.id);
  const auto held = runs_of(task.id)[0].id;
  send(held);
  fire(task.id);
  ok(runs().cancel(held));
  EXPECT_EQ(run(held).cancel_reason, Reason::overlap) << "the first mark stays";
  EXPECT_TRUE(apply(lost(held, domain::End{RunState::cancelled})));
  EXPECT_EQ(run(held).reason, Reason::overlap);
  EXPECT_EQ(run(held).message, "replaced by the run of a later fire time before another attempt");
}

TEST_P(SlotRepositoryContract, Commit_RunsAskedForByHand_CountAsEarlierRuns) {
  const auto task = create_scheduled("a", OverlapPolicy::forbid);
  trigger(task.id);
  EXPECT_EQ(fire(task.id).skipped, 1u);
  trigger(task.id);
  EXPECT_THAT(states_of(task.id), ElementsAre(RunState::pending, RunState::pending)) << "by hand always starts";
}

// ---- the ledger, read again ----

TEST_P(SlotRepositoryContract, Commit_MisfireThatFires_IsDueWhenThePlanSays) {
  const auto task = create_scheduled("a", OverlapPolicy::allow);
  const auto slot = clock.now() + 1min;
  auto late = fired(slot);
  late.due_at = clock.now() + 7min;
  commit(task.id, {late});
  EXPECT_EQ(runs_of(task.id)[0].slot, slot);
  EXPECT_EQ(runs_of(task.id)[0].due_at, late.due_at);
}

TEST_P(SlotRepositoryContract, Recorded_FiredAndSkippedSlots_AreThereOnce) {
  const auto task = create_scheduled("a", OverlapPolicy::allow, 3), other = create_scheduled("b", OverlapPolicy::allow);
  const auto minute = [begin = clock.now()](int n) { return begin + std::chrono::minutes(n); };
  clock.advance(20min);
  commit(task.id, {{minute(1), minute(5), false, Reason::misfire}, fired(minute(6)), fired(minute(7))});
  commit(other.id, {{minute(1), minute(6), false, Reason::paused}, fired(minute(7))});
  const auto made = runs_of(task.id);  // newest first
  const SlotRecord range{
      .first = minute(1), .last = minute(5), .fired = false, .reason = Reason::misfire, .decided_at = clock.now()};
  const auto one = [&](int n, RunId first) {
    return SlotRecord{
        .first = minute(n), .last = minute(n), .runs = 3, .shards = 3, .run = first, .decided_at = clock.now()};
  };
  const struct {
    std::string_view name;
    std::vector<int> minutes;
    std::vector<SlotRecord> expected;
  } rows[] = {
      {"nothing asked for", {}, {}},
      {"all", {1, 2, 3, 4, 5, 6, 7}, {range, one(6, made[5].id), one(7, made[2].id)}},
      {"one inside a range", {3}, {range}},
      {"the last one of a range", {5}, {range}},
      {"the first one of a range", {1}, {range}},
      {"the end of a range and what fired", {4, 6}, {range, one(6, made[5].id)}},
      {"one that fired", {7}, {one(7, made[2].id)}},
      {"what is not on record", {8, 9}, {}},
  };
  for (const auto& row : rows) {
    std::vector<TimePoint> asked;
    for (const int n : row.minutes) asked.push_back(minute(n));
    EXPECT_THAT(ok(slots().recorded(task.id, asked)), testing::UnorderedElementsAreArray(row.expected)) << row.name;
  }
}

TEST_P(SlotRepositoryContract, Recorded_OverlapPolicies_TellTheirCause) {
  const struct {
    std::string_view name;
    OverlapPolicy policy;
    std::vector<std::string> expected;  // of three fires in a row: "fired none", "skipped overlap by 1"
  } rows[] = {
      {"allow has none", OverlapPolicy::allow, {"fired none", "fired none", "fired none"}},
      {"forbid: the run that goes",
       OverlapPolicy::forbid,
       {"fired none", "skipped overlap by 1", "skipped overlap by 1"}},
      {"queue_one: waits for, and is merged into",
       OverlapPolicy::queue_one,
       {"fired none", "fired overlap by 1", "skipped overlap by 2"}},
      {"replace: what it replaces", OverlapPolicy::replace, {"fired none", "fired overlap by 1", "fired overlap by 2"}},
  };
  for (const bool at_once : {false, true})
    for (const auto& row : rows) {
      const auto task = create_scheduled(fmt::format("{} {}", row.name, at_once), row.policy);
      std::vector<TimePoint> times;
      for (int i = 1; i <= 3; ++i) times.push_back(clock.now() + std::chrono::minutes(i));
      clock.advance(3min);
      if (at_once) {
        commit(task.id, {fired(times[0]), fired(times[1]), fired(times[2])});
      } else {
        for (const auto at : times) commit(task.id, {fired(at)});
      }
      auto records = ok(slots().recorded(task.id, times));
      std::ranges::sort(records, {}, &SlotRecord::first);
      const auto first_run = runs_of(task.id).back().id.value;
      std::vector<std::string> told;
      for (const auto& it : records)
        told.push_back(fmt::format("{} {}{}", it.fired ? "fired" : "skipped", name_of(it.reason),
                                   it.cause ? fmt::format(" by {}", it.cause->value - first_run + 1) : ""));
      EXPECT_EQ(told, row.expected) << row.name << (at_once ? ", decided together" : ", one after the other");
    }
}

TEST_P(SlotRepositoryContract, Recorded_WhatWasDecidedMeanwhile_IsNotSkippedAsWell) {
  auto task = create_scheduled("a", OverlapPolicy::allow);
  const auto begin = clock.now();
  clock.advance(10min);
  // A person changes the schedule: the slots up to now are the old one's. Meanwhile a dispatcher decides some of them.
  commit(task.id, {fired(begin + 1min), fired(begin + 2min)});
  task.schedule_since = begin + 9min;
  task.watermark = begin + 9min;
  ok(tasks().update(task, SlotDecision{begin + 1min, begin + 9min, false, Reason::paused}));
  const auto records = ok(slots().recorded(task.id, {begin + 1min, begin + 2min, begin + 3min, begin + 9min}));
  ASSERT_EQ(records.size(), 3u);
  for (const auto& it : records) {
    if (it.fired) continue;
    EXPECT_EQ(it.first, begin + 2min + 1us);
    EXPECT_EQ(it.last, begin + 9min);
  }
  task = ok(tasks().get(task.id));
  commit(task.id, {fired(begin + 10min), fired(begin + 12min)});
  task.schedule_since = begin + 11min;
  const auto updated = ok(tasks().update(task, SlotDecision{begin + 10min, begin + 11min, false, Reason::misfire}));
  EXPECT_EQ(updated.schedule_since, begin + 12min) << "the new schedule begins after what the old one decided";
  EXPECT_EQ(ok(slots().recorded(task.id, {begin + 10min, begin + 11min})).size(), 1u) << "all of them were decided";
}

}  // namespace scheduler::contract
