#include "dispatcher/dispatcher_world.hpp"
#include "dispatcher/heartbeat_loop.hpp"

#include <cstdint>
#include <string_view>

namespace scheduler::dispatcher {
namespace {

using ::testing::AllOf;
using ::testing::Ge;
using ::testing::Le;

class RunningDispatcher : public ::testing::Test, public World {
 protected:
  RunningDispatcher() : World(kPoll) {}

  void start() {
    spawn(io, "dispatcher", live());
    timer.settle();
  }
  asio::awaitable<void> live() {
    co_await dispatcher->run(io);
    over = true;
  }

  bool over = false;
};

TEST_F(RunningDispatcher, RunFromTriggerToEnd_TakesNoPolls) {
  beat("w1", 1);
  start();
  timer.advance(10ms);
  store.add_run(task());
  publish(kNudgeQueue, Message{Nudge{}});
  timer.settle();
  EXPECT_EQ(mail(1), "run 1/1") << "the nudge wakes dispatch";
  report({ended({1}, 1)});
  timer.settle();
  EXPECT_EQ(run({1}).state, RunState::succeeded);
}

// After a crash the first work once went to the worker of the process that was killed.
TEST_F(RunningDispatcher, WorkersOfAnEarlierStart_GetNoWork) {
  worker("w1", 1);
  worker("w2", 2);
  ASSERT_EQ(run_on(io, dispatcher->retire_known_workers()), 2u);
  store.add_run(task());
  start();
  timer.advance(10ms);
  EXPECT_EQ(run({1}).state, RunState::pending);
  beat("w1", 3);
  timer.advance(10ms);
  EXPECT_EQ(mail(3), "run 1/1");
}

TEST_F(RunningDispatcher, WhileItLives_TheStoreKnowsIt) {
  const auto alive = [&] { return run_on(io, store.dispatchers()).value().alive; };
  start();
  EXPECT_EQ(alive(), 1);
  timer.advance(10min);
  EXPECT_EQ(alive(), 1);
  dispatcher->stop();
  timer.settle();
  ASSERT_TRUE(over);
  EXPECT_EQ(alive(), 0) << "nobody waits for the silence of one that left";
}

TEST_F(RunningDispatcher, WithoutANudge_ThePollFindsTheRun) {
  beat("w1", 1);
  start();
  timer.advance(10ms);
  store.add_run(task());
  timer.settle();
  EXPECT_EQ(run({1}).state, RunState::pending);
  timer.advance(kPoll);
  EXPECT_EQ(run({1}).state, RunState::dispatched);
}

TEST_F(RunningDispatcher, FreedSlot_IsUsedAtOnce) {
  beat("w1", 1);
  const auto t = task();
  for (int i = 0; i < 5; ++i) store.add_run(t);
  start();
  timer.advance(1s);
  EXPECT_EQ(mail(1), "run 1/1, run 2/1, run 3/1, run 4/1");
  report({ended({2}, 1)});
  timer.settle();
  EXPECT_EQ(mail(1), "run 5/1");
}

TEST_F(RunningDispatcher, NudgeForASlot_IsFiredAtOnce) {
  start();
  timer.advance(100ms);
  store.add_task({.schedule = "* * * * * *"}, clock.now() - 1s, clock.now());
  publish(kNudgeQueue, Message{Nudge{}});
  publish(kNudgeQueue, Message{Nudge{}});
  timer.settle();
  EXPECT_EQ(store.run_rows.size(), 1u);
  EXPECT_EQ(depth(kNudgeQueue), 0u);
}

TEST_F(RunningDispatcher, LeavingWorker_WhatItGaveUpMovesAtOnce) {
  beat("w1", 1);
  start();
  const auto id = store.add_run(task());
  timer.advance(1s);
  EXPECT_EQ(mail(1), "run 1/1");
  beat("w2", 2);
  beat("w1", 1, {{id, 1}}, true);
  timer.settle();
  EXPECT_EQ(mail(2), "run 1/3");
}

TEST_F(RunningDispatcher, LeavingWorker_WhatItNeverSawMovesSoon) {
  beat("w1", 1);
  start();
  store.add_run(task());
  timer.advance(1s);
  EXPECT_EQ(mail(1), "run 1/1");
  beat("w2", 2);
  beat("w1", 1, {}, true);
  timer.advance(kLeaveGrace + 1s);
  EXPECT_EQ(mail(2), "run 1/3");
}

TEST_F(RunningDispatcher, SilentWorker_ItsRunsMoveAfterTheTimeout) {
  beat("w1", 1);
  start();
  store.add_run(task());
  timer.advance(1s);
  for (int i = 0; i < 40; ++i) {
    beat("w2", 2);
    timer.advance(1s);
  }
  EXPECT_EQ(store.worker_rows.at({1}).info.state, domain::WorkerState::dead);
  EXPECT_EQ(mail(2), "run 1/3");
}

TEST_F(RunningDispatcher, Stop_EndsWithoutTimePassing) {
  start();
  timer.advance(10s);
  dispatcher->stop();
  timer.settle();
  EXPECT_TRUE(over);
}

TEST_F(RunningDispatcher, StopBeforeRun_EndsAtOnce) {
  dispatcher->stop();
  start();
  EXPECT_TRUE(over);
}

// A store that is away for long makes the loops pause up to a second; a stop must not wait for that.
TEST_F(RunningDispatcher, StopWhileEverythingFails_EndsWithoutTimePassing) {
  start();
  faults.fail_while([](std::string_view) { return true; });
  timer.advance(60s);
  dispatcher->stop();
  timer.settle();
  EXPECT_TRUE(over);
}

TEST_F(RunningDispatcher, FailingLoop_BacksOffAndStallsNobody) {
  start();
  faults.fail_while([](std::string_view call) { return call == "to_rescue"; });
  timer.advance(60s);
  const auto before = metrics.ticks("rescue");
  EXPECT_THAT(before, AllOf(Ge(60), Le(72))) << "50 ms doubling up to a second";
  EXPECT_EQ(metrics.count(Counter::tick_errors), static_cast<std::size_t>(before) - 1);
  beat("w1", 1);
  store.add_run(task());
  timer.advance(2s);
  EXPECT_EQ(mail(1), "run 1/1");
  EXPECT_GE(metrics.ticks("dispatch"), 60);
  // A wake does not shorten the pause of a loop that fails: it would be a busy loop.
  for (int i = 0; i < 100; ++i) {
    beat("passer-by", 100 + i, {}, true);  // a worker that leaves wakes rescue
    timer.advance(10ms);
  }
  EXPECT_LE(metrics.ticks("rescue") - before, 4) << "in three seconds";
  faults.heal();
  timer.advance(6s);
  const auto healed = metrics.ticks("rescue");
  timer.advance(10s);
  EXPECT_GE(metrics.ticks("rescue") - healed, 10) << "back to the poll";
}

TEST_F(RunningDispatcher, QueueAway_ComesBackByItself) {
  start();
  faults.fail_while([](std::string_view call) { return call.starts_with("receive"); });
  timer.advance(30s);
  beat("w1", 1);
  store.add_run(task());
  timer.advance(30s);
  EXPECT_EQ(run({1}).state, RunState::pending);
  faults.heal();
  timer.advance(6s);
  EXPECT_EQ(mail(1), "run 1/1");
}

// Runs that had been marked as dispatched, though nothing could be sent, waited for their worker to miss them.
TEST_F(RunningDispatcher, BreakerOpen_DispatchWaitsAndGoesOnAtOnce) {
  start();
  beat("w1", 1);
  timer.advance(1s);
  faults.fail_while([](std::string_view call) { return call.starts_with("publish"); });
  for (int i = 0; i < 3; ++i) (void)testing_support::run_on(io, queue.publish_message(kNudgeQueue, Message{Nudge{}}));
  ASSERT_EQ(queue.circuit()->state, Circuit::State::open);
  for (int i = 0; i < 3; ++i) store.add_run(task());
  timer.advance(20s);
  for (std::int64_t i = 1; i <= 3; ++i) EXPECT_EQ(run({i}).state, RunState::pending);
  faults.heal();
  timer.advance(1100ms);
  EXPECT_EQ(mail(1), "run 1/1, run 2/1, run 3/1");
}

TEST_F(RunningDispatcher, TwoDispatchers_ShareTheWorkWithoutDoubling) {
  Dispatcher other(Ports{store, queue, zones, metrics, clock, timer, random}, settings);
  start();
  spawn(io, "other", other.run(io));
  beat("w1", 1);
  store.add_task({.schedule = "* * * * * *", .overlap_policy = domain::OverlapPolicy::allow}, clock.now(),
                 clock.now() + 1s);
  timer.advance(10s);
  EXPECT_EQ(store.run_rows.size(), 10u);
  EXPECT_THAT(store.faults_of_rows(), ::testing::IsEmpty());
  for (std::int64_t i = 1; i <= 4; ++i) EXPECT_EQ(run({i}).token, 1);
  dispatcher->stop();
  other.stop();
  timer.settle();
  EXPECT_TRUE(over);
}

}  // namespace
}  // namespace scheduler::dispatcher
