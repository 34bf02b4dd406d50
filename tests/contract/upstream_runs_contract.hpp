// contract/upstream_runs_contract.hpp — runs of a schedule that wait for upstream runs, and runs that are run again
// with what lies downstream.
#pragma once

#include "contract/store_fixture.hpp"

namespace scheduler::contract {

using domain::AwaitedRun;
using domain::TriggerRule;

class UpstreamRunsContract : public StoreContract {
 protected:
  // Has a schedule and runs after others; its next slot is a minute away.
  Task create_waiting(const std::string& name, std::vector<TaskId> upstreams,
                      TriggerRule rule = TriggerRule::all_success, OverlapPolicy policy = OverlapPolicy::queue_one,
                      int shards = 1) {
    auto it = spec(name);
    it.schedule = "* * * * *";
    it.dependencies = std::move(upstreams);
    it.trigger_rule = rule;
    it.overlap_policy = policy;
    it.shard_count = shards;
    return ok(tasks().create({.spec = it, .watermark = clock.now(), .next_fire_at = clock.now() + 1min}));
  }
  static AwaitedRun at(TaskId upstream, TimePoint slot) { return {.task = upstream, .slot = slot}; }
  Fire fire_of(TaskId task, std::vector<AwaitedRun> awaited) {
    const auto stored = ok(tasks().get(task));
    Fire fire{stored, {{fired(clock.now())}, clock.now(), clock.now() + 1min}};
    for (const auto& it : awaited) fire.upstream_versions.emplace_back(it.task, ok(tasks().get(it.task)).version);
    fire.awaited.emplace(clock.now(), std::move(awaited));
    return fire;
  }
  // Fires the task now; its runs wait for these. Returns the newest one.
  RunId fire_waiting(TaskId task, std::vector<AwaitedRun> awaited) {
    EXPECT_EQ(ok(slots().commit({fire_of(task, std::move(awaited))})).lost_races, 0u);
    return newest(task);
  }
  RunId newest(TaskId task) { return runs_of(task).at(0).id; }
  // Fires the upstream now, without a minute more.
  RunId fire_now(TaskId task) {
    commit(task, {fired(clock.now())});
    return newest(task);
  }
  void end(RunId id, RunState to) {
    send(id);
    apply(ended(id, to));
  }
  std::vector<std::optional<RunState>> upstream_states(RunId id) {
    std::vector<std::optional<RunState>> states;
    for (const auto& it : ok(runs().upstreams(id))) states.push_back(it.state);
    return states;
  }
};

TEST_P(UpstreamRunsContract, Slot_UpstreamRunEndsWell_TheRunGoesOn) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  const auto down = create_waiting("down", {up.id});
  clock.advance(1min);
  const auto upstream = fire_now(up.id);
  const auto waits = fire_waiting(down.id, {at(up.id, clock.now())});
  EXPECT_EQ(state(waits), RunState::waiting);
  EXPECT_EQ(ok(runs().upstreams(waits)).at(0).run, upstream) << "known before it has ended";
  EXPECT_THAT(upstream_states(waits), ElementsAre(std::nullopt));
  end(upstream, RunState::succeeded);
  EXPECT_EQ(state(waits), RunState::pending);
  EXPECT_THAT(upstream_states(waits), ElementsAre(RunState::succeeded));
}

TEST_P(UpstreamRunsContract, Slot_NotFiredYet_IsWaitedFor) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  const auto down = create_waiting("down", {up.id});
  clock.advance(1min);
  const auto waits = fire_waiting(down.id, {at(up.id, clock.now())});
  EXPECT_EQ(state(waits), RunState::waiting);
  EXPECT_EQ(ok(runs().upstreams(waits)).at(0).run, std::nullopt);
  end(fire_now(up.id), RunState::succeeded);
  EXPECT_EQ(state(waits), RunState::pending);
}

TEST_P(UpstreamRunsContract, Slot_BothFireInOneTransaction_InAnyOrder) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  const auto first = create_waiting("first", {up.id}), last = create_waiting("last", {up.id});
  clock.advance(1min);
  const auto now = clock.now();
  const Fire of_up{ok(tasks().get(up.id)), {{fired(now)}, now, now + 1min}};
  const auto report =
      ok(slots().commit({fire_of(first.id, {at(up.id, now)}), of_up, fire_of(last.id, {at(up.id, now)})}));
  EXPECT_EQ(report.runs, 3u);
  end(newest(up.id), RunState::succeeded);
  EXPECT_THAT(states_of(first.id), ElementsAre(RunState::pending));
  EXPECT_THAT(states_of(last.id), ElementsAre(RunState::pending));
}

