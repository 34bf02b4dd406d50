#include "dispatcher/dispatcher_world.hpp"
#include "dispatcher/heartbeat_loop.hpp"

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace scheduler::dispatcher {
namespace {

using ::testing::IsEmpty;
using ::testing::SizeIs;

struct DispatchTick : ::testing::Test, World {};
struct StatusTick : ::testing::Test, World {
  // A run that worker 1 holds with token 1.
  RunId held(RunState state = RunState::dispatched, domain::TaskSpec spec = {}) {
    if (store.worker_rows.empty()) worker("w1", 1);
    return store.add_held_run(task(std::move(spec)), {"w1"}, {1}, state);
  }
};
struct HeartbeatTick : StatusTick {};
struct RescueTick : StatusTick {};
struct FireTick : ::testing::Test, World {
  // A task that is due since `late`.
  TaskId due(std::string schedule, Micros late = 0s, domain::TaskSpec spec = {}) {
    spec.schedule = std::move(schedule);
    return store.add_task(std::move(spec), clock.now() - late - 1us, clock.now() - late);
  }
  void SetUp() override { clock.advance(std::chrono::ceil<std::chrono::hours>(clock.now()) - clock.now()); }
};
struct LogTick : ::testing::Test, World {};

// --- dispatch ---

TEST_F(DispatchTick, DueRuns_GoToWorkersWithRoom) {
  worker("w1", 1, 2);
  const auto t = task();
  for (int i = 0; i < 3; ++i) store.add_run(t);
  EXPECT_EQ(done("dispatch"), 2u);
  EXPECT_EQ(mail(1), "run 1/1, run 2/1");
  EXPECT_EQ(run({1}).state, RunState::dispatched);
  EXPECT_EQ(run({1}).attempt, 1);
  EXPECT_EQ(run({1}).incarnation, IncarnationId{1});
  EXPECT_EQ(run({3}).state, RunState::pending);
  EXPECT_EQ(done("dispatch"), 0u);
  EXPECT_EQ(metrics.count(Counter::runs_dispatched), 2u);
}

TEST_F(DispatchTick, RunsOfOneTick_TravelInOneMessagePerWorker) {
  worker("w1", 1, 50);
  worker("w2", 2, 50);
  const auto t = task();
  for (int i = 0; i < 100; ++i) store.add_run(t);
  EXPECT_EQ(done("dispatch"), 100u);
  EXPECT_EQ(depth(worker_queue({1})), 1u);
  EXPECT_EQ(depth(worker_queue({2})), 1u);
}

TEST_F(DispatchTick, UrgentRuns_GoFirst) {
  worker("w1", 1, 2);
  const auto normal = task(), urgent = task({.priority = 9}), later = task({.priority = 9});
  store.add_run(normal);
  store.add_run(urgent);
  run(store.add_run(later)).due_at = clock.now() + 1h;
  EXPECT_EQ(done("dispatch"), 2u);
  EXPECT_EQ(mail(1), "run 2/1, run 1/1");
}

TEST_F(DispatchTick, NothingDue_RestsUntilTheNextRunIs) {
  worker("w1", 1);
  EXPECT_EQ(tick("dispatch")->rest, kPoll);
  run(store.add_run(task())).due_at = clock.now() + 300ms;
  EXPECT_EQ(tick("dispatch")->rest, 300ms);
  clock.advance(300ms);
  EXPECT_EQ(done("dispatch"), 1u);
}

TEST_F(DispatchTick, NobodyFit_LeavesRunsPending) {
  worker("w1", 1);
  store.worker_rows.at({1}).info.state = domain::WorkerState::draining;
  worker("w2", 2);
  const auto gpu = task({.worker_labels = {{"gpu", "yes"}}});
  store.add_run(gpu);
  EXPECT_EQ(done("dispatch"), 0u);
  store.add_run(task());
  EXPECT_EQ(done("dispatch"), 1u) << "a run nobody can serve does not stand in the way";
  EXPECT_EQ(mail(2), "run 2/1");
}

TEST_F(DispatchTick, AnotherDispatcherWasFirst_PublishesOnlyWhatItWon) {
  worker("w1", 1);
  const auto t = task();
  for (int i = 0; i < 3; ++i) store.add_run(t);
  faults.fail_while([this](std::string_view call) {
    if (call == "mark_dispatched") run({2}).token = 7;  // between the read and the write
    return false;
  });
  EXPECT_EQ(done("dispatch"), 2u);
  EXPECT_EQ(mail(1), "run 1/1, run 3/1");
  EXPECT_EQ(metrics.count(Counter::runs_dispatched), 2u);
}

// It waited until the run was missed, more than twenty seconds: a short outage of the broker held up whatever was
// dispatched during it.
TEST_F(DispatchTick, PublishFails_TheSameWorkIsSentAgain) {
  worker("w1", 1);
  store.add_run(task());
  faults.fail_while([](std::string_view call) { return call == "publish worker.1"; });
  EXPECT_EQ(done("dispatch"), 1u) << "the row is the truth";
  EXPECT_EQ(run({1}).state, RunState::dispatched);
  EXPECT_EQ(done("dispatch"), 0u);
  EXPECT_EQ(mail(1), "");
  faults.heal();
  (void)done("dispatch");
  EXPECT_EQ(mail(1), "run 1/1") << "with its token: whoever has it already refuses the second one";
  (void)done("dispatch");
  EXPECT_EQ(mail(1), "");
}

TEST_F(DispatchTick, QueueTakesNothing_ItsWorkerGetsNothingMore) {
  worker("w1", 1);
  store.add_run(task());
  faults.fail_while([](std::string_view call) { return call == "publish worker.1"; });
  EXPECT_EQ(done("dispatch"), 1u);
  store.add_run(task());
  EXPECT_EQ(done("dispatch"), 0u);
  EXPECT_EQ(run({2}).state, RunState::pending);
  EXPECT_TRUE(run_on(io, queue.depth(kStatusQueue))) << "the broker itself is there";
  worker("w2", 2);
  EXPECT_EQ(done("dispatch"), 1u) << "one worker's queue holds up nobody else";
  EXPECT_EQ(mail(2), "run 2/1");
}

TEST_F(DispatchTick, WorkNotSent_IsLeftOnceItIsSettled) {
  worker("w1", 1);
  const auto t = task();
  for (int i = 0; i < 3; ++i) store.add_run(t);
  faults.fail_while([](std::string_view call) { return call == "publish worker.1"; });
  EXPECT_EQ(done("dispatch"), 3u);
  run({1}).token = 2;                  // taken back
  run({2}).state = RunState::running;  // the message had arrived
  faults.heal();
  (void)done("dispatch");
  EXPECT_EQ(mail(1), "run 3/1");
}

TEST_F(DispatchTick, DispatcherDiesWithUnsentWork_RunsAreSentAgainOnceTheyAreMissed) {
  worker("w1", 1);
  store.add_run(task());
  faults.fail_while([](std::string_view call) { return call == "publish worker.1"; });
  EXPECT_EQ(done("dispatch"), 1u);
  faults.heal();
  begin_dispatcher();
  (void)tick("rescue");
  for (int second = 0; second < 30; ++second) {
    clock.advance(1s);
    beat("w1", 1);
    (void)tick("heartbeat");
    (void)tick("rescue");
    (void)tick("dispatch");
  }
  EXPECT_EQ(mail(1), "run 1/3") << "token 2 was the rescue";
  EXPECT_THAT(store.faults_of_rows(), IsEmpty());
}

// --- status ---

TEST_F(StatusTick, Started_RunIsRunningSinceThen) {
  const auto id = held();
  report({began(id, 1)});
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(run(id).state, RunState::running);
  EXPECT_EQ(run(id).started_at, clock.now() - 1s);
}

TEST_F(StatusTick, EachOutcome_EndsTheRun) {
  const struct {
    AttemptState outcome;
    RunState state;
    Counter counter;
  } rows[] = {
      {AttemptState::succeeded, RunState::succeeded, Counter::runs_succeeded},
      {AttemptState::failed, RunState::failed, Counter::runs_failed},
      {AttemptState::timed_out, RunState::timed_out, Counter::runs_timed_out},
      {AttemptState::cancelled, RunState::cancelled, Counter::runs_cancelled},
  };
  for (const auto& row : rows)
    for (const auto from : {RunState::dispatched, RunState::running}) {
      const auto id = held(from);
      report({ended(id, 1, row.outcome)});
      EXPECT_EQ(done("status"), 1u);
      EXPECT_EQ(run(id).state, row.state);
      EXPECT_EQ(run(id).started_at, clock.now() - 3s) << "the worker's age, on our clock";
      EXPECT_EQ(run(id).ended_at, clock.now() - 1s);
    }
  for (const auto& row : rows) EXPECT_EQ(metrics.count(row.counter), 2u);
  EXPECT_EQ(depth(kStatusQueue), 0u);
  EXPECT_THAT(store.faults_of_rows(), IsEmpty());
}

TEST_F(StatusTick, StartAndEndInOneBatch_AreOneChange) {
  const auto id = held();
  report({began(id, 1), ended(id, 1)});
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(run(id).state, RunState::succeeded);
}

TEST_F(StatusTick, DoubledReports_ChangeNothingMore) {
  const auto id = held();
  report({ended(id, 1), ended(id, 1)});
  report({ended(id, 1)});
  EXPECT_EQ(done("status"), 1u);
  report({ended(id, 1, AttemptState::failed)});
  EXPECT_EQ(done("status"), 0u);
  EXPECT_EQ(run(id).state, RunState::succeeded);
  EXPECT_THAT(store.attempt_rows, SizeIs(1));
  EXPECT_EQ(metrics.count(Counter::runs_succeeded), 1u);
  EXPECT_EQ(metrics.count(Counter::reports_refused), 3u);
}

TEST_F(StatusTick, OtherTokensAndUnknownRuns_AreRefused) {
  const auto id = held();
  run(id).token = 4;
  report({ended(id, 3), began(id, 2), ended(id, 5), handed_back(id, 1), ended({99}, 1)});
  EXPECT_EQ(done("status"), 0u);
  EXPECT_EQ(run(id).state, RunState::dispatched);
  EXPECT_EQ(metrics.count(Counter::reports_refused), 5u);
  EXPECT_EQ(depth(kStatusQueue), 0u) << "refused is handled";
}

// The late end of a lost attempt and the start of its successor may share a batch; the start must not be dropped.
TEST_F(StatusTick, StaleEndBesideACurrentStart_StartCounts) {
  const auto id = held();
  run(id).token = 3;
  report({ended(id, 1), began(id, 3)});
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(run(id).state, RunState::running);
}

TEST_F(StatusTick, FailureWithRetriesLeft_IsDispatchedAgainAfterTheBackoff) {
  const auto id = held(RunState::running, {.max_retries = 1, .retry_backoff = {10, 2, 60}});
  report({ended(id, 1, AttemptState::failed)});
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(run(id).state, RunState::pending);
  EXPECT_EQ(metrics.count(Counter::attempts_retried), 1u);
  clock.advance(9s);
  EXPECT_EQ(done("dispatch"), 0u);
  clock.advance(2s);
  EXPECT_EQ(done("dispatch"), 1u);
  EXPECT_EQ(mail(1), "run 1/2");
  EXPECT_EQ(run(id).attempt, 2);
  report({ended(id, 2, AttemptState::failed)});
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(run(id).state, RunState::failed);
  EXPECT_THAT(store.attempt_rows, SizeIs(2));
  EXPECT_THAT(store.faults_of_rows(), IsEmpty());
}

// What upstream runs left goes along; what memory has no room for goes with a later tick.
TEST_F(DispatchTick, Upstreams_AreReadForThoseThatAreSentAndAFewAtATime) {
  worker("w1", 1, 10);
  std::vector<RunId> ids;
  for (int i = 0; i < 4; ++i) ids.push_back(store.add_run(store.add_task({})));
  store.upstream_rows[ids[0]] = {.json = R"({"a":1})", .fault = {}};
  store.upstream_rows[ids[1]] = {.json = {}, .fault = "too much"};
  store.upstream_rows[ids[2]] = {.json = R"({"a":3})", .fault = {}};
  store.upstream_runs_max = 2;
  EXPECT_EQ(done("dispatch"), 3u);
  EXPECT_EQ(run(ids[2]).state, RunState::pending);
  EXPECT_EQ(done("dispatch"), 1u);
  std::map<RunId, TaskExecution> sent;
  const auto mail = embedded.consume(worker_queue({1}), 1000);
  for (const auto& message : take(*mail))
    for (const auto& it : std::get<std::vector<TaskExecution>>(message.payload)) sent.emplace(it.run, it);
  EXPECT_EQ(sent.at(ids[0]).upstream, R"({"a":1})");
  EXPECT_EQ(sent.at(ids[1]).upstream, std::nullopt);
  EXPECT_EQ(sent.at(ids[1]).upstream_fault, "too much");
  EXPECT_EQ(sent.at(ids[2]).upstream, R"({"a":3})");
  EXPECT_EQ(sent.at(ids[3]).upstream, std::nullopt);
  EXPECT_EQ(sent.at(ids[3]).upstream_fault, std::nullopt);
}

// What a run leaves is stored with its success.
TEST_F(StatusTick, Output_IsStoredWithTheSuccess) {
  const auto id = held(RunState::running);
  auto update = ended(id, 1);
  update.outcome->output = R"({"a":1})";
  report({update});
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(store.output_rows.at(id), R"({"a":1})");
}

// The failure itself, and why it is not tried again although retries are left.
TEST_F(StatusTick, FailureThatRetryOnExcludes_EndsTheRunAndSaysSo) {
  const auto id = held(RunState::running, {.max_retries = 5, .retry_on = {.exit_codes = {75}}});
  auto update = ended(id, 1, AttemptState::failed);
  update.outcome = domain::Outcome{
      .state = AttemptState::failed, .reason = Reason::exit_code, .message = "exited with code 1", .exit_code = 1};
  report({update});
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(run(id).state, RunState::failed);
  EXPECT_EQ(run(id).reason, Reason::exit_code);
  EXPECT_EQ(run(id).message, "exited with code 1; not tried again: retry_on.exit_codes does not hold 1");
}

TEST_F(StatusTick, WorkerStopped_AttemptIsLostAndFollowedByAnother) {
  const auto id = held(RunState::running);
  report({ended(id, 1, AttemptState::lost)});
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(run(id).state, RunState::pending);
  EXPECT_EQ(run(id).lost_attempts, 1);
  EXPECT_EQ(run(id).due_at, clock.now());
}

TEST_F(StatusTick, HandedBack_IsAsIfItHadNotBeenDispatched) {
  const auto id = held();
  report({handed_back(id, 1)});
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(run(id).state, RunState::pending);
  EXPECT_EQ(run(id).attempt, 0);
  EXPECT_EQ(run(id).token, 2);
  EXPECT_THAT(store.attempt_rows, IsEmpty());
}

// A cancel mark is carried out by the worker's report; a worker that hands back has nothing to kill.
TEST_F(StatusTick, HandedBackWithACancelMark_IsCancelled) {
  const auto id = held();
  run(id).cancel_reason = Reason::cancelled_by_user;
  report({handed_back(id, 1)});
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(run(id).state, RunState::cancelled);
  EXPECT_EQ(run(id).reason, Reason::cancelled_by_user);
  EXPECT_EQ(metrics.count(Counter::runs_cancelled), 1u);
}

TEST_F(StatusTick, StoreFails_ReportsComeAgain) {
  const auto id = held();
  report({ended(id, 1)});
  for (const std::string_view call : {"contexts", "apply"}) {
    faults.fail_while([call](std::string_view it) { return it == call; });
    EXPECT_FALSE(tick("status"));
    EXPECT_FALSE(tick("status"));
    EXPECT_EQ(depth(kStatusQueue), 1u);
    EXPECT_EQ(run(id).state, RunState::dispatched);
  }
  faults.heal();
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(run(id).state, RunState::succeeded);
  EXPECT_EQ(depth(kStatusQueue), 0u);
}

TEST_F(StatusTick, StrangeMessage_IsDroppedAndStallsNobody) {
  const auto id = held();
  publish(kStatusQueue, Message{Nudge{}});
  report({});
  report({ended(id, 1)});
  EXPECT_EQ(done("status"), 1u);
  EXPECT_EQ(depth(kStatusQueue), 0u);
}

TEST_F(StatusTick, NothingThere_DoesNothing) { EXPECT_EQ(done("status"), 0u); }

// --- heartbeat ---

TEST_F(HeartbeatTick, FirstHeartbeat_Registers) {
  beat("w1", 5);
  EXPECT_EQ(done("heartbeat"), 1u);
  const auto& info = store.worker_rows.at({5}).info;
  EXPECT_EQ(info.state, domain::WorkerState::alive);
  EXPECT_EQ(info.heartbeat_due, clock.now() + 30s);
  EXPECT_EQ(mail(5), "");
  clock.advance(20s);
  beat("w1", 5);
  (void)done("heartbeat");
  EXPECT_EQ(store.worker_rows.at({5}).info.heartbeat_due, clock.now() + 30s);
  EXPECT_EQ(depth(kHeartbeatQueue), 0u);
}

TEST_F(HeartbeatTick, DeadIncarnation_IsRetired) {
  worker("w1", 5);
  store.worker_rows.at({5}).info.state = domain::WorkerState::dead;
  beat("w1", 5);
  (void)done("heartbeat");
  EXPECT_EQ(mail(5), "retire");
  EXPECT_EQ(store.worker_rows.at({5}).info.state, domain::WorkerState::dead) << "for good";
}

TEST_F(HeartbeatTick, NewIncarnationOfAnId_ReplacesTheOldOne) {
  beat("w1", 5);
  beat("w1", 6);
  beat("w2", 7);
  (void)done("heartbeat");
  EXPECT_EQ(mail(5), "") << "one heartbeat may be a late message of a process that is gone";
  beat("w1", 6);
  (void)done("heartbeat");
  EXPECT_EQ(mail(5), "replaced");
  EXPECT_EQ(mail(6), "");
  beat("w1", 5);
  (void)done("heartbeat");
  EXPECT_EQ(mail(5), "replaced") << "it is told again as long as it lives";
  EXPECT_EQ(store.worker_rows.at({7}).info.state, domain::WorkerState::alive);
}

TEST_F(HeartbeatTick, Leaving_RunsAreTakenBackAtOnce) {
  const auto id = held(RunState::running);
  (void)tick("rescue");
  beat("w1", 1, {{id, 1}}, true);
  (void)done("heartbeat");
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::dead);
  EXPECT_EQ(done("rescue"), 1u);
  EXPECT_EQ(run(id).state, RunState::pending);
}

// The farewell was faster than the last reports: what had succeeded was done again, and at_most_once runs failed.
TEST_F(HeartbeatTick, Leaving_LastReportsMayComeAfterTheFarewell) {
  const auto id = held(RunState::running), other = held();
  (void)tick("rescue");
  beat("w1", 1, {}, true);
  (void)done("heartbeat");
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::draining) << "it gets nothing more";
  EXPECT_EQ(done("rescue"), 0u);
  report({ended(id, 1), handed_back(other, 1)});
  EXPECT_EQ(done("status"), 2u);
  (void)done("heartbeat");
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::dead);
  EXPECT_EQ(done("rescue"), 0u);
  EXPECT_EQ(run(id).state, RunState::succeeded);
  EXPECT_EQ(run(other).lost_attempts, 0);
}

