// contract/run_repository_contract.hpp — what every RunRepository and RunLogRepository must do.
#pragma once

#include "contract/store_fixture.hpp"

namespace scheduler::contract {

class RunRepositoryContract : public StoreContract {
 protected:
  std::vector<RunId> ids(const RunFilter& filter, const Paging& paging = {.limit = 100}) {
    std::vector<RunId> found;
    for (const auto& it : ok(runs().list(filter, paging)).items) found.push_back(it.id);
    return found;
  }
};

TEST_P(RunRepositoryContract, Insert_Task_MakesAPendingRunThatIsDueNow) {
  auto it = spec("a");
  it.priority = 7;
  const auto task = create(it);
  const auto made = ok(runs().insert({.task = task.id}));
  EXPECT_FALSE(made.existed);
  ASSERT_EQ(made.runs.size(), 1u);
  for (const auto& found : {made.runs[0], run(made.runs[0].id)}) {
    EXPECT_EQ(found.task, task.id);
    EXPECT_EQ(found.task_name, "a");
    EXPECT_EQ(found.trigger, domain::Trigger::manual);
    EXPECT_EQ(found.state, RunState::pending);
    EXPECT_EQ(found.priority, 7);
    EXPECT_EQ(found.created_at, clock.now());
    EXPECT_EQ(found.due_at, clock.now());
    EXPECT_EQ(found.shard_total, 1);
    EXPECT_EQ(found.token, 0);
    EXPECT_FALSE(found.slot || found.retry_of || found.parameters || found.worker || found.ended_at);
  }
}

TEST_P(RunRepositoryContract, Insert_ShardedTask_MakesARunForEachShard) {
  auto it = spec("a");
  it.shard_count = 3;
  const auto made = ok(runs().insert({.task = create(it).id}));
  ASSERT_EQ(made.runs.size(), 3u);
  EXPECT_EQ(made.runs[2].shard_index, 2);
  EXPECT_EQ(made.runs[2].shard_total, 3);
}

TEST_P(RunRepositoryContract, Insert_PausedTask_StartsAllTheSame) {
  auto it = spec("a");
  it.status = domain::TaskStatus::paused;
  EXPECT_EQ(ok(runs().insert({.task = create(it).id})).runs.size(), 1u);
}

TEST_P(RunRepositoryContract, Insert_UnknownTask_TaskNotFound) {
  EXPECT_EQ(error(runs().insert({.task = TaskId{404}})).kind, ErrorKind::TaskNotFound);
}

TEST_P(RunRepositoryContract, Insert_LargeParameters_ComeBackAsTheyWere) {
  const auto parameters = "{\"x\":\"" + std::string(1 << 20, '\'') + "\"}";
  const auto id = ok(runs().insert({.task = create("a").id, .parameters = parameters})).runs.at(0).id;
  EXPECT_EQ(run(id).parameters, parameters);
  finish(id);
  EXPECT_EQ(run(id).parameters, parameters);
}

TEST_P(RunRepositoryContract, Insert_KnownIdempotencyKey_GivesTheRunsItMadeThen) {
  auto it = spec("a");
  it.shard_count = 2;
  const auto task = create(it), other = create("b");
  const auto first = ok(runs().insert({.task = task.id, .idempotency_key = "k' \"1"}));
  clock.advance(1h);
  finish(first.runs[0].id);
  const auto again = ok(runs().insert({.task = task.id, .idempotency_key = "k' \"1"}));
  EXPECT_TRUE(again.existed);
  ASSERT_EQ(again.runs.size(), 2u);
  EXPECT_EQ(again.runs[0].id, first.runs[0].id);
  EXPECT_EQ(again.runs[0].state, RunState::succeeded) << "as they are now";
  EXPECT_EQ(again.runs[1].id, first.runs[1].id);
  EXPECT_FALSE(ok(runs().insert({.task = task.id, .idempotency_key = "k2"})).existed);
  EXPECT_FALSE(ok(runs().insert({.task = other.id, .idempotency_key = "k' \"1"})).existed) << "unique per task";
}

TEST_P(RunRepositoryContract, Insert_SameKeyAtTheSameTime_MakesOneRun) {
  const auto task = create("a");
  std::vector<Async<NewRuns>> works;
  for (int i = 0; i < 16; ++i) works.push_back(runs().insert({.task = task.id, .idempotency_key = "k"}));
  int made = 0;
  for (auto& it : run_all(std::move(works))) made += !must(std::move(it)).existed;
  EXPECT_EQ(made, 1);
  EXPECT_EQ(runs_of(task.id).size(), 1u);
}

TEST_P(RunRepositoryContract, Insert_RetryOfARun_KeepsItsShardAlone) {
  auto it = spec("a");
  it.shard_count = 3;
  const auto task = create(it);
  const auto shard = ok(runs().insert({.task = task.id})).runs.at(1).id;
  finish(shard, RunState::failed);
  const auto again = ok(runs().insert({.task = task.id, .trigger = domain::Trigger::retry, .retry_of = shard}));
  ASSERT_EQ(again.runs.size(), 1u);
  EXPECT_EQ(again.runs[0].retry_of, shard);
  EXPECT_EQ(again.runs[0].trigger, domain::Trigger::retry);
  EXPECT_EQ(again.runs[0].shard_index, 1);
  EXPECT_EQ(again.runs[0].shard_total, 3);
  EXPECT_EQ(error(runs().insert({.task = task.id, .retry_of = RunId{404}})).kind, ErrorKind::RunNotFound);
}

TEST_P(RunRepositoryContract, Get_UnknownRun_RunNotFound) {
  EXPECT_EQ(error(runs().get(RunId{404})).kind, ErrorKind::RunNotFound);
  EXPECT_EQ(error(runs().attempts(RunId{404})).kind, ErrorKind::RunNotFound);
  EXPECT_EQ(error(runs().cancel(RunId{404})).kind, ErrorKind::RunNotFound);
  EXPECT_FALSE(ok(runs().log_lines(RunId{404}, 1)));
}

TEST_P(RunRepositoryContract, List_EveryStateAlone_FindsExactlyThose) {
  const auto task = create("a"), other = create_scheduled("b", OverlapPolicy::queue_one);
  std::map<RunState, std::vector<RunId>> expected;
  for (const auto it : {RunState::succeeded, RunState::failed, RunState::timed_out, RunState::cancelled})
    expected[it] = {run_to(task.id, it)};
  for (int i = 0; i < 2; ++i) {
    const auto id = trigger(task.id);
    send(id);
    if (i == 1) start(id);
    expected[i == 1 ? RunState::running : RunState::dispatched] = {id};
  }
  const auto first = trigger(task.id), second = trigger(other.id);
  expected[RunState::pending] = {second, first};
  fire(other.id);
  expected[RunState::waiting] = {runs_of(other.id)[0].id};
  for (int i = 0; i < static_cast<int>(enum_names(RunState{}).size()); ++i) {
    const auto wanted = static_cast<RunState>(i);
    EXPECT_EQ(ids({.state = wanted}), expected[wanted]) << name_of(wanted);
    auto of_task = expected[wanted];
    std::erase_if(of_task, [&](RunId id) { return run(id).task != task.id; });
    EXPECT_EQ(ids({.task = task.id, .state = wanted}), of_task) << name_of(wanted);
  }
}

TEST_P(RunRepositoryContract, List_Filters_KeepWhatMatchesAll) {
  const auto a = create("a"), b = create("b");
  const auto one = trigger(a.id), two = trigger(b.id);
  const auto three = ok(runs().insert({.task = a.id, .trigger = domain::Trigger::retry, .retry_of = one})).runs[0].id;
  send(two, IncarnationId{2}, "w2");
  EXPECT_THAT(ids({}), ElementsAre(three, two, one));
  EXPECT_THAT(ids({.task = a.id}), ElementsAre(three, one));
  EXPECT_THAT(ids({.trigger = domain::Trigger::retry}), ElementsAre(three));
  EXPECT_THAT(ids({.worker = WorkerId{"w2"}}), ElementsAre(two));
  EXPECT_THAT(ids({.task = a.id, .worker = WorkerId{"w2"}}), IsEmpty());
  EXPECT_THAT(ids({.state = RunState::pending, .trigger = domain::Trigger::manual}), ElementsAre(one));
}

TEST_P(RunRepositoryContract, List_MoreThanAPage_CursorLeadsThroughAllWhileRunsAreAdded) {
  const auto task = create("a");
  std::vector<RunId> expected, seen;
  for (int i = 0; i < 5; ++i) expected.insert(expected.begin(), trigger(task.id));
  Paging paging{.limit = 2};
  for (bool more = true; more;) {
    const auto page = ok(runs().list({.task = task.id}, paging));
    for (const auto& it : page.items) seen.push_back(it.id);
    trigger(task.id);
    paging.before = page.next_cursor;
    more = page.next_cursor.has_value();
    EXPECT_FALSE(page.total) << "history is never counted";
  }
  EXPECT_EQ(seen, expected);
  EXPECT_THAT(ids({}, {.limit = 1, .offset = 3}), ElementsAre(expected[0]));
  EXPECT_EQ(error(runs().list({}, {.offset = kOffsetMax + 1})).kind, ErrorKind::Validation);
}

TEST_P(RunRepositoryContract, Attempts_OfARunInFlight_EndWithTheCurrentOne) {
  const auto id = trigger(create("a").id);
  EXPECT_THAT(ok(runs().attempts(id)), IsEmpty());
  send(id);
  apply(retried(id, clock.now()));
  send(id, IncarnationId{2}, "w2");
  start(id);
  const auto attempts = ok(runs().attempts(id));
  ASSERT_EQ(attempts.size(), 2u);
  EXPECT_EQ(attempts[0].number, 1);
  EXPECT_EQ(attempts[0].state, AttemptState::failed);
  EXPECT_EQ(attempts[1].number, 2);
  EXPECT_EQ(attempts[1].state, AttemptState::running);
  EXPECT_EQ(attempts[1].token, 2);
  EXPECT_EQ(attempts[1].worker.value, "w2");
  EXPECT_EQ(attempts[1].incarnation, IncarnationId{2});
  EXPECT_EQ(attempts[1].started_at, clock.now());
  EXPECT_FALSE(attempts[1].ended_at);
  EXPECT_FALSE(ok(runs().log_lines(id, 2))) << "it has not ended";
}

TEST_P(RunRepositoryContract, Cancel_RunThatNoWorkerHas_EndsCancelled) {
  const auto id = trigger(create("a").id);
  const auto cancelled = ok(runs().cancel(id));
  EXPECT_FALSE(cancelled.to_stop);
  EXPECT_EQ(cancelled.run.state, RunState::cancelled);
  EXPECT_EQ(cancelled.run.reason, Reason::cancelled_by_user);
  EXPECT_TRUE(cancelled.run.cancel_requested());
  EXPECT_NE(cancelled.run.message, "");
  EXPECT_EQ(cancelled.run.ended_at, clock.now());
  const auto again = error(runs().cancel(id));
  EXPECT_EQ(again.kind, ErrorKind::Conflict);
  EXPECT_THAT(again.message, HasSubstr("cancelled"));
}

TEST_P(RunRepositoryContract, Cancel_WaitingRun_EndsCancelled) {
  const auto task = create_scheduled("a", OverlapPolicy::queue_one);
  trigger(task.id);
  fire(task.id);
  EXPECT_EQ(ok(runs().cancel(runs_of(task.id)[0].id)).run.state, RunState::cancelled);
}

TEST_P(RunRepositoryContract, Cancel_RunThatAWorkerHas_IsMarkedAndTheWorkerNamed) {
  const auto id = trigger(create("a").id);
  const auto token = send(id, IncarnationId{7}, "w7");
  for (int i = 0; i < 2; ++i) {
    const auto cancelled = ok(runs().cancel(id));
    EXPECT_EQ(cancelled.run.state, RunState::dispatched);
    EXPECT_TRUE(cancelled.run.cancel_requested());
    ASSERT_TRUE(cancelled.to_stop);
    EXPECT_EQ(cancelled.to_stop->run, id);
    EXPECT_EQ(cancelled.to_stop->incarnation, IncarnationId{7});
    EXPECT_EQ(cancelled.to_stop->token, token) << "the token stays";
  }
  start(id);
  EXPECT_EQ(ok(runs().cancel(id)).run.state, RunState::running);
  EXPECT_TRUE(apply(ended(id, RunState::cancelled)));
}

TEST_P(RunRepositoryContract, Cancel_RunThatIsDispatchedAtTheSameTime_IsEitherCancelledOrMarked) {
  const auto task = create("a");
  for (int i = 0; i < 10; ++i) {
    const auto id = trigger(task.id);
    std::vector<Async<bool>> works;
    works.push_back([](DispatchRepository& to, RunId it) -> Async<bool> {
      CO_TRY(const auto won, to.mark_dispatched({{it, 0, WorkerId{"w1"}, kWorker}}));
      co_return won.at(0);
    }(dispatch(), id));
    works.push_back([](RunRepository& in, RunId it) -> Async<bool> {
      CO_TRY(const auto cancelled, in.cancel(it));
      co_return cancelled.to_stop.has_value();
    }(runs(), id));
    const auto results = run_all(std::move(works));
    EXPECT_EQ(*results[0], *results[1]) << "dispatched first: the worker must be told";
    EXPECT_EQ(state(id), *results[0] ? RunState::dispatched : RunState::cancelled);
  }
}

TEST_P(RunRepositoryContract, Cancel_EndedRun_ConflictSaysHowItEnded) {
  const auto id = run_to(create("a").id, RunState::timed_out);
  const auto refused = error(runs().cancel(id));
  EXPECT_EQ(refused.kind, ErrorKind::Conflict);
  EXPECT_THAT(refused.message, HasSubstr("timed_out"));
}

TEST_P(RunRepositoryContract, Stats_NoRuns_HaveNoRatio) {
  const auto stats = ok(runs().stats(create("a").id));
  EXPECT_EQ(stats.runs, 0);
  EXPECT_EQ(stats.active, 0);
  EXPECT_FALSE(stats.success_ratio || stats.duration_avg_ms || stats.duration_p95_ms || stats.last_success_at ||
               stats.last_failure_at);
}

TEST_P(RunRepositoryContract, Stats_EndedRuns_AreCountedAndMeasured) {
  const auto task = create("a");
  for (int seconds = 1; seconds <= 3; ++seconds) {
    const auto id = trigger(task.id);
    send(id);
    start(id);
    clock.advance(Seconds{seconds});
    apply(ended(id, seconds == 3 ? RunState::failed : RunState::succeeded));
  }
  const auto failed_at = clock.now();
  ok(runs().cancel(trigger(task.id)));
  trigger(task.id);
  run_to(create("other").id, RunState::succeeded);
  const auto stats = ok(runs().stats(task.id));
  EXPECT_EQ(stats.runs, 4);
  EXPECT_EQ(stats.by_state.at("succeeded"), 2);
  EXPECT_EQ(stats.by_state.at("failed"), 1);
  EXPECT_EQ(stats.by_state.at("cancelled"), 1);
  EXPECT_DOUBLE_EQ(*stats.success_ratio, 0.5);
  EXPECT_DOUBLE_EQ(*stats.duration_avg_ms, 2000);
  EXPECT_DOUBLE_EQ(*stats.duration_p95_ms, 3000);
  EXPECT_EQ(stats.last_success_at, failed_at - 3s);
  EXPECT_EQ(stats.last_failure_at, failed_at);
  EXPECT_EQ(stats.active, 1);
}

class RunLogRepositoryContract : public StoreContract {
 protected:
  static LogChunk chunk(RunId run, std::int64_t first_line, int lines, const std::string& text, int attempt = 1) {
    return {
        .run = run, .attempt = attempt, .first_line = first_line, .lines = lines, .at = from_micros(7), .text = text};
  }
  std::vector<std::int64_t> first_lines(RunId run, std::int64_t after_line, std::size_t bytes_max = 1 << 20) {
    std::vector<std::int64_t> found;
    for (const auto& it : ok(logs().read(run, 1, after_line, bytes_max))) found.push_back(it.first_line);
    return found;
  }
};

TEST_P(RunLogRepositoryContract, Read_Chunk_ComesBackAsItWas) {
  auto sent = chunk(RunId{5}, 1, 2, "one '\" ☃\ntwo");
  sent.stream = Stream::err;
  ok(logs().append({sent}));
  const auto found = ok(logs().read(RunId{5}, 1, 0, 100));
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].run, sent.run);
  EXPECT_EQ(found[0].attempt, 1);
  EXPECT_EQ(found[0].lines, 2);
  EXPECT_EQ(found[0].stream, Stream::err);
  EXPECT_EQ(found[0].at, sent.at);
  EXPECT_EQ(found[0].text, sent.text);
}