TEST_P(UpstreamRunsContract, Slot_EndedBefore_DecidesAtTheFire) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  const auto down = create_waiting("down", {up.id}, TriggerRule::all_success, OverlapPolicy::allow);
  const auto after = create_after("after", {down.id});
  clock.advance(1min);
  const auto slot = clock.now();
  end(fire_now(up.id), RunState::succeeded);
  clock.advance(1min);
  EXPECT_EQ(state(fire_waiting(down.id, {at(up.id, slot)})), RunState::pending);
  const auto failed = fire_now(up.id);
  end(failed, RunState::failed);
  const auto then = clock.now();
  clock.advance(1min);
  const auto skipped = run(fire_waiting(down.id, {at(up.id, slot), at(up.id, then)}));
  EXPECT_EQ(skipped.state, RunState::skipped);
  EXPECT_EQ(skipped.reason, Reason::dependency_failed);
  EXPECT_THAT(skipped.message, HasSubstr(fmt::format("run {} of upstream task 'up' ended failed", failed.value)));
  EXPECT_THAT(states_of(after.id), ElementsAre(RunState::skipped)) << "a skip at the fire goes down the graph";
}

TEST_P(UpstreamRunsContract, Slot_SeveralOfThem_AllAreWaitedForAndAFailureDecidesAtOnce) {
  const auto up = create_scheduled("up", OverlapPolicy::allow), other = create_scheduled("other", OverlapPolicy::allow);
  const auto all = create_waiting("all", {up.id, other.id});
  const auto done = create_waiting("done", {up.id, other.id}, TriggerRule::all_done);
  clock.advance(1min);
  const auto first = clock.now();
  const auto a = fire_now(up.id);
  clock.advance(1min);
  const auto second = clock.now();
  const auto b = fire_now(up.id), c = fire_now(other.id);
  const std::vector awaited{at(up.id, first), at(up.id, second), at(other.id, second)};
  const auto all_run = fire_waiting(all.id, awaited), done_run = fire_waiting(done.id, awaited);
  end(a, RunState::succeeded);
  EXPECT_EQ(state(all_run), RunState::waiting);
  end(c, RunState::timed_out);
  EXPECT_EQ(state(all_run), RunState::skipped);
  EXPECT_THAT(run(all_run).message, HasSubstr("'other' ended timed_out"));
  EXPECT_EQ(state(done_run), RunState::waiting) << "whatever the rule, nothing starts before all have ended";
  end(b, RunState::succeeded);
  EXPECT_EQ(state(done_run), RunState::pending);
  EXPECT_THAT(upstream_states(all_run), ElementsAre(RunState::succeeded, RunState::succeeded, RunState::timed_out))
      << "what a skipped run waited for is written down to the end";
}

TEST_P(UpstreamRunsContract, Slot_SkippedUpstreamFireTime_CountsAsSkipped) {
  for (const bool before : {true, false}) {
    const auto up = create_scheduled(before ? "a" : "b", OverlapPolicy::allow);
    const auto all = create_waiting(before ? "all a" : "all b", {up.id});
    const auto unless = create_waiting(before ? "unless a" : "unless b", {up.id}, TriggerRule::none_failed);
    clock.advance(3min);
    const auto slot = clock.now();
    const auto skip = [&] { commit(up.id, {{slot - 2min, slot, false, Reason::misfire}}); };
    if (before) skip();
    const auto all_run = fire_waiting(all.id, {at(up.id, slot - 1min)});
    const auto unless_run = fire_waiting(unless.id, {at(up.id, slot - 1min)});
    if (!before) {
      EXPECT_EQ(state(all_run), RunState::waiting);
      skip();
    }
    EXPECT_EQ(state(all_run), RunState::skipped);
    EXPECT_THAT(run(all_run).message, HasSubstr("made no run at"));
    EXPECT_EQ(state(unless_run), RunState::pending);
  }
}