TEST_F(HeartbeatTick, Leaving_RunsWithoutAReportAreTakenBackSoon) {
  const auto id = held();
  (void)tick("rescue");
  beat("w1", 1, {}, true);
  for (auto waited = 0s; waited < kLeaveGrace; waited += 1s) {
    (void)done("heartbeat");
    EXPECT_EQ(done("rescue"), 0u);
    clock.advance(1s);
  }
  (void)done("heartbeat");
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::dead);
  EXPECT_EQ(done("rescue"), 1u);
  EXPECT_EQ(run(id).state, RunState::pending);
}

TEST_F(HeartbeatTick, RunNotListed_IsMissingOnceItMustBeKnown) {
  const auto id = held();
  clock.advance(9s);
  beat("w1", 1);
  (void)done("heartbeat");
  EXPECT_FALSE(store.missing_since[id]) << "the message may still be on its way";
  clock.advance(2s);
  beat("w1", 1);
  (void)done("heartbeat");
  EXPECT_EQ(store.missing_since[id], clock.now());
  const auto since = clock.now();
  clock.advance(5s);
  beat("w1", 1);
  (void)done("heartbeat");
  EXPECT_EQ(store.missing_since[id], since) << "missing since it was first missed";
  beat("w1", 1, {{id, 1}});
  (void)done("heartbeat");
  EXPECT_FALSE(store.missing_since[id]) << "found after all";
}

