#include "core/log.hpp"
#include "worker/worker_world.hpp"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

namespace scheduler::worker {
namespace {

using domain::AttemptState;
using domain::Reason;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class WorkerRun : public WorkerWorld {};

const Script kMinute{.takes = 60s};
const domain::Outcome kFailure{
    .state = AttemptState::failed, .reason = Reason::exit_code, .message = "exit code 3", .exit_code = 3};

// --- executing and reporting ---

TEST_F(WorkerRun, Start_Heartbeat_SaysWhatItIs) {
  start();
  ASSERT_THAT(beats(), SizeIs(1));
  const auto& beat = beats()[0];
  EXPECT_EQ(beat.worker.id, WorkerId{"w1"});
  EXPECT_GT(beat.worker.incarnation.value, 0);
  EXPECT_LT(beat.worker.incarnation.value, std::int64_t{1} << 53);
  EXPECT_EQ(beat.worker.host, "here");
  EXPECT_EQ(beat.worker.pid, 42);
  EXPECT_EQ(beat.worker.version, "1.2.3");
  EXPECT_THAT(beat.worker.task_types, ElementsAre("noop", "shell"));
  EXPECT_EQ(beat.worker.labels.at("gpu"), "yes");
  EXPECT_EQ(beat.worker.slots, 2);
  EXPECT_EQ(beat.worker.capacity, 2);
  EXPECT_EQ(beat.worker.load, 1.5);
  EXPECT_EQ(beat.worker.memory_bytes, 4096);
  EXPECT_EQ(beat.worker.state, domain::WorkerState::alive);
  EXPECT_THAT(beat.held, IsEmpty());
  EXPECT_FALSE(beat.leaving);
}

TEST_F(WorkerRun, ShortAttempt_IsReportedOnce) {
  start();
  send({work(1)});
  ASSERT_EQ(news(), "1 succeeded");
  const auto& report = reports()[0];
  EXPECT_EQ(report.attempt, 1);
  EXPECT_EQ(report.token, 1);
  EXPECT_EQ(report.incarnation, incarnation());
  EXPECT_EQ(report.age, Micros{0});
  EXPECT_EQ(report.duration, Micros{0});
}

TEST_F(WorkerRun, LongAttempt_IsReportedAtItsStartAndEnd) {
  executor.script(RunId{1}, {.takes = 10s, .outcome = kFailure});
  start();
  send({work(1, 7)});
  EXPECT_EQ(news(), "1 began");
  timer.advance(10s);
  ASSERT_EQ(news(), "1 began, 1 failed");
  EXPECT_EQ(reports()[0].age, Micros{0});
  EXPECT_EQ(reports()[0].token, 7);
  EXPECT_EQ(reports()[1].outcome, kFailure);
  EXPECT_EQ(reports()[1].age, Micros{10s});
  EXPECT_EQ(reports()[1].duration, 10s);
  EXPECT_EQ(reports()[1].token, 7);
}

TEST_F(WorkerRun, UnknownTaskType_IsAFailedAttempt) {
  start();
  auto strange = work(1);
  strange.task_type = "python";
  send({strange, work(2)});
  ASSERT_EQ(news(), "1 failed, 2 succeeded");
  EXPECT_EQ(reports()[0].outcome->reason, Reason::executor_error);
  EXPECT_THAT(reports()[0].outcome->message, ::testing::HasSubstr("'python'"));
}

// What its upstream runs left cannot be handed over: that is said, and nothing is executed without it.
TEST_F(WorkerRun, UpstreamFault_FailsTheAttemptForGood) {
  start();
  auto one = work(1);
  one.upstream_fault = "the upstream runs left too much";
  send({one});
  ASSERT_EQ(news(), "1 failed");
  const auto& outcome = *reports()[0].outcome;
  EXPECT_EQ(outcome.reason, Reason::output_missing);
  EXPECT_EQ(outcome.message, "the upstream runs left too much");
  EXPECT_TRUE(outcome.permanent);
  EXPECT_THAT(executor.began(), IsEmpty());
}

TEST_F(WorkerRun, Output_TravelsWithTheReportOfASuccessAlone) {
  executor.script(RunId{1}, {.outcome = {.output = R"({"a":1})"}});
  executor.script(RunId{2}, {.takes = 10min, .outcome = {.output = R"({"a":1})"}});
  start();
  send({work(1), work(2)});
  timer.advance(6min);
  ASSERT_EQ(news(), "1 succeeded, 2 began, 2 timed_out");
  EXPECT_EQ(reports()[0].outcome->output, R"({"a":1})");
  EXPECT_EQ(reports()[2].outcome->output, std::nullopt);
}

TEST_F(WorkerRun, DoubledMessage_IsExecutedOnce) {
  executor.script(RunId{1}, kMinute);
  start();
  send({work(1), work(1)});
  send({work(1)});
  timer.advance(60s);
  send({work(1)});
  EXPECT_THAT(executor.began(), SizeIs(1));
  EXPECT_EQ(news(), "1 began, 1 succeeded");
}

TEST_F(WorkerRun, MoreRunsThanSlots_TakeTurns) {
  executor.script_others({.takes = 1s});
  start();
  std::vector<TaskExecution> all;
  for (std::int64_t run = 1; run <= 11; ++run) all.push_back(work(run));
  send(all);
  timer.advance(5s);
  EXPECT_THAT(executor.began(), SizeIs(11));
  EXPECT_EQ(executor.running(), 1);
  timer.advance(1s);
  EXPECT_EQ(executor.running(), 0);
  EXPECT_EQ(executor.running_max(), 2);
  EXPECT_EQ(std::ranges::count_if(reports(), [](const auto& it) { return it.outcome.has_value(); }), 11);
}

TEST_F(WorkerRun, Output_TravelsBesideTheReport) {
  executor.script(RunId{1}, {.takes = 10s, .output = "one\ntwo\nthr"});
  start();
  send({work(1)});
  timer.advance(100ms);
  EXPECT_EQ(output(), "one\ntwo|") << "whole lines, while the attempt runs";
  timer.advance(10s);
  EXPECT_EQ(output(), "thr|");
  EXPECT_EQ(reports().back().log_lines, 3);
}

// --- deadlines ---

TEST_F(WorkerRun, Timeout_StopsTheAttemptAtItsDeadline) {
  executor.script(RunId{1}, {.takes = 60s, .stop_takes = 2s});
  executor.script(RunId{2}, {.takes = 60s});
  start();
  const auto began = clock.elapsed();
  auto slow = work(1), slower = work(2);
  slow.timeout = 5s;
  slower.timeout = 3s;  // the later one in the message is due first
  send({slow, slower});
  timer.advance(10s);
  using Stopped = FakeExecutor::Stopped;
  EXPECT_THAT(executor.stopped(), ElementsAre(Stopped{RunId{2}, 1, StopReason::timeout, began + 3s},
                                              Stopped{RunId{1}, 1, StopReason::timeout, began + 5s}));
  ASSERT_EQ(news(), "1 began, 2 began, 2 timed_out, 1 timed_out");
  const auto& report = reports()[3];
  EXPECT_EQ(report.outcome->reason, Reason::timeout) << "whatever the process said on its way out";
  EXPECT_THAT(report.outcome->message, ::testing::HasSubstr("5 s"));
  EXPECT_EQ(report.duration, 7s);
}

TEST_F(WorkerRun, Timeout_CountsFromTheStartOfTheAttempt) {
  settings.slots = 1;
  executor.script_others({.takes = 4s});
  start();
  auto first = work(1), second = work(2);
  first.timeout = second.timeout = 5s;
  send({first, second});
  timer.advance(8s);
  EXPECT_EQ(news(), "1 began, 1 succeeded, 2 began, 2 succeeded") << "waiting for a slot is not running";
}

// --- control ---

TEST_F(WorkerRun, Cancel_RunningAttempt_IsStoppedAndReported) {
  executor.script(RunId{1}, {.takes = 60s, .outcome = kFailure, .stop_takes = 1s});
  start();
  send({work(1, 3)});
  send(TaskControl{.run = RunId{1}, .token = 3, .reason = Reason::cancelled_by_user});
  timer.advance(2s);
  ASSERT_EQ(news(), "1 began, 1 cancelled");
  EXPECT_EQ(reports()[1].outcome->reason, Reason::cancelled_by_user);
  EXPECT_EQ(reports()[1].outcome->exit_code, 3) << "what the process said is kept";
  timer.advance(5s);
  EXPECT_EQ(held(beats().back()), "");
}

TEST_F(WorkerRun, Cancel_RunOfAnEarlierFireTime_SaysThatALaterOneTookItsPlace) {
  executor.script_others(kMinute);
  start();
  send({work(1, 3)});
  send(TaskControl{.run = RunId{1}, .token = 3, .reason = Reason::overlap});
  timer.advance(2s);
  ASSERT_EQ(news(), "1 began, 1 cancelled");
  EXPECT_EQ(reports()[1].outcome->reason, Reason::overlap);
  EXPECT_EQ(reports()[1].outcome->message, "replaced by the run of a later fire time while it was running");
}

TEST_F(WorkerRun, Cancel_ReadyRun_NeverBegins) {
  executor.script_others(kMinute);
  start();
  send({work(1), work(2), work(3, 5)});
  send(TaskControl{.run = RunId{3}, .token = 5});
  EXPECT_EQ(news(), "1 began, 2 began, 3 cancelled");
  EXPECT_FALSE(reports()[2].age);
  timer.advance(120s);
  EXPECT_THAT(executor.began(), SizeIs(2));
}

TEST_F(WorkerRun, Cancel_OlderTokenOrUnknownRun_ChangesNothing) {
  executor.script_others(kMinute);
  start();
  send({work(1, 4)});
  send(TaskControl{.run = RunId{1}, .token = 3});
  send(TaskControl{.run = RunId{99}, .token = 3});
  timer.advance(60s);
  EXPECT_EQ(news(), "1 began, 1 succeeded");
}

TEST_F(WorkerRun, Cancel_Twice_IsReportedOnce) {
  executor.script(RunId{1}, {.takes = 60s, .stop_takes = 3s});
  start();
  send({work(1)});
  for (int i = 0; i < 3; ++i) send(TaskControl{.run = RunId{1}, .token = 1});
  timer.advance(60s);
  EXPECT_EQ(news(), "1 began, 1 cancelled");
}

// The dispatchers gave up on the attempt (its token is gone): a report of it would change nothing.
TEST_F(WorkerRun, RevokedAttempt_IsStoppedWithoutAReport) {
  executor.script_others(kMinute);
  settings.slots = 1;
  start();
  send({work(1), work(2)});
  send(TaskControl{.run = RunId{2}, .token = 1, .reason = Reason::timeout});
  timer.advance(60s);
  EXPECT_EQ(news(), "1 began, 1 succeeded");
  EXPECT_THAT(executor.began(), SizeIs(1));
}

TEST_F(WorkerRun, LargerToken_SupersedesTheRunningAttempt) {
  executor.script_others({.takes = 60s, .stop_takes = 1s});
  start();
  send({work(1, 1)});
  send({work(1, 3)});
  timer.advance(61s);
  EXPECT_EQ(news(), "1 began, 1 began, 1 succeeded");
  EXPECT_EQ(reports()[2].token, 3);
  EXPECT_EQ(executor.stopped().at(0).why, StopReason::superseded);
  timer.advance(5s);
  EXPECT_EQ(held(beats().back()), "");
}

// --- the queue is away ---

TEST_F(WorkerRun, ReportsRefused_AreKeptAndSentLater) {
  executor.script(RunId{1}, {.takes = 1s});
  start();
  faults.fail_while([](std::string_view call) { return call == "publish status"; });
  send({work(1), work(2)});
  timer.advance(20s);
  EXPECT_EQ(news(), "");
  EXPECT_EQ(held(beats().back()), "1/1 2/1") << "held until the queue has taken the reports";
  faults.heal();
  timer.advance(6s);
  const auto sent = reports();
  EXPECT_EQ(std::ranges::count_if(sent, [](const auto& it) { return it.outcome.has_value(); }), 2);
  for (const auto& it : sent) EXPECT_GE(it.age, Micros{20s}) << "counted when it left, not when it was first tried";
  timer.advance(5s);
  EXPECT_EQ(held(beats().back()), "");
  EXPECT_THAT(executor.began(), SizeIs(2)) << "nothing is done twice";
}

TEST_F(WorkerRun, BreakerOpensMeanwhile_NothingIsLostAndTheReturnIsNoticedSoon) {
  executor.script_others({.takes = 1s});
  start();
  faults.fail_while([](std::string_view call) { return call.starts_with("publish"); });
  send({work(1), work(2), work(3)});
  timer.advance(30s);
  EXPECT_EQ(queue.circuit()->state, Circuit::State::open);
  EXPECT_EQ(news(), "");
  faults.heal();
  timer.advance(3s);
  EXPECT_EQ(queue.circuit()->state, Circuit::State::closed);
  EXPECT_THAT(news(), ::testing::AllOf(::testing::HasSubstr("1 succeeded"), ::testing::HasSubstr("2 succeeded"),
                                       ::testing::HasSubstr("3 succeeded")));
  EXPECT_THAT(executor.began(), SizeIs(3)) << "nothing is done twice";
}

TEST_F(WorkerRun, HeartbeatsRefused_ComeAgainWithinASecond) {
  faults.fail_while([](std::string_view call) { return call == "publish heartbeats"; });
  start();
  timer.advance(12s);
  EXPECT_THAT(beats(), IsEmpty());
  faults.heal();
  timer.advance(1s);
  EXPECT_THAT(beats(), SizeIs(1));
}

// A worker without its broker wrote a line every second.
TEST_F(WorkerRun, HeartbeatsRefused_TheLogIsToldAtFirstEveryMinuteAndAtTheEnd) {
  class Lines final : public log::Sink {
   public:
    void write(log::Level, std::string_view message, std::span<const log::Field>) override {
      if (message.starts_with("heartbeat")) lines.emplace_back(message);
    }
    std::vector<std::string> lines;
  };
  const auto sink = std::make_shared<Lines>();
  log::set_sink(sink, log::Level::info);
  faults.fail_while([](std::string_view call) { return call == "publish heartbeats"; });
  start();
  timer.advance(90s);
  EXPECT_THAT(sink->lines, SizeIs(2));
  faults.heal();
  timer.advance(30s);
  EXPECT_THAT(sink->lines, SizeIs(3));
  EXPECT_EQ(sink->lines.back(), "heartbeats are sent again");
  log::set_sink(nullptr, log::Level::info);
}

TEST_F(WorkerRun, ReceiveFails_WorkIsTakenLater) {
  start();
  faults.fail_while([](std::string_view call) { return call.starts_with("receive worker"); });
  timer.advance(2s);
  send({work(1)});
  timer.advance(2s);
  EXPECT_EQ(news(), "");
  faults.heal();
  timer.advance(2s);
  EXPECT_EQ(news(), "1 succeeded");
}

// --- heartbeats ---

TEST_F(WorkerRun, Heartbeats_ComeAtTheInterval) {
  executor.script(RunId{1}, kMinute);
  start();
  send({work(1, 3)});
  timer.advance(60s);
  ASSERT_THAT(beats(), SizeIs(13));
  EXPECT_EQ(held(beats()[5]), "1/3");
  EXPECT_EQ(beats()[5].worker.busy, 1);
}

TEST_F(WorkerRun, ShortRuns_GrowTheCapacityAndLongIdlenessShrinksIt) {
  start();
  std::int64_t run = 0;
  for (int i = 0; i < 20; ++i) {
    std::vector<TaskExecution> batch;
    for (int k = 0; k < 100; ++k) batch.push_back(work(++run));
    send(batch);
    timer.advance(50ms);
  }
  const auto n = beats().size();
  EXPECT_GT(n, 1u) << "news of more capacity does not wait for the interval";
  EXPECT_LT(n, 12u) << "nor is every little change news";
  EXPECT_THAT(beats().back().worker.capacity, ::testing::AllOf(::testing::Gt(100), ::testing::Lt(4100)));
  EXPECT_EQ(beats().back().worker.slots, 2);
  const auto grown = beats().back().worker.capacity;
  timer.advance(1min);
  EXPECT_EQ(beats().back().worker.capacity, grown) << "the next burst finds it ready";
  timer.advance(2min);
  EXPECT_EQ(beats().back().worker.capacity, 2);
}

// --- leaving ---

TEST_F(WorkerRun, Stop_Idle_LeavesAtOnce) {
  start();
  const auto id = incarnation();
  worker->stop();
  timer.settle();
  ASSERT_EQ(ended, Worker::End::stopped) << "without any time passing";
  EXPECT_TRUE(beats().back().leaving);
  EXPECT_EQ(beats().back().worker.state, domain::WorkerState::draining);
  EXPECT_EQ(depth(worker_queue(id)), 0u);
}

// Dispatchers that had not heard of the drain yet sent work to a queue that was about to be removed: it counted as
// lost.
TEST_F(WorkerRun, Stop_WorkUnderWay_IsHandedBack) {
  settings.last_work_wait = 250ms;
  start();
  const auto id = incarnation();
  worker->stop();
  timer.advance(200ms);
  send({work(1)});
  EXPECT_EQ(news(), "1 handed back");
  timer.advance(200ms);
  EXPECT_FALSE(ended) << "more may come";
  timer.advance(100ms);
  EXPECT_EQ(ended, Worker::End::stopped);
  EXPECT_TRUE(beats().back().leaving);
  EXPECT_EQ(depth(worker_queue(id)), 0u);
}

TEST_F(WorkerRun, Stop_BeforeRun_NeverRegisters) {
  make();
  worker->stop();
  worker->stop();
  spawn(io, "worker", live());
  timer.settle();
  EXPECT_EQ(ended, Worker::End::stopped);
  EXPECT_THAT(beats(), IsEmpty());
}

TEST_F(WorkerRun, Stop_Busy_FinishesWhatRunsAndHandsBackTheRest) {
  executor.script_others({.takes = 10s});
  start();
  send({work(1), work(2), work(3), work(4)});
  worker->stop();
  worker->stop();
  timer.settle();
  EXPECT_EQ(news(), "1 began, 2 began, 3 handed back, 4 handed back");
  EXPECT_EQ(reports()[2].outcome->reason, Reason::shutdown);
  EXPECT_EQ(beats().back().worker.state, domain::WorkerState::draining) << "nobody should send more";
  EXPECT_FALSE(ended);
  timer.advance(10s);
  EXPECT_EQ(news(), "1 began, 2 began, 3 handed back, 4 handed back, 1 succeeded, 2 succeeded");
  EXPECT_EQ(ended, Worker::End::stopped);
  EXPECT_TRUE(beats().back().leaving);
  EXPECT_THAT(executor.stopped(), IsEmpty());
}

TEST_F(WorkerRun, WorkWhileDraining_IsHandedBack) {
  executor.script(RunId{1}, {.takes = 10s});
  start();
  send({work(1)});
  worker->stop();
  timer.settle();
  send({work(2)});
  EXPECT_EQ(news(), "1 began, 2 handed back");
  timer.advance(10s);
  EXPECT_EQ(ended, Worker::End::stopped);
  EXPECT_THAT(executor.began(), SizeIs(1));
}

// A doubled message is no new work: to hand it back would set free a run that is being executed.
TEST_F(WorkerRun, DoubledMessageWhileDraining_IsNotHandedBack) {
  executor.script(RunId{1}, {.takes = 10s});
  start();
  send({work(1), work(2)});
  worker->stop();
  timer.settle();
  send({work(1)});
  send({work(2)});
  timer.advance(10s);
  EXPECT_EQ(news(), "1 began, 2 succeeded, 1 succeeded");
}

TEST_F(WorkerRun, DrainTimeout_AttemptsAreStoppedAndReportedLost) {
  settings.drain_timeout = 30s;
  executor.script_others({.takes = 3600s, .stop_takes = 2s});
  start();
  send({work(1)});
  worker->stop();
  timer.advance(29s);
  EXPECT_EQ(executor.running(), 1);
  EXPECT_FALSE(ended);
  timer.advance(4s);
  ASSERT_EQ(news(), "1 began, 1 lost");
  EXPECT_EQ(reports()[1].outcome->reason, Reason::shutdown);
  EXPECT_FALSE(reports()[1].unstarted);
  EXPECT_EQ(executor.stopped().at(0).why, StopReason::shutdown);
  EXPECT_EQ(ended, Worker::End::stopped);
}

TEST_F(WorkerRun, StopWhileTheQueueIsAway_LeavesOnceItIsBack) {
  start();
  faults.fail_while([](std::string_view call) { return call.starts_with("publish"); });
  send({work(1)});
  worker->stop();
  timer.advance(60s);
  EXPECT_FALSE(ended) << "reports of work that was done are not given up";
  faults.heal();
  timer.advance(6s);
  EXPECT_EQ(ended, Worker::End::stopped);
  EXPECT_EQ(news(), "1 succeeded");
  EXPECT_TRUE(beats().back().leaving);
}

TEST_F(WorkerRun, StopIdleWhileTheQueueIsAway_DoesNotWaitToSayGoodbye) {
  start();
  faults.fail_while([](std::string_view call) { return call.starts_with("publish"); });
  worker->stop();
  timer.advance(11s);
  EXPECT_EQ(ended, Worker::End::stopped) << "a stop hung for as long as the broker was away";
}

TEST_F(WorkerRun, StopNowWhileTheQueueIsAway_GivesReportsUp) {
  start();
  faults.fail_while([](std::string_view call) { return call.starts_with("publish"); });
  send({work(1)});
  worker->stop();
  timer.advance(60s);
  EXPECT_FALSE(ended);
  worker->stop_now();
  timer.advance(21s);
  EXPECT_EQ(ended, Worker::End::stopped);
}

TEST_F(WorkerRun, StopNow_GivesAttemptsNoMoreTime) {
  executor.script_others({.takes = 3600s, .stop_takes = 1s});
  start();
  send({work(1)});
  worker->stop();
  timer.advance(1s);
  EXPECT_EQ(executor.running(), 1);
  worker->stop_now();
  timer.advance(1s);
  EXPECT_EQ(news(), "1 began, 1 lost");
  EXPECT_EQ(ended, Worker::End::stopped);
}

TEST_F(WorkerRun, BeginLife_ComesBeforeTheFirstHeartbeat) {
  begin_takes = 3s;
  start();
  EXPECT_THAT(lives, SizeIs(1));
  EXPECT_THAT(beats(), IsEmpty()) << "what an earlier life left behind is ended first";
  timer.advance(3s);
  EXPECT_EQ(incarnation(), lives[0]);
  send(TaskControl{.kind = TaskControl::Kind::retire});
  timer.advance(4s);
  ASSERT_THAT(lives, SizeIs(2));
  EXPECT_EQ(incarnation(), lives[1]);
}

TEST_F(WorkerRun, StopWhileALifeBegins_LeavesInOrder) {
  begin_takes = 3s;
  start();
  worker->stop();
  timer.advance(3s);
  EXPECT_EQ(ended, Worker::End::stopped);
  ASSERT_FALSE(beats().empty());
  EXPECT_TRUE(beats().back().leaving);
}

// --- declared dead ---

// It began what it still held before it could hear that its runs had long been given to others.
TEST_F(WorkerRun, WokenAfterAPause_BeginsNothingBeforeItIsAnswered) {
  executor.script_others({.takes = 10s, .stop_takes = 0s});
  start();
  send({work(1), work(2), work(3), work(4)});
  const auto said = beats().size();
  clock.advance(60s);  // SIGSTOP, SIGCONT
  timer.advance(1us);
  EXPECT_EQ(news(), "1 began, 2 began, 1 succeeded, 2 succeeded");
  EXPECT_GT(beats().size(), said) << "it says at once that it lives";
  send(TaskControl{.kind = TaskControl::Kind::retire});
  timer.advance(60s);
  EXPECT_THAT(executor.began(), SizeIs(2));
}

TEST_F(WorkerRun, WokenAfterAPauseAndStillWanted_GoesOn) {
  executor.script_others({.takes = 10s});
  start();
  send({work(1), work(2), work(3)});
  clock.advance(60s);
  timer.advance(1us);
  EXPECT_THAT(executor.began(), SizeIs(2));
  timer.advance(2s);
  EXPECT_THAT(executor.began(), SizeIs(3));
}

TEST_F(WorkerRun, CutOffFromTheQueue_BeginsNothingMore) {
  executor.script_others({.takes = 20s});
  start();
  send({work(1), work(2), work(3)});
  faults.fail_while([](std::string_view call) { return call.starts_with("publish"); });
  timer.advance(40s);
  EXPECT_THAT(executor.began(), SizeIs(2));
  faults.heal();
  timer.advance(3s);
  EXPECT_THAT(executor.began(), SizeIs(3));
}

TEST_F(WorkerRun, Retire_BeginsANewIncarnationAndForgetsTheOld) {
  executor.script_others({.takes = 60s, .stop_takes = 1s});
  start();
  const auto old = incarnation();
  send({work(1), work(2), work(3)});
  send(TaskControl{.kind = TaskControl::Kind::retire});
  timer.advance(2s);
  EXPECT_NE(incarnation(), old);
  EXPECT_EQ(held(beats().back()), "");
  EXPECT_FALSE(std::ranges::any_of(beats(), &WorkerHeartbeat::leaving)) << "it did not leave, it was declared dead";
  EXPECT_EQ(depth(worker_queue(old)), 0u);
  send({work(1, 2)});
  timer.advance(60s);
  EXPECT_EQ(news(), "1 began, 2 began, 1 began, 1 succeeded") << "nobody waits for the old one's results";
  EXPECT_EQ(reports().back().incarnation, incarnation());
  EXPECT_EQ(reports().back().token, 2);
  EXPECT_THAT(executor.stopped(), SizeIs(2));
}

TEST_F(WorkerRun, WorkForARetiredIncarnation_IsDropped) {
  executor.script_others({.takes = 60s, .stop_takes = 5s});
  start();
  const auto old = worker_queue(incarnation());
  send({work(1)});
  send(TaskControl{.kind = TaskControl::Kind::retire});
  (void)run_on(io, embedded.publish_message(old, Message{std::vector{work(2)}}));
  timer.advance(10s);
  EXPECT_EQ(news(), "1 began") << "its runs were taken back with larger tokens";
  EXPECT_THAT(executor.began(), SizeIs(1));
}

TEST_F(WorkerRun, RetireWhileDraining_StopsWithoutWaiting) {
  executor.script_others({.takes = 3600s});
  start();
  send({work(1)});
  worker->stop();
  timer.settle();
  send(TaskControl{.kind = TaskControl::Kind::retire});
  timer.advance(1s);
  EXPECT_EQ(ended, Worker::End::stopped);
  EXPECT_EQ(news(), "1 began");
}

TEST_F(WorkerRun, Replaced_EndsForGood) {
  executor.script_others({.takes = 60s});
  start();
  send({work(1)});
  const auto n = beats().size();
  send(TaskControl{.kind = TaskControl::Kind::replaced});
  timer.advance(1s);
  EXPECT_EQ(ended, Worker::End::replaced);
  timer.advance(60s);
  EXPECT_THAT(beats(), SizeIs(n)) << "two processes must not fight for one name";
  EXPECT_EQ(news(), "1 began");
}

}  // namespace
}  // namespace scheduler::worker