TEST_P(UpstreamRunsContract, Slot_OverlapSkipsTheUpstream_CountsAsSkipped) {
  const auto up = create_scheduled("up", OverlapPolicy::forbid);
  const auto down = create_waiting("down", {up.id});
  clock.advance(1min);
  fire_now(up.id);
  clock.advance(1min);
  const auto waits = fire_waiting(down.id, {at(up.id, clock.now())});
  commit(up.id, {fired(clock.now())});
  EXPECT_EQ(state(waits), RunState::skipped);
}

TEST_P(UpstreamRunsContract, Slot_ThatWillNeverCome_CountsAsSkipped) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  const auto down = create_waiting("down", {up.id}, TriggerRule::none_failed, OverlapPolicy::allow);
  const auto expect_freed = [&](const char* how, const std::function<void(Task)>& change) {
    clock.advance(1min);
    const auto waits = fire_waiting(down.id, {at(up.id, clock.now())});
    EXPECT_EQ(state(waits), RunState::waiting) << how;
    change(ok(tasks().get(up.id)));
    EXPECT_EQ(state(waits), RunState::pending) << how;
  };
  expect_freed("an edit of the schedule", [&](Task it) {
    it.spec.schedule = "0 0 * * *";
    it.next_fire_at = clock.now() + 1min;
    ok(tasks().update(it, {}));
  });
  expect_freed("set aside", [&](const Task& it) { ok(slots().quarantine(it.id, it.version)); });
  auto task = ok(tasks().get(up.id));
  task.next_fire_at = clock.now() + 1min;
  ok(tasks().update(task, {}));
  expect_freed("paused", [&](Task it) {
    it.spec.status = domain::TaskStatus::paused;
    it.next_fire_at.reset();
    ok(tasks().update(it, {}));
  });
  clock.advance(1min);
  EXPECT_EQ(state(fire_waiting(down.id, {at(up.id, clock.now())})), RunState::pending) << "paused before the fire";
  EXPECT_EQ(state(fire_waiting(create_waiting("never", {up.id}).id, {{.task = up.id, .slot = {}, .never = true}})),
            RunState::skipped);
}

TEST_P(UpstreamRunsContract, Slot_UpstreamChangedSinceItWasRead_LosesTheRace) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  const auto down = create_waiting("down", {up.id});
  clock.advance(1min);
  const auto fire = fire_of(down.id, {at(up.id, clock.now())});
  ok(tasks().update(ok(tasks().get(up.id)), {}));
  EXPECT_EQ(ok(slots().commit({fire})).lost_races, 1u);
  EXPECT_THAT(runs_of(down.id), IsEmpty());
  EXPECT_EQ(ok(tasks().get(down.id)).watermark, down.watermark);
}

TEST_P(UpstreamRunsContract, Slot_ShardedUpstream_EndsWhenAllOfItsShardsHave) {
  const auto up = create_scheduled("up", OverlapPolicy::allow, 3);
  const auto down = create_waiting("down", {up.id}, TriggerRule::all_success, OverlapPolicy::allow, 2);
  for (const auto last : {RunState::succeeded, RunState::failed}) {
    clock.advance(1min);
    commit(up.id, {fired(clock.now())});
    fire_waiting(down.id, {at(up.id, clock.now())});
    const auto shards = runs_of(up.id);
    const auto waits = runs_of(down.id);
    end(shards[0].id, RunState::succeeded);
    end(shards[1].id, last);
    for (int i = 0; i < 2; ++i) EXPECT_EQ(state(waits[static_cast<std::size_t>(i)].id), RunState::waiting);
    end(shards[2].id, RunState::succeeded);
    for (int i = 0; i < 2; ++i)
      EXPECT_EQ(state(waits[static_cast<std::size_t>(i)].id),
                last == RunState::succeeded ? RunState::pending : RunState::skipped);
    if (last == RunState::failed) EXPECT_EQ(ok(runs().upstreams(waits[0].id)).at(0).run, shards[1].id);
  }
}

TEST_P(UpstreamRunsContract, Slot_LastShardsEndAtTheSameTime_NothingIsLeftWaiting) {
  const auto up = create_scheduled("up", OverlapPolicy::allow, 8);
  const auto down = create_waiting("down", {up.id});
  clock.advance(1min);
  commit(up.id, {fired(clock.now())});
  const auto waits = fire_waiting(down.id, {at(up.id, clock.now())});
  std::vector<Async<std::vector<Applied>>> works;
  for (const auto& shard : runs_of(up.id)) {
    send(shard.id);
    works.push_back(dispatch().apply({ended(shard.id, RunState::succeeded)}));
  }
  for (auto& it : run_all(std::move(works))) must(std::move(it));
  EXPECT_EQ(state(waits), RunState::pending);
}