TEST_F(HeartbeatTick, CancelMark_IsRepeatedWhileTheRunIsHeld) {
  const auto id = held(RunState::running);
  run(id).cancel_reason = Reason::overlap;
  clock.advance(11s);
  for (int i = 0; i < 2; ++i) {
    beat("w1", 1, {{id, 1}});
    (void)done("heartbeat");
    EXPECT_EQ(mail(1), "cancel 1/1 overlap") << "with the mark's own reason";
  }
}

// An inventory is only what somebody sent; a wrong one must not stop the dispatchers.
TEST_F(HeartbeatTick, UnsortedInventory_IsRead) {
  const auto a = held(), b = held(), c = held();
  clock.advance(11s);
  beat("w1", 1, {{c, 1}, {a, 1}, {RunId{77}, 1}});
  (void)done("heartbeat");
  EXPECT_TRUE(store.missing_since[b]);
  EXPECT_FALSE(store.missing_since[a]);
  EXPECT_FALSE(store.missing_since[c]);
}

TEST_F(HeartbeatTick, StoreFails_HeartbeatsComeAgain) {
  beat("w1", 5);
  beat("w2", 6);
  faults.fail_while([](std::string_view call) { return call == "heartbeat"; });
  EXPECT_FALSE(tick("heartbeat"));
  EXPECT_EQ(depth(kHeartbeatQueue), 2u);
  faults.heal();
  EXPECT_EQ(done("heartbeat"), 2u);
  EXPECT_THAT(store.worker_rows, SizeIs(2));
}