TEST_P(RunLogRepositoryContract, Append_ChunkThatIsThere_IsIgnored) {
  ok(logs().append({chunk(RunId{5}, 1, 1, "first")}));
  ok(logs().append({chunk(RunId{5}, 1, 1, "again"), chunk(RunId{5}, 2, 1, "new")}));
  const auto found = ok(logs().read(RunId{5}, 1, 0, 100));
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(found[0].text, "first");
}

TEST_P(RunLogRepositoryContract, Append_Empty_IsFine) { ok(logs().append({})); }

TEST_P(RunLogRepositoryContract, Read_AfterALine_BeginsWithTheChunkThatHoldsTheNextOne) {
  const RunId id{5};
  ok(logs().append({chunk(id, 11, 5, "c"), chunk(id, 1, 5, "a"), chunk(id, 6, 5, "b"), chunk(id, 1, 99, "x", 2),
                    chunk(RunId{6}, 1, 99, "y")}));
  EXPECT_THAT(first_lines(id, 0), ElementsAre(1, 6, 11));
  EXPECT_THAT(first_lines(id, 4), ElementsAre(1, 6, 11));
  EXPECT_THAT(first_lines(id, 5), ElementsAre(6, 11));
  EXPECT_THAT(first_lines(id, 14), ElementsAre(11));
  EXPECT_THAT(first_lines(id, 15), IsEmpty());
}

TEST_P(RunLogRepositoryContract, Read_ByteLimit_StopsButGivesAtLeastOneChunk) {
  const RunId id{5};
  ok(logs().append({chunk(id, 1, 1, std::string(100, 'a')), chunk(id, 2, 1, std::string(100, 'b')),
                    chunk(id, 3, 1, std::string(100, 'c'))}));
  EXPECT_THAT(first_lines(id, 0, 1), ElementsAre(1));
  EXPECT_THAT(first_lines(id, 0, 150), ElementsAre(1, 2));
  EXPECT_THAT(first_lines(id, 1, 0), ElementsAre(2));
}

}  // namespace scheduler::contract