TEST_P(UpstreamRunsContract, Slot_FiresWhileItsUpstreamEnds_NothingIsLeftWaiting) {
  for (int i = 0; i < 10; ++i) {
    const auto up = create_scheduled(fmt::format("up {}", i), OverlapPolicy::allow);
    const auto down = create_waiting(fmt::format("down {}", i), {up.id});
    clock.advance(1min);
    const auto upstream = fire_now(up.id);
    send(upstream);
    const auto fire = fire_of(down.id, {at(up.id, clock.now())});
    const auto end = [&]() -> Async<FireReport> {
      CO_TRY(const auto applied, dispatch().apply({ended(upstream, RunState::succeeded)}));
      co_return FireReport{.runs = applied.size()};
    };
    std::vector<Async<FireReport>> works;
    works.push_back(slots().commit({fire}));
    works.push_back(end());
    for (auto& it : run_all(std::move(works))) must(std::move(it));
    EXPECT_EQ(state(newest(down.id)), RunState::pending);
  }
}

TEST_P(UpstreamRunsContract, NoSlot_LatestRunSinceThePreviousFireTime_ElseTheNextOne) {
  const auto up = create("up");
  const auto down = create_waiting("down", {up.id}, TriggerRule::all_success, OverlapPolicy::allow);
  clock.advance(1min);
  const auto old = trigger(up.id);
  end(old, RunState::succeeded);
  const auto since = clock.now();
  clock.advance(1min);
  const auto waits = fire_waiting(down.id, {{.task = up.id, .slot = {}, .ended_since = since}});
  EXPECT_EQ(state(waits), RunState::waiting) << "the one that ended at the previous fire time was its";
  const auto next = trigger(up.id);
  end(next, RunState::succeeded);
  EXPECT_EQ(state(waits), RunState::pending);
  EXPECT_EQ(ok(runs().upstreams(waits)).at(0).run, next);
  clock.advance(1min);
  const auto at_once = fire_waiting(down.id, {{.task = up.id, .slot = {}, .ended_since = since}});
  EXPECT_EQ(state(at_once), RunState::pending);
  EXPECT_EQ(ok(runs().upstreams(at_once)).at(0).run, next);
}

TEST_P(UpstreamRunsContract, Overlap_RunWaitsForItsUpstreamsFirst_ThenForEarlierRuns) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  const auto down = create_waiting("down", {up.id});
  clock.advance(1min);
  const auto earlier_upstream = fire_now(up.id);
  const auto earlier = fire_waiting(down.id, {at(up.id, clock.now())});
  clock.advance(1min);
  const auto later_upstream = fire_now(up.id);
  const auto later = fire_waiting(down.id, {at(up.id, clock.now())});
  EXPECT_EQ(state(later), RunState::waiting) << "one goes, one is queued";
  clock.advance(1min);
  commit(down.id, {fired(clock.now())});
  EXPECT_EQ(newest(down.id), later) << "and the third is skipped";
  end(later_upstream, RunState::succeeded);
  EXPECT_EQ(state(earlier), RunState::waiting);
  EXPECT_EQ(state(later), RunState::pending) << "the one that is ready does not wait for the other's upstreams";
  end(earlier_upstream, RunState::succeeded);
  EXPECT_EQ(state(earlier), RunState::waiting) << "ready, and another one is active";
  end(later, RunState::succeeded);
  EXPECT_EQ(state(earlier), RunState::pending);
}

TEST_P(UpstreamRunsContract, Overlap_ActiveRunEnds_DoesNotPromoteWhatWaitsForUpstreams) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  const auto down = create_waiting("down", {up.id});
  const auto by_hand = trigger(down.id);
  clock.advance(1min);
  const auto upstream = fire_now(up.id);
  const auto waits = fire_waiting(down.id, {at(up.id, clock.now())});
  end(by_hand, RunState::succeeded);
  EXPECT_EQ(state(waits), RunState::waiting);
  end(upstream, RunState::succeeded);
  EXPECT_EQ(state(waits), RunState::pending);
}