TEST_F(HeartbeatTick, StrangeMessage_IsDropped) {
  publish(kHeartbeatQueue, Message{Nudge{}});
  beat("w1", 5);
  (void)done("heartbeat");
  EXPECT_EQ(depth(kHeartbeatQueue), 0u);
  EXPECT_THAT(store.worker_rows, SizeIs(1));
}

// --- rescue ---

TEST_F(RescueTick, Start_EveryoneGetsOneMoreTimeout) {
  worker("w1", 1);
  clock.advance(10min);  // nobody listened
  EXPECT_EQ(done("rescue"), 0u);
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::alive);
  for (int second = 0; second < 29; ++second) {
    clock.advance(1s);
    EXPECT_EQ(done("rescue"), 0u);
  }
  clock.advance(1s);
  EXPECT_EQ(done("rescue"), 1u) << "silence until the due instant means dead";
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::dead);
  EXPECT_EQ(metrics.count(Counter::workers_dead), 1u);
}

// Half of three seconds was one second in whole seconds: every tick forgave, and nobody was ever declared dead.
TEST_F(RescueTick, ShortWorkerTimeout_SilenceMeansDeadAllTheSame) {
  settings.worker_timeout = 3s;
  begin_dispatcher();
  worker("w1", 1);
  for (Micros waited{0}; waited <= 4s;) {
    const auto rested = tick("rescue");
    ASSERT_TRUE(rested);
    const auto late = rested->rest + 100ms;  // no machine is exact
    clock.advance(late);
    waited += late;
  }
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::dead);
}

