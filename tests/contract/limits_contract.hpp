// contract/limits_contract.hpp — what every store must do about limits, urgency, batches, backlogs and groups.
#pragma once

#include "contract/store_fixture.hpp"

namespace scheduler::contract {

class LimitsContract : public StoreContract {
 protected:
  Task create_limited(const std::string& name, std::optional<int> limit, int shards = 1) {
    auto it = spec(name);
    it.max_concurrent_runs = limit;
    it.shard_count = shards;
    return create(it);
  }
  Task set_limit(TaskId id, std::optional<int> limit) {
    auto task = ok(tasks().get(id));
    task.spec.max_concurrent_runs = limit;
    return ok(tasks().update(task, {}));
  }
  int count(TaskId task, RunState state) {
    const auto states = states_of(task);
    return static_cast<int>(std::ranges::count(states, state));
  }
  RunId first(TaskId task, RunState state) {
    const auto found = ok(runs().list({.task = task, .state = state}, {.limit = 100})).items;
    return found.back().id;
  }
  RunId trigger_at(TaskId task, TimePoint at) { return ok(runs().insert({.task = task, .run_at = at})).runs.at(0).id; }
  static constexpr auto kPending = RunState::pending;
  static constexpr auto kWaiting = RunState::waiting;
};

// ---- max_concurrent_runs --------------------------------------------------------------------------------------------

TEST_P(LimitsContract, Insert_MoreThanTheLimit_WaitInLine) {
  const auto task = create_limited("a", 2);
  std::vector<RunId> made;
  for (int i = 0; i < 4; ++i) made.push_back(trigger(task.id));
  EXPECT_THAT(states_of(task.id), ElementsAre(kPending, kPending, kWaiting, kWaiting));
  EXPECT_EQ(run(made[2]).waits_for, domain::Wait::limit);
  EXPECT_FALSE(run(made[0]).waits_for);
  finish(made[1]);
  EXPECT_EQ(state(made[2]), kPending) << "the first in line";
  EXPECT_FALSE(run(made[2]).waits_for);
  EXPECT_EQ(state(made[3]), kWaiting);
}

TEST_P(LimitsContract, Insert_Answer_IsWhatIsStored) {
  const auto task = create_limited("a", 1, 2);
  const auto made = ok(runs().insert({.task = task.id, .parameters = R"({"command":"x"})"}));
  ASSERT_EQ(made.runs.size(), 2u);
  for (const auto& it : made.runs) {
    const auto stored = run(it.id);
    EXPECT_EQ(it.state, stored.state);
    EXPECT_EQ(it.waits_for, stored.waits_for);
    EXPECT_EQ(it.group, stored.group);
    EXPECT_EQ(it.group, made.runs[0].id);
    EXPECT_EQ(it.shard_index, stored.shard_index);
    EXPECT_EQ(it.parameters, stored.parameters);
    EXPECT_EQ(it.task_name, "a");
  }
  EXPECT_EQ(made.runs[1].state, kWaiting) << "shards count one by one";
}

TEST_P(LimitsContract, Apply_Backoff_KeepsItsRoom) {
  const auto task = create_limited("a", 1);
  const auto resting = trigger(task.id), next = trigger(task.id);
  send(resting);
  ASSERT_TRUE(apply(retried(resting, clock.now() + 1h)));
  EXPECT_EQ(state(resting), kPending);
  EXPECT_EQ(state(next), kWaiting);
  EXPECT_EQ(run(trigger(task.id)).state, kWaiting);
}

TEST_P(LimitsContract, Cancel_RunThatGoes_LetsTheNextOneGo) {
  const auto task = create_limited("a", 1);
  const auto goes = trigger(task.id), second = trigger(task.id), third = trigger(task.id);
  ok(runs().cancel(second));
  ok(runs().cancel(goes));
  EXPECT_EQ(state(third), kPending);
}

TEST_P(LimitsContract, Retry_OfAnEndedRun_WaitsInLineToo) {
  const auto task = create_limited("a", 1);
  const auto ended = run_to(task.id, RunState::failed);
  trigger(task.id);
  const auto again = ok(runs().insert({.task = task.id, .trigger = domain::Trigger::retry, .retry_of = ended}));
  EXPECT_EQ(again.runs.at(0).state, kWaiting);
}

TEST_P(LimitsContract, Round_OfUpstreams_WaitsInLineToo) {
  const auto upstream = create("up");
  auto it = spec("down");
  it.dependencies = {upstream.id};
  it.max_concurrent_runs = 1;
  const auto task = create(it);
  for (int i = 0; i < 3; ++i) run_to(upstream.id, RunState::succeeded);
  EXPECT_THAT(states_of(task.id), ElementsAre(kPending, kWaiting, kWaiting));
  finish(first(task.id, kPending));
  EXPECT_THAT(states_of(task.id), ElementsAre(RunState::succeeded, kPending, kWaiting));
}

TEST_P(LimitsContract, Fire_ShardsBeyondTheLimit_GoOneAfterTheOther) {
  auto it = spec("a");
  it.schedule = "* * * * *";
  it.overlap_policy = OverlapPolicy::allow;
  it.shard_count = 3;
  it.max_concurrent_runs = 2;
  const auto task = ok(tasks().create({.spec = it, .watermark = clock.now(), .next_fire_at = clock.now() + 1min}));
  fire(task.id);
  fire(task.id);
  EXPECT_EQ(count(task.id, kPending), 2);
  EXPECT_EQ(count(task.id, kWaiting), 4);
  for (int left = 6; left > 0; --left) {
    EXPECT_EQ(count(task.id, kPending), std::min(2, left)) << left;
    finish(first(task.id, kPending));
  }
}

// The line is an earlier run that has not ended: what waits because of overlap waits for it as well.
TEST_P(LimitsContract, Fire_QueueOneAndALimit_OverlapFirstAndThenRoom) {
  auto it = spec("a");
  it.schedule = "* * * * *";
  it.overlap_policy = OverlapPolicy::queue_one;
  it.shard_count = 2;
  it.max_concurrent_runs = 1;
  const auto task = ok(tasks().create({.spec = it, .watermark = clock.now(), .next_fire_at = clock.now() + 1min}));
  fire(task.id);
  EXPECT_THAT(states_of(task.id), ElementsAre(kPending, kWaiting));
  fire(task.id);
  EXPECT_EQ(fire(task.id).skipped, 1u) << "one fire waits already";
  const auto queued = runs_of(task.id)[0].id;
  EXPECT_EQ(run(queued).waits_for, domain::Wait::overlap);
  finish(first(task.id, kPending));
  EXPECT_THAT(states_of(task.id), ElementsAre(RunState::succeeded, kPending, kWaiting, kWaiting));
  EXPECT_EQ(run(queued).waits_for, domain::Wait::overlap) << "the other shard of the earlier fire goes first";
  finish(first(task.id, kPending));
  EXPECT_THAT(states_of(task.id), ElementsAre(RunState::succeeded, RunState::succeeded, kPending, kWaiting));
  EXPECT_EQ(run(queued).waits_for, domain::Wait::limit);
  finish(first(task.id, kPending));
  EXPECT_EQ(state(queued), kPending);
}

TEST_P(LimitsContract, Fire_ForbidWhileTheLineWaits_IsSkipped) {
  auto it = spec("a");
  it.schedule = "* * * * *";
  it.overlap_policy = OverlapPolicy::forbid;
  it.shard_count = 2;
  it.max_concurrent_runs = 1;
  const auto task = ok(tasks().create({.spec = it, .watermark = clock.now(), .next_fire_at = clock.now() + 1min}));
  fire(task.id);
  EXPECT_EQ(fire(task.id).skipped, 1u);
}

TEST_P(LimitsContract, Fire_ReplaceWithALimit_DropsTheLine) {
  auto it = spec("a");
  it.schedule = "* * * * *";
  it.overlap_policy = OverlapPolicy::replace;
  it.max_concurrent_runs = 1;
  const auto task = ok(tasks().create({.spec = it, .watermark = clock.now(), .next_fire_at = clock.now() + 1min}));
  const auto goes = trigger(task.id), in_line = trigger(task.id);
  const auto later = trigger_at(task.id, clock.now() + 1h);
  fire(task.id);
  EXPECT_EQ(state(goes), RunState::cancelled);
  EXPECT_EQ(state(in_line), RunState::skipped);
  EXPECT_EQ(state(later), kWaiting) << "what a person wants to run later is no earlier run";
  EXPECT_EQ(runs_of(task.id)[0].state, kPending);
}

TEST_P(LimitsContract, Update_RaisedLimit_LetsRunsGoAtOnce) {
  const auto task = create_limited("a", 1);
  for (int i = 0; i < 5; ++i) trigger(task.id);
  set_limit(task.id, 3);
  EXPECT_EQ(count(task.id, kPending), 3);
  set_limit(task.id, std::nullopt);
  EXPECT_EQ(count(task.id, kPending), 5);
}

TEST_P(LimitsContract, Update_LoweredLimit_StopsNobodyAndLetsNobodyGo) {
  const auto task = create_limited("a", 3);
  for (int i = 0; i < 5; ++i) trigger(task.id);
  set_limit(task.id, 1);
  EXPECT_EQ(count(task.id, kPending), 3);
  finish(first(task.id, kPending));
  finish(first(task.id, kPending));
  EXPECT_EQ(count(task.id, kPending), 1);
  EXPECT_EQ(count(task.id, kWaiting), 2);
  finish(first(task.id, kPending));
  EXPECT_EQ(count(task.id, kPending), 1);
}

TEST_P(LimitsContract, Update_LimitSetWhileRunsGo_CountsThem) {
  const auto task = create_limited("a", std::nullopt);
  const auto one = trigger(task.id), two = trigger(task.id);
  send(one);
  set_limit(task.id, 1);
  const auto third = trigger(task.id);
  EXPECT_EQ(state(third), kWaiting);
  EXPECT_TRUE(apply(ended(one, RunState::succeeded)));
  EXPECT_EQ(state(third), kWaiting);
  finish(two);
  EXPECT_EQ(state(third), kPending);
}

TEST_P(LimitsContract, Archive_TaskWithALine_CancelsAllOfIt) {
  const auto task = create_limited("a", 1);
  for (int i = 0; i < 3; ++i) trigger(task.id);
  trigger_at(task.id, clock.now() + 1h);
  ok(tasks().archive(task.id));
  EXPECT_EQ(count(task.id, RunState::cancelled), 4);
}

TEST_P(LimitsContract, Insert_AndEndAtTheSameTime_NeverMoreThanTheLimitGo) {
  constexpr int kLimit = 3;
  const auto task = create_limited("a", kLimit);
  for (int round = 0; round < 8; ++round) {
    std::vector<Async<bool>> works;
    for (int i = 0; i < 6; ++i)
      works.push_back([](RunRepository& to, TaskId id) -> Async<bool> {
        CO_TRY(const auto made, to.insert({.task = id}));
        co_return made.runs.size() == 1;
      }(runs(), task.id));
    for (const auto& it : runs_of(task.id)) {
      if (it.state != kPending) continue;
      send(it.id);
      works.push_back([](DispatchRepository& to, Ended end) -> Async<bool> {
        CO_TRY(const auto applied, to.apply({end}));
        co_return applied.at(0).won;
      }(dispatch(), ended(it.id, RunState::succeeded)));
    }
    for (auto& done : run_all(std::move(works))) EXPECT_TRUE(must(std::move(done)));
    EXPECT_EQ(count(task.id, kPending), kLimit) << "round " << round << ": no more go, and no room is left unused";
  }
}

// ---- delayed triggers -----------------------------------------------------------------------------------------------

TEST_P(LimitsContract, Insert_RunAt_IsDueThen) {
  const auto task = create("a");
  const auto later = trigger_at(task.id, clock.now() + 1h);
  EXPECT_EQ(run(later).state, kPending);
  EXPECT_EQ(run(later).due_at, clock.now() + 1h);
  EXPECT_EQ(ok(dispatch().view()).next_due, clock.now() + 1h);
  EXPECT_EQ(run(trigger_at(task.id, clock.now() - 1h)).due_at, clock.now()) << "an instant that has passed is now";
}

// It once stood in the way of every fire until its time came.
TEST_P(LimitsContract, Fire_WhileARunIsToGoLater_StartsAllTheSame) {
  const auto task = create_scheduled("a", OverlapPolicy::queue_one);
  trigger_at(task.id, clock.now() + 24h);
  fire(task.id);
  EXPECT_EQ(runs_of(task.id)[0].state, kPending);
}

TEST_P(LimitsContract, JoinLine_RunWhoseTimeHasCome_GoesWhereThereIsRoom) {
  const auto task = create_limited("a", 1);
  const auto later = trigger_at(task.id, clock.now() + 1h);
  EXPECT_EQ(run(later).waits_for, domain::Wait::time) << "it takes up no room before";
  const auto now = trigger(task.id);
  EXPECT_EQ(state(now), kPending);
  auto view = ok(dispatch().view());
  EXPECT_FALSE(view.has_timely);
  EXPECT_EQ(view.next_due, clock.now() + 1h);
  EXPECT_EQ(ok(dispatch().join_line()), 0u);
  clock.advance(1h);
  EXPECT_TRUE(ok(dispatch().view()).has_timely);
  EXPECT_EQ(ok(dispatch().join_line()), 1u);
  EXPECT_FALSE(ok(dispatch().view()).has_timely);
  EXPECT_EQ(run(later).waits_for, domain::Wait::limit);
  finish(now);
  EXPECT_EQ(state(later), kPending);
}

TEST_P(LimitsContract, JoinLine_RoomIsFree_GoesAtOnce) {
  const auto task = create_limited("a", 1);
  const auto later = trigger_at(task.id, clock.now() + 1h);
  clock.advance(1h);
  EXPECT_EQ(ok(dispatch().join_line()), 1u);
  EXPECT_EQ(state(later), kPending);
}

// ---- urgency --------------------------------------------------------------------------------------------------------

TEST_P(LimitsContract, Due_LowPriorityThatWaits_OvertakesAStreamOfHighOnes) {
  auto low = spec("low"), high = spec("high");
  low.priority = 0;
  high.priority = 9;
  const auto patient = trigger(create(low).id);
  const auto urgent = create(high);
  const auto order = [&](Seconds ageing) {
    std::vector<RunId> ids;
    for (const auto& it : ok(dispatch().due({"shell"}, 2, ageing))) ids.push_back(it.candidate.run);
    return ids;
  };
  const auto a = trigger(urgent.id), b = trigger(urgent.id);
  EXPECT_THAT(order(60s), ElementsAre(a, b));
  clock.advance(10min);
  const auto c = trigger(urgent.id);
  finish(a);
  finish(b);
  EXPECT_THAT(order(60s), ElementsAre(patient, c)) << "nine levels are made up for in nine minutes";
  EXPECT_THAT(order(0s), ElementsAre(c, patient)) << "off";
}

TEST_P(LimitsContract, Due_ManyBands_AreMergedByUrgency) {
  std::vector<std::pair<TimePoint, RunId>> expected;
  for (int i = 0; i < 30; ++i) {
    auto it = spec(fmt::format("t{}", i));
    it.priority = (i * 7) % 10;
    if (i % 2 == 0) it.worker_labels = {{"gpu", "yes"}};
    const auto id = trigger(create(it).id);
    expected.emplace_back(clock.now() - it.priority * 60s, id);
    clock.advance(17s);
  }
  std::ranges::sort(expected);
  const auto due = ok(dispatch().due({"shell", "shell|gpu=yes"}, 20, 60s));
  ASSERT_EQ(due.size(), 20u);
  for (std::size_t i = 0; i < due.size(); ++i) EXPECT_EQ(due[i].candidate.run, expected[i].second) << i;
}

// ---- batches --------------------------------------------------------------------------------------------------------

TEST_P(LimitsContract, InsertAll_SeveralTasks_AreAnsweredInOrder) {
  const auto a = create("a"), b = create_limited("b", 1, 2);
  const auto made = ok(runs().insert_all({{.task = b.id}, {.task = a.id}, {.task = b.id}}));
  ASSERT_EQ(made.size(), 3u);
  EXPECT_EQ(made[0].runs.size(), 2u);
  EXPECT_EQ(made[1].runs.at(0).task, a.id);
  EXPECT_FALSE(made[1].runs.at(0).group);
  EXPECT_EQ(made[0].runs[0].group, made[0].runs[0].id);
  EXPECT_EQ(made[2].runs[1].group, made[2].runs[0].id) << "each item is a fire of its own";
  EXPECT_THAT(states_of(b.id), ElementsAre(kPending, kWaiting, kWaiting, kWaiting));
}

TEST_P(LimitsContract, InsertAll_OneFault_MakesNothing) {
  const auto a = create("a");
  EXPECT_EQ(error(runs().insert_all({{.task = a.id}, {.task = TaskId{404}}})).kind, ErrorKind::TaskNotFound);
  EXPECT_THAT(runs_of(a.id), IsEmpty());
}

TEST_P(LimitsContract, InsertAll_Keys_MakeRunsOnceInOneBatchToo) {
  const auto a = create("a");
  const auto known = ok(runs().insert({.task = a.id, .idempotency_key = "known"})).runs.at(0).id;
  const auto made = ok(runs().insert_all({{.task = a.id, .idempotency_key = "new"},
                                          {.task = a.id, .idempotency_key = "known"},
                                          {.task = a.id},
                                          {.task = a.id, .idempotency_key = "new"}}));
  EXPECT_FALSE(made[0].existed);
  EXPECT_TRUE(made[1].existed);
  EXPECT_EQ(made[1].runs.at(0).id, known);
  EXPECT_FALSE(made[2].existed);
  EXPECT_TRUE(made[3].existed);
  EXPECT_EQ(made[3].runs.at(0).id, made[0].runs.at(0).id);
  EXPECT_EQ(runs_of(a.id).size(), 3u);
}

TEST_P(LimitsContract, InsertAll_KeyWithOtherParameters_IsAConflict) {
  const auto a = create("a");
  ok(runs().insert({.task = a.id, .idempotency_key = "k"}));
  const std::string other = R"({"command":"other"})";
  EXPECT_EQ(
      error(runs().insert_all({{.task = a.id}, {.task = a.id, .parameters = other, .idempotency_key = "k"}})).kind,
      ErrorKind::Conflict);
  EXPECT_EQ(error(runs().insert_all({{.task = a.id, .idempotency_key = "n"},
                                     {.task = a.id, .parameters = other, .idempotency_key = "n"}}))
                .kind,
            ErrorKind::Conflict);
  EXPECT_EQ(runs_of(a.id).size(), 1u);
}

TEST_P(LimitsContract, InsertAll_SameKeysAtTheSameTime_MakeEachOnce) {
  const auto a = create("a"), b = create_limited("b", std::nullopt, 3);
  std::vector<Async<std::vector<NewRuns>>> works;
  for (int i = 0; i < 6; ++i)
    works.push_back(runs().insert_all(
        {{.task = a.id, .idempotency_key = "k"}, {.task = b.id}, {.task = b.id, .idempotency_key = "k"}}));
  for (auto& it : run_all(std::move(works))) {
    const auto made = must(std::move(it));
    EXPECT_EQ(made[0].runs.size(), 1u);
    EXPECT_EQ(made[1].runs.size(), 3u);
    EXPECT_EQ(made[2].runs.size(), 3u);
  }
  EXPECT_EQ(runs_of(a.id).size(), 1u);
  EXPECT_EQ(runs_of(b.id).size(), 6u * 3u + 3u);
}

// ---- max_queued_runs ------------------------------------------------------------------------------------------------

TEST_P(LimitsContract, Insert_BacklogIsFull_IsRefusedUntilARunBegins) {
  auto it = spec("a");
  it.max_queued_runs = 3;
  it.shard_count = 2;
  const auto task = create(it);
  const auto made = ok(runs().insert({.task = task.id}));
  const auto refused = error(runs().insert({.task = task.id}));
  EXPECT_EQ(refused.kind, ErrorKind::BacklogFull);
  EXPECT_THAT(refused.message, HasSubstr("max_queued_runs is 3"));
  EXPECT_EQ(runs_of(task.id).size(), 2u);
  send(made.runs[0].id);
  EXPECT_EQ(ok(runs().insert({.task = task.id})).runs.size(), 2u);
}

TEST_P(LimitsContract, Insert_BacklogOfWaitingAndDelayedRuns_CountsThem) {
  auto it = spec("a");
  it.max_queued_runs = 3;
  it.max_concurrent_runs = 1;
  const auto task = create(it);
  trigger(task.id);
  trigger(task.id);
  trigger_at(task.id, clock.now() + 1h);
  EXPECT_EQ(error(runs().insert({.task = task.id})).kind, ErrorKind::BacklogFull);
}

// An old run that goes makes the ids say nothing: then they are counted.
TEST_P(LimitsContract, Insert_FarFromTheMaximumByCount_IsTakenWhateverTheIds) {
  auto it = spec("a");
  it.max_queued_runs = 5;
  const auto task = create(it), other = create("other");
  trigger(task.id);
  for (int i = 0; i < 10; ++i) trigger(other.id);
  for (int i = 0; i < 4; ++i) trigger(task.id);
  EXPECT_EQ(error(runs().insert({.task = task.id})).kind, ErrorKind::BacklogFull);
}

TEST_P(LimitsContract, InsertAll_BatchThatDoesNotFit_MakesNothing) {
  auto it = spec("a");
  it.max_queued_runs = 2;
  const auto task = create(it);
  EXPECT_EQ(error(runs().insert_all({{.task = task.id}, {.task = task.id}, {.task = task.id}})).kind,
            ErrorKind::BacklogFull);
  EXPECT_THAT(runs_of(task.id), IsEmpty());
}

TEST_P(LimitsContract, Insert_LargeBacklog_IsRefusedToo) {
  auto it = spec("a");
  it.max_queued_runs = 1200;
  it.shard_count = 400;
  const auto task = create(it);
  for (int i = 0; i < 3; ++i) ok(runs().insert({.task = task.id}));
  EXPECT_EQ(error(runs().insert({.task = task.id})).kind, ErrorKind::BacklogFull);
  clock.advance(2s);
  EXPECT_EQ(error(runs().insert({.task = task.id})).kind, ErrorKind::BacklogFull) << "counted again";
}

TEST_P(LimitsContract, Fire_BacklogIsFull_FiresAllTheSame) {
  auto it = spec("a");
  it.schedule = "* * * * *";
  it.overlap_policy = OverlapPolicy::allow;
  it.max_queued_runs = 1;
  const auto task = ok(tasks().create({.spec = it, .watermark = clock.now(), .next_fire_at = clock.now() + 1min}));
  trigger(task.id);
  EXPECT_EQ(fire(task.id).runs, 1u);
}

// ---- groups ---------------------------------------------------------------------------------------------------------

TEST_P(LimitsContract, Group_ShardsOfAFire_BearTheIdOfTheFirst) {
  const auto task = create_scheduled("a", OverlapPolicy::allow, 3);
  fire(task.id);
  const auto made = runs_of(task.id);
  const auto group = ok(runs().group(made[1].id));
  ASSERT_EQ(group.size(), 3u);
  for (int shard = 0; shard < 3; ++shard) {
    EXPECT_EQ(group[static_cast<std::size_t>(shard)].shard_index, shard);
    EXPECT_EQ(group[static_cast<std::size_t>(shard)].group, group[0].id);
  }
  EXPECT_EQ(error(runs().group(RunId{404})).kind, ErrorKind::RunNotFound);
}

TEST_P(LimitsContract, Group_SingleRun_IsAloneInIt) {
  const auto id = trigger(create("a").id);
  EXPECT_FALSE(run(id).group);
  EXPECT_THAT(ok(runs().group(id)), testing::SizeIs(1));
}

TEST_P(LimitsContract, RetryGroup_FailedShards_AreRunAgainInTheirPlaces) {
  auto it = spec("a");
  it.shard_count = 4;
  const auto task = create(it);
  const std::string parameters = R"({"command":"x"})";
  const auto made = ok(runs().insert({.task = task.id, .parameters = parameters})).runs;
  finish(made[0].id);
  finish(made[1].id, RunState::failed);
  finish(made[2].id, RunState::timed_out);
  send(made[3].id);
  const auto again = ok(runs().retry_group(made[0].id)).runs;
  ASSERT_EQ(again.size(), 2u);
  EXPECT_EQ(again[0].retry_of, made[1].id);
  EXPECT_EQ(again[0].shard_index, 1);
  EXPECT_EQ(again[0].shard_total, 4);
  EXPECT_EQ(again[0].parameters, parameters);
  EXPECT_EQ(again[0].trigger, domain::Trigger::retry);
  EXPECT_EQ(again[1].shard_index, 2);
  const auto group = ok(runs().group(again[1].id));
  EXPECT_EQ(group[0].id, made[0].id);
  EXPECT_EQ(group[1].id, again[0].id) << "the newest of each shard";
  EXPECT_EQ(group[2].id, again[1].id);
  EXPECT_EQ(group[3].id, made[3].id);
  EXPECT_EQ(error(runs().retry_group(made[0].id)).kind, ErrorKind::Conflict) << "they are under way";
}

TEST_P(LimitsContract, RetryGroup_AskedTwiceAtOnce_RunsThemAgainOnce) {
  auto it = spec("a");
  it.shard_count = 3;
  const auto task = create(it);
  const auto made = ok(runs().insert({.task = task.id})).runs;
  for (const auto& run : made) ok(runs().cancel(run.id));
  std::vector<Async<NewRuns>> works;
  for (int i = 0; i < 4; ++i) works.push_back(runs().retry_group(made[0].id));
  int won = 0;
  for (const auto& result : run_all(std::move(works))) won += result.has_value();
  EXPECT_EQ(won, 1);
  EXPECT_EQ(runs_of(task.id).size(), 6u);
}

}  // namespace scheduler::contract