TEST_P(UpstreamRunsContract, Limit_RunsWhoseUpstreamsEnded_GoWhereThereIsRoom) {
  for (const auto policy : {OverlapPolicy::allow, OverlapPolicy::queue_one}) {
    const std::string name(name_of(policy));
    const auto up = create_scheduled("up of " + name, OverlapPolicy::allow);
    auto down = create_waiting(name, {up.id}, TriggerRule::all_success, policy, 2);
    down.spec.max_concurrent_runs = 1;
    down = ok(tasks().update(down, {}));
    const auto by_hand = trigger(down.id);
    clock.advance(1min);
    const auto upstream = fire_now(up.id);
    const auto last = fire_waiting(down.id, {at(up.id, clock.now())});
    const RunId first{last.value - 1};
    EXPECT_EQ(run(first).waits_for, domain::Wait::upstreams) << name;
    end(upstream, RunState::succeeded);
    EXPECT_EQ(run(first).waits_for, policy == OverlapPolicy::allow ? domain::Wait::limit : domain::Wait::overlap);
    for (const auto shard : {by_hand, RunId{by_hand.value + 1}}) end(shard, RunState::succeeded);
    EXPECT_EQ(state(first), RunState::pending) << name;
    EXPECT_EQ(run(last).waits_for, domain::Wait::limit) << name;
    end(first, RunState::succeeded);
    EXPECT_EQ(state(last), RunState::pending) << name;
  }
}

// ---- with a limit ---------------------------------------------------------------------------------------------------

TEST_P(UpstreamRunsContract, Limit_RunsAreDecided_GoWhereThereIsRoomAndElseJoinTheLine) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  auto down = create_waiting("down", {up.id}, TriggerRule::all_success, OverlapPolicy::allow, 2);
  down.spec.max_concurrent_runs = 1;
  down = ok(tasks().update(down, {}));
  clock.advance(1min);
  const auto upstream = fire_now(up.id);
  const auto waits = run(fire_waiting(down.id, {at(up.id, clock.now())}));
  EXPECT_EQ(waits.state, RunState::waiting);
  EXPECT_EQ(waits.waits_for, domain::Wait::upstreams);
  const auto by_hand = ok(runs().insert({.task = down.id})).runs;
  EXPECT_EQ(by_hand.at(0).state, RunState::pending) << "what waits for upstream runs holds no room";
  EXPECT_EQ(by_hand.at(1).waits_for, domain::Wait::limit);
  end(upstream, RunState::succeeded);
  EXPECT_EQ(run(waits.id).waits_for, domain::Wait::limit) << "decided, and there is no room";
  for (int left = 4; left > 0; --left) {
    const auto going = ok(runs().list({.task = down.id, .state = RunState::pending}, {.limit = 10})).items;
    ASSERT_EQ(going.size(), 1u) << left << " left";
    end(going.at(0).id, RunState::succeeded);
  }
  EXPECT_EQ(state(waits.id), RunState::succeeded);
}

TEST_P(UpstreamRunsContract, Limit_DecidedBehindAnActiveRun_WaitsForItAndThenForRoom) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  auto down = create_waiting("down", {up.id});
  down.spec.max_concurrent_runs = 1;
  down = ok(tasks().update(down, {}));
  const auto by_hand = trigger(down.id);
  clock.advance(1min);
  const auto upstream = fire_now(up.id);
  const auto waits = fire_waiting(down.id, {at(up.id, clock.now())});
  end(upstream, RunState::succeeded);
  EXPECT_EQ(run(waits).waits_for, domain::Wait::overlap);
  const auto next_by_hand = trigger(down.id);
  end(by_hand, RunState::succeeded);
  EXPECT_EQ(state(next_by_hand), RunState::pending) << "it stood in the line";
  EXPECT_EQ(state(waits), RunState::waiting);
  end(next_by_hand, RunState::succeeded);
  EXPECT_EQ(state(waits), RunState::pending);
}