TEST_F(RescueTick, AfterAPauseOfThisProcess_NobodyIsDeclaredDead) {
  worker("w1", 1);
  (void)done("rescue");
  clock.advance(40s);
  EXPECT_EQ(done("rescue"), 0u);
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::alive);
}

// While the store was away no heartbeat could be written: failing ticks are no proof that this process listened.
TEST_F(RescueTick, AfterAnOutageOfTheStore_NobodyIsDeclaredDead) {
  worker("w1", 1);
  (void)done("rescue");
  faults.fail_while([](std::string_view call) { return call == "expire" || call == "extend_deadlines"; });
  for (int i = 0; i < 60; ++i) {
    clock.advance(1s);
    EXPECT_FALSE(tick("rescue"));
  }
  faults.heal();
  EXPECT_EQ(done("rescue"), 0u);
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::alive);
}

// Every restart of the broker that took longer than the timeout killed everything that ran.
TEST_F(RescueTick, WhileTheBrokerIsAway_NobodyIsDeclaredDead) {
  worker("w1", 1);
  (void)done("rescue");
  faults.fail_while([](std::string_view call) { return call == "receive heartbeats"; });
  for (int i = 0; i < 120; ++i) {
    EXPECT_FALSE(tick("heartbeat"));
    EXPECT_EQ(done("rescue"), 0u);
    clock.advance(500ms);
  }
  faults.heal();
  (void)done("heartbeat");
  EXPECT_EQ(done("rescue"), 0u);
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::alive);
  EXPECT_EQ(store.worker_rows.at({1}).info.heartbeat_due, clock.now() + settings.worker_timeout);
  for (int i = 0; i < 61; ++i) {
    (void)done("heartbeat");
    (void)done("rescue");
    clock.advance(500ms);
  }
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::dead) << "it was silent after the outage too";
}

TEST_F(RescueTick, OneDispatcherIsCutOff_TheOtherOneStillDeclaresDead) {
  worker("w1", 1);
  (void)done("rescue");
  auto deaf = std::move(dispatcher);
  begin_dispatcher();
  for (int i = 0; i < 62; ++i) {
    faults.fail_while([](std::string_view call) { return call == "receive heartbeats"; });
    std::swap(dispatcher, deaf);
    EXPECT_FALSE(tick("heartbeat"));
    EXPECT_EQ(done("rescue"), 0u);
    std::swap(dispatcher, deaf);
    faults.heal();
    (void)done("heartbeat");
    (void)done("rescue");
    clock.advance(500ms);
  }
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::dead);
}

TEST_F(RescueTick, StartWithTheStoreAway_StillForgives) {
  worker("w1", 1);
  clock.advance(10min);
  faults.fail_while([](std::string_view call) { return call == "extend_deadlines"; });
  EXPECT_FALSE(tick("rescue"));
  faults.heal();
  EXPECT_EQ(done("rescue"), 0u);
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::alive);
}

TEST_F(RescueTick, DeadWorkersRuns_FollowTheirPolicy) {
  const auto again = held(), once = held(RunState::running, {.delivery = domain::Delivery::at_most_once}),
             marked = held(RunState::running), unlucky = held();
  run(marked).cancel_reason = Reason::cancelled_by_user;
  run(unlucky).attempt = 3;
  run(unlucky).token = 5;
  run(unlucky).lost_attempts = 2;
  for (const auto* worker : {"w7", "w8"})
    store.attempt_rows.push_back(
        {.run = unlucky, .state = AttemptState::lost, .worker = WorkerId{worker}, .incarnation = {9}});
  store.worker_rows.at({1}).info.state = domain::WorkerState::dead;
  EXPECT_EQ(done("rescue"), 4u);
  EXPECT_EQ(run(again).state, RunState::pending);
  EXPECT_EQ(run(again).token, 2) << "a late report of the dead one changes nothing";
  EXPECT_EQ(run(once).state, RunState::failed);
  EXPECT_EQ(run(once).reason, Reason::worker_lost);
  EXPECT_THAT(run(once).message, ::testing::HasSubstr("'w1'"));
  EXPECT_EQ(run(marked).state, RunState::cancelled);
  EXPECT_EQ(run(unlucky).state, RunState::failed);
  EXPECT_EQ(run(unlucky).reason, Reason::worker_lost);
  EXPECT_EQ(run(unlucky).message,
            "worker 'w1' was lost during attempt 3; not given to another worker: it has lost 3 of them (w7, w8, w1), "
            "and max_lost_attempts is 3");
  EXPECT_EQ(metrics.count(Counter::runs_rescued), 4u);
  report({ended(again, 1)});
  EXPECT_EQ(done("status"), 0u);
  EXPECT_EQ(run(again).state, RunState::pending);
  EXPECT_THAT(store.faults_of_rows(), IsEmpty());
}