TEST_P(UpstreamRunsContract, Downstream_TaskWithALimit_WaitsForTheNewRunAndThenForRoom) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  auto down = create_waiting("down", {up.id});
  down.spec.max_concurrent_runs = 1;
  down = ok(tasks().update(down, {}));
  clock.advance(1min);
  const auto failed = fire_now(up.id);
  const auto skipped = fire_waiting(down.id, {at(up.id, clock.now())});
  end(failed, RunState::failed);
  ASSERT_EQ(state(skipped), RunState::skipped);
  const auto again =
      ok(runs().insert({.task = up.id, .trigger = domain::Trigger::retry, .retry_of = failed, .downstream = true}));
  ASSERT_EQ(again.downstream.size(), 1u);
  const auto waits = again.downstream.at(0);
  EXPECT_EQ(waits.waits_for, domain::Wait::upstreams);
  const auto by_hand = trigger(down.id);
  end(again.runs.at(0).id, RunState::succeeded);
  EXPECT_EQ(run(waits.id).waits_for, domain::Wait::limit);
  end(by_hand, RunState::succeeded);
  EXPECT_EQ(state(waits.id), RunState::pending);
}

TEST_P(UpstreamRunsContract, Edit_UpstreamIsTakenOut_ItsRowsNoLongerHoldTheRun) {
  const auto a = create_scheduled("a", OverlapPolicy::allow), b = create_scheduled("b", OverlapPolicy::allow);
  const auto down = create_waiting("down", {a.id, b.id});
  clock.advance(1min);
  const auto of_a = fire_now(a.id);
  const auto waits = fire_waiting(down.id, {at(a.id, clock.now()), at(b.id, clock.now())});
  end(of_a, RunState::succeeded);
  auto task = ok(tasks().get(down.id));
  task.spec.dependencies = {a.id};
  ok(tasks().update(task, {}));
  EXPECT_EQ(state(waits), RunState::pending);
  EXPECT_THAT(upstream_states(waits), ElementsAre(RunState::succeeded));
}

TEST_P(UpstreamRunsContract, Skip_LongChainOfScheduledTasks_ReachesItsEndWithTheReason) {
  auto last = create_scheduled("t0", OverlapPolicy::allow);
  const auto first = last;
  clock.advance(1min);
  std::vector<RunId> chain;
  for (int i = 1; i <= 50; ++i) {
    clock.advance(-1min);
    const auto next = create_waiting(fmt::format("t{}", i), {last.id});
    clock.advance(1min);
    chain.push_back(fire_waiting(next.id, {at(last.id, clock.now())}));
    last = next;
  }
  end(fire_now(first.id), RunState::failed);
  for (const auto id : chain) {
    EXPECT_EQ(state(id), RunState::skipped);
    EXPECT_EQ(run(id).reason, Reason::dependency_failed);
  }
  EXPECT_THAT(run(chain[9]).message,
              HasSubstr(fmt::format("run {} of upstream task 't9' ended skipped", chain[8].value)));
}

// ---- again, with what is downstream ---------------------------------------------------------------------------------

TEST_P(UpstreamRunsContract, Downstream_FailedRun_WhatItSkippedRunsAgainInItsPlace) {
  const auto a = create("a"), other = create("other");
  const auto b = create_after("b", {a.id, other.id});
  const auto c = create_after("c", {b.id});
  const auto cleanup = create_after("cleanup", {b.id}, TriggerRule::all_done);
  const auto failed = trigger(a.id), good = trigger(other.id);
  end(good, RunState::succeeded);
  end(failed, RunState::failed);
  const auto b_skipped = newest(b.id), c_skipped = newest(c.id), cleanup_run = newest(cleanup.id);
  ASSERT_EQ(state(b_skipped), RunState::skipped);
  ASSERT_EQ(state(c_skipped), RunState::skipped);
  ASSERT_EQ(state(cleanup_run), RunState::pending);

  const auto made =
      ok(runs().insert({.task = a.id, .trigger = domain::Trigger::retry, .retry_of = failed, .downstream = true}));
  ASSERT_EQ(made.downstream.size(), 2u) << "b and c; cleanup ran";
  const auto b_again = made.downstream[0], c_again = made.downstream[1];
  EXPECT_EQ(b_again.task, b.id);
  EXPECT_EQ(b_again.retry_of, b_skipped);
  EXPECT_EQ(c_again.retry_of, c_skipped);
  EXPECT_EQ(b_again.state, RunState::waiting);
  const auto again = made.runs.at(0).id;
  EXPECT_THAT(ok(runs().upstreams(b_again.id)),
              ElementsAre(domain::UpstreamRun{a.id, "a", std::nullopt, again, std::nullopt},
                          domain::UpstreamRun{other.id, "other", std::nullopt, good, RunState::succeeded}));
  EXPECT_EQ(ok(runs().insert({.task = a.id, .trigger = domain::Trigger::retry, .retry_of = failed, .downstream = true}))
                .downstream.size(),
            0u)
      << "they are under way";

  end(again, RunState::succeeded);
  EXPECT_EQ(state(b_again.id), RunState::pending);
  EXPECT_EQ(state(c_again.id), RunState::waiting);
  end(b_again.id, RunState::succeeded);
  EXPECT_EQ(state(c_again.id), RunState::pending);
  EXPECT_EQ(runs_of(b.id).size(), 2u) << "the retry is no round of its own";
  EXPECT_EQ(runs_of(cleanup.id).size(), 1u) << "what ran is not run again";
}