TEST_F(RescueTick, MissingForLong_IsTakenBack) {
  const auto id = held();
  store.missing_since[id] = clock.now();
  clock.advance(9s);
  EXPECT_EQ(done("rescue"), 0u);
  clock.advance(1s);
  EXPECT_EQ(done("rescue"), 1u);
  EXPECT_EQ(run(id).state, RunState::pending);
  EXPECT_EQ(run(id).token, 2);
}

TEST_F(RescueTick, OverdueRun_IsTakenBackAndItsWorkerToldToStop) {
  const auto last = held(RunState::running, {.timeout = 60s}),
             first = held(RunState::running, {.timeout = 60s, .max_retries = 1});
  for (int second = 0; second < 90; ++second) {
    clock.advance(1s);
    beat("w1", 1, {{last, 1}, {first, 1}});
    (void)done("heartbeat");
    EXPECT_EQ(done("rescue"), 0u) << "the worker ends it, up to the grace";
  }
  clock.advance(1s);
  EXPECT_EQ(done("rescue"), 2u);
  EXPECT_EQ(run(last).state, RunState::timed_out);
  EXPECT_EQ(run(last).reason, Reason::timeout);
  EXPECT_EQ(run(first).state, RunState::pending);
  EXPECT_EQ(run(first).token, 2);
  EXPECT_EQ(mail(1), "cancel 1/1 timeout, cancel 2/1 timeout");
}

TEST_F(RescueTick, ManyOrphans_AreTakenBackInSeveralTicks) {
  worker("w1", 1);
  const auto t = task();
  for (int i = 0; i < 1200; ++i) store.add_held_run(t, {"w1"}, {1});
  store.worker_rows.at({1}).info.state = domain::WorkerState::dead;
  const auto result = tick("rescue");
  ASSERT_TRUE(result);
  EXPECT_EQ(result->rest, 0us) << "there is more to do";
  EXPECT_EQ(result->done + done("rescue") + done("rescue"), 1200u);
  EXPECT_EQ(tick("rescue")->rest, kPoll);
}

// --- fire ---

TEST_F(FireTick, DueSlot_BecomesARun) {
  const auto id = due("0 * * * *");
  EXPECT_EQ(done("fire"), 1u);
  ASSERT_THAT(store.run_rows, SizeIs(1));
  EXPECT_EQ(run({1}).slot, clock.now());
  EXPECT_EQ(run({1}).trigger, domain::Trigger::schedule);
  EXPECT_EQ(store.task_rows.at(id).watermark, clock.now());
  EXPECT_EQ(store.task_rows.at(id).next_fire_at, clock.now() + 1h);
  EXPECT_EQ(metrics.count(Counter::slots_fired), 1u);
  EXPECT_EQ(done("fire"), 0u);
}

TEST_F(FireTick, NothingDue_RestsUntilTheNextSlot) {
  EXPECT_EQ(tick("fire")->rest, kPoll);
  due("0 * * * *", -400ms);
  EXPECT_EQ(tick("fire")->rest, 400ms);
}