TEST_P(UpstreamRunsContract, Downstream_RetryFailsToo_SkipsAgainAndCanBeRepeated) {
  const auto a = create("a");
  const auto b = create_after("b", {a.id});
  auto failed = trigger(a.id);
  end(failed, RunState::failed);
  for (const auto to : {RunState::failed, RunState::succeeded}) {
    const auto made =
        ok(runs().insert({.task = a.id, .trigger = domain::Trigger::retry, .retry_of = failed, .downstream = true}));
    ASSERT_EQ(made.downstream.size(), 1u);
    failed = made.runs.at(0).id;
    end(failed, to);
    EXPECT_EQ(state(made.downstream[0].id), to == RunState::failed ? RunState::skipped : RunState::pending);
  }
  EXPECT_EQ(runs_of(b.id).size(), 3u);
}

TEST_P(UpstreamRunsContract, Downstream_AnotherUpstreamFailedAsWell_IsSkippedAgainAndNamesIt) {
  const auto a = create("a"), other = create("other");
  const auto b = create_after("b", {a.id, other.id});
  const auto failed = trigger(a.id), bad = trigger(other.id);
  end(bad, RunState::failed);
  end(failed, RunState::failed);
  const auto made =
      ok(runs().insert({.task = a.id, .trigger = domain::Trigger::retry, .retry_of = failed, .downstream = true}));
  ASSERT_EQ(made.downstream.size(), 1u);
  EXPECT_EQ(made.downstream[0].state, RunState::skipped);
  EXPECT_THAT(made.downstream[0].message, HasSubstr("'other' ended failed"));
}

TEST_P(UpstreamRunsContract, Downstream_DiamondOfSlots_JoinsAgain) {
  const auto top = create_scheduled("top", OverlapPolicy::allow);
  const auto left = create_waiting("left", {top.id}), right = create_waiting("right", {top.id});
  const auto join = create_waiting("join", {left.id, right.id});
  clock.advance(1min);
  const auto now = clock.now();
  const auto failed = fire_now(top.id);
  fire_waiting(left.id, {at(top.id, now)});
  fire_waiting(right.id, {at(top.id, now)});
  fire_waiting(join.id, {at(left.id, now), at(right.id, now)});
  end(failed, RunState::failed);
  ASSERT_THAT(states_of(join.id), ElementsAre(RunState::skipped));
  const auto made =
      ok(runs().insert({.task = top.id, .trigger = domain::Trigger::retry, .retry_of = failed, .downstream = true}));
  ASSERT_EQ(made.downstream.size(), 3u);
  end(made.runs[0].id, RunState::succeeded);
  end(newest(left.id), RunState::succeeded);
  EXPECT_EQ(state(newest(join.id)), RunState::waiting);
  end(newest(right.id), RunState::succeeded);
  EXPECT_EQ(state(newest(join.id)), RunState::pending);
}

TEST_P(UpstreamRunsContract, Downstream_TaskWithALimit_WaitsForRoomAfterItsUpstreams) {
  const auto a = create("a");
  auto b = create_after("b", {a.id});
  b.spec.max_concurrent_runs = 1;
  b = ok(tasks().update(b, {}));
  const auto failed = trigger(a.id);
  end(failed, RunState::failed);
  const auto busy = trigger(b.id);
  const auto made =
      ok(runs().insert({.task = a.id, .trigger = domain::Trigger::retry, .retry_of = failed, .downstream = true}));
  ASSERT_EQ(made.downstream.size(), 1u);
  EXPECT_EQ(made.downstream[0].waits_for, domain::Wait::upstreams);
  end(made.runs[0].id, RunState::succeeded);
  EXPECT_EQ(run(made.downstream[0].id).waits_for, domain::Wait::limit);
  end(busy, RunState::succeeded);
  EXPECT_EQ(state(made.downstream[0].id), RunState::pending);
}