TEST_F(FireTick, LateSlots_FollowTheMisfirePolicy) {
  const auto latest = due("0 * * * *", 5h);
  const auto skip = due("0 * * * *", 5h, {.misfire_policy = domain::MisfirePolicy::skip});
  const auto all = due("0 * * * *", 5h,
                       {.overlap_policy = domain::OverlapPolicy::allow, .misfire_policy = domain::MisfirePolicy::all});
  clock.advance(10min);  // now even the newest one is late
  (void)done("fire");
  std::map<TaskId, int> runs;
  for (const auto& [id, it] : store.run_rows) ++runs[it.task];
  EXPECT_EQ(runs[latest], 1);
  EXPECT_EQ(runs[skip], 0);
  EXPECT_EQ(runs[all], 6);
  EXPECT_EQ(metrics.count(Counter::slots_skipped), 2u) << "ranges, not slots";
  EXPECT_THAT(store.faults_of_rows(), IsEmpty());
}

TEST_F(FireTick, LongCatchUp_GoesOnAtTheNextTick) {
  const auto id = due("* * * * *", 3h,
                      {.overlap_policy = domain::OverlapPolicy::allow, .misfire_policy = domain::MisfirePolicy::all});
  EXPECT_EQ(tick("fire")->rest, 0us);
  while (done("fire") > 0) {
  }
  EXPECT_EQ(store.task_rows.at(id).watermark, clock.now());
  EXPECT_LE(store.run_rows.size(), 102u);
  EXPECT_THAT(store.faults_of_rows(), IsEmpty());
}

TEST_F(FireTick, UnreadableSchedule_IsSetAsideAndStallsNobody) {
  const auto bad = due("0 * * * *", 0s, {.timezone = "Atlantis/Capital"});
  const auto good = due("0 * * * *");
  EXPECT_EQ(done("fire"), 1u);
  EXPECT_TRUE(store.quarantined.contains(bad));
  EXPECT_EQ(run({1}).task, good);
  EXPECT_EQ(tick("fire")->rest, kPoll) << "it is not looked at again and again";
}

TEST_F(FireTick, AnotherDispatcherWasFirst_NothingIsFiredTwice) {
  const auto id = due("0 * * * *");
  faults.fail_while([&](std::string_view call) {
    if (call == "slots.commit") store.task_rows.at(id).watermark = clock.now();
    return false;
  });
  EXPECT_EQ(done("fire"), 0u);
  EXPECT_THAT(store.run_rows, IsEmpty());
}

TEST_F(FireTick, Replace_TellsTheWorkerToStopTheEarlierRun) {
  const auto id = due("0 * * * *", 0s, {.overlap_policy = domain::OverlapPolicy::replace});
  worker("w1", 1);
  const auto earlier = store.add_held_run(id, {"w1"}, {1}, RunState::running);
  EXPECT_EQ(done("fire"), 1u);
  EXPECT_EQ(mail(1), "cancel 1/1 overlap");
  EXPECT_EQ(run(earlier).cancel_reason, Reason::overlap);
  EXPECT_EQ(run({2}).state, RunState::waiting);
  report({ended(earlier, 1, AttemptState::cancelled)});
  (void)done("status");
  EXPECT_EQ(run({2}).state, RunState::pending);
}

TEST_F(FireTick, QueueFails_SlotsAreFiredAllTheSame) {
  due("0 * * * *");
  faults.fail_while([](std::string_view call) { return call.starts_with("publish"); });
  EXPECT_EQ(done("fire"), 1u);
}

// --- logs ---

TEST_F(LogTick, Chunks_AreStoredOnce) {
  const std::vector<LogChunk> chunks{{.run = {1}, .first_line = 1, .text = "a"},
                                     {.run = {1}, .first_line = 2, .text = "b"}};
  publish(kLogQueue, Message{chunks});
  publish(kLogQueue, Message{chunks});
  publish(kLogQueue, Message{Nudge{}});
  (void)done("logs");
  EXPECT_THAT(store.log_rows, SizeIs(2));
  EXPECT_EQ(depth(kLogQueue), 0u);
}

TEST_F(LogTick, StoreFails_ChunksComeAgain) {
  publish(kLogQueue, Message{std::vector{LogChunk{.run = {1}, .text = "a"}}});
  faults.fail_while([](std::string_view call) { return call == "append"; });
  EXPECT_FALSE(tick("logs"));
  EXPECT_EQ(depth(kLogQueue), 1u);
  faults.heal();
  EXPECT_EQ(done("logs"), 1u);
  EXPECT_THAT(store.log_rows, SizeIs(1));
}

}  // namespace
}  // namespace scheduler::dispatcher