// The fire time's first run failed, and left nothing: what counts is the run that took its place.
TEST_P(UpstreamRunsContract, Downstream_OfAFireTime_GetsTheOutputOfTheNewRunAlone) {
  const auto up = create_scheduled("up", OverlapPolicy::allow);
  const auto down = create_waiting("down", {up.id});
  clock.advance(1min);
  const auto failed = fire_now(up.id);
  fire_waiting(down.id, {at(up.id, clock.now())});
  end(failed, RunState::failed);
  const auto made =
      ok(runs().insert({.task = up.id, .trigger = domain::Trigger::retry, .retry_of = failed, .downstream = true}));
  ASSERT_EQ(made.downstream.size(), 1u);
  const auto again = made.runs[0].id, waits = made.downstream[0].id;
  end(again, RunState::succeeded);
  EXPECT_EQ(ok(dispatch().upstream_outputs({waits}, 1)).at(waits).json,
            fmt::format(R"({{"up":{{"run_id":{},"state":"succeeded","slot":null,"shard_index":0,"output":null}}}})",
                        again.value));
}

TEST_P(UpstreamRunsContract, Downstream_ShardedRun_Conflict) {
  auto it = spec("sharded");
  it.shard_count = 2;
  const auto task = create(it);
  const auto id = trigger(task.id);
  end(id, RunState::failed);
  EXPECT_EQ(
      error(runs().insert({.task = task.id, .trigger = domain::Trigger::retry, .retry_of = id, .downstream = true}))
          .kind,
      ErrorKind::Conflict);
}

TEST_P(UpstreamRunsContract, Retry_Alone_IsNoRound) {
  const auto a = create("a"), b = create("b");
  const auto after = create_after("after", {a.id, b.id});
  const auto failed = trigger(a.id);
  end(failed, RunState::failed);
  const auto again = ok(runs().insert({.task = a.id, .trigger = domain::Trigger::retry, .retry_of = failed}));
  end(again.runs[0].id, RunState::succeeded);
  end(trigger(b.id), RunState::succeeded);
  end(trigger(b.id), RunState::succeeded);
  EXPECT_EQ(runs_of(after.id).size(), 1u) << "the second run of b has no partner";
}

// ---- the graph ------------------------------------------------------------------------------------------------------

TEST_P(UpstreamRunsContract, Edges_OfSomeTasks_AreThoseThatTouchThem) {
  const auto a = create("a"), b = create("b"), lone = create("lone");
  const auto c = create_after("c", {b.id, a.id});
  const auto d = create_after("d", {c.id});
  EXPECT_THAT(ok(tasks().edges({c.id}, 10)),
              ElementsAre(DependencyEdge{c.id, b.id}, DependencyEdge{c.id, a.id}, DependencyEdge{d.id, c.id}));
  EXPECT_THAT(ok(tasks().edges({a.id, c.id}, 10)).size(), 3u) << "each once";
  EXPECT_THAT(ok(tasks().edges({c.id}, 2)).size(), 2u);
  EXPECT_THAT(ok(tasks().edges({lone.id}, 10)), IsEmpty());
  EXPECT_THAT(ok(tasks().edges({}, 10)), IsEmpty());
}

TEST_P(UpstreamRunsContract, Standings_OfSomeTasks_SayHowTheirNewestRunStands) {
  const auto a = create("a"), b = create_scheduled("b", OverlapPolicy::allow);
  end(trigger(a.id), RunState::failed);
  const auto active = trigger(a.id);
  const auto all = ok(tasks().standings({b.id, a.id, TaskId{404}}));
  ASSERT_EQ(all.size(), 2u);
  EXPECT_EQ(all[0].id, a.id);
  EXPECT_EQ(all[0].name, "a");
  EXPECT_EQ(all[0].last_run, active);
  EXPECT_EQ(all[0].last_state, RunState::pending);
  EXPECT_EQ(all[1].schedule, "* * * * *");
  EXPECT_EQ(all[1].last_run, std::nullopt);
  end(active, RunState::succeeded);
  EXPECT_EQ(ok(tasks().standings({a.id})).at(0).last_state, RunState::succeeded);
}

}  // namespace scheduler::contract
