#include "infrastructure/guarded_message_queue.hpp"

#include "infrastructure/circuits.hpp"
#include "infrastructure/embedded_message_queue.hpp"
#include "support/fake_timer.hpp"
#include "support/faulty_message_queue.hpp"
#include "support/recording_metrics.hpp"
#include "support/run_on.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::application;
using namespace scheduler::infrastructure;
using namespace scheduler::testing_support;
using namespace std::chrono_literals;
using State = Circuit::State;

namespace {

// Refuses everything as a full queue does.
class FullQueue final : public MessageQueue {
 public:
  Async<void> publish(QueueName, std::vector<Message>) override { co_return fail(ErrorKind::MessageQueue, "full"); }
  std::unique_ptr<QueueConsumer> consume(QueueName, std::size_t) override { return nullptr; }
  Async<std::size_t> depth(QueueName) override { co_return 100'000; }
  Async<void> remove(QueueName) override { co_return SchedulerResult<void>{}; }
};

class GuardedQueue : public ::testing::Test {
 protected:
  ~GuardedQueue() override { timer.abandon(); }

  SchedulerResult<void> publish() { return run_on(io, queue.publish_message({"q"}, Message{Nudge{}})); }
  void go_away() {
    faults.fail_while([](std::string_view call) { return !call.starts_with("receive"); });
    for (int i = 0; i < 3; ++i) EXPECT_FALSE(publish());
    ASSERT_EQ(queue.circuit()->state, State::open);
  }

  asio::io_context io{1};
  FakeClock clock;
  FakeTimer timer{io, clock};
  RecordingMetrics metrics;
  FaultInjector faults;
  EmbeddedMessageQueue embedded{timer};
  GuardedMessageQueue queue{std::make_unique<FaultyMessageQueue>(embedded, faults),
                            make_queue_circuit({io, clock, timer, metrics})};
};

}  // namespace

TEST_F(GuardedQueue, BrokerAway_PublishDepthAndRemoveAreRefusedAndNothingIsTaken) {
  go_away();
  faults.heal();
  EXPECT_EQ(publish().error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(run_on(io, queue.depth({"q"})).error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(run_on(io, queue.remove({"q"})).error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(run_on(io, embedded.depth({"q"})), 0u);
  timer.advance(100ms);
  EXPECT_TRUE(publish());
}

// In an alarm RabbitMQ takes nothing until its queues are emptied.
TEST_F(GuardedQueue, BrokerTakesNothing_ConsumersGoOn) {
  ASSERT_TRUE(publish());
  const auto consumer = queue.consume({"q"}, 10);
  go_away();
  const auto got = run_on(io, consumer->receive(10, 0us));
  ASSERT_TRUE(got);
  EXPECT_EQ(got->size(), 1u);
}

TEST_F(GuardedQueue, QueueFull_OpensNothing) {
  GuardedMessageQueue full(std::make_unique<FullQueue>(), make_queue_circuit({io, clock, timer, metrics}));
  for (int i = 0; i < 10; ++i)
    EXPECT_EQ(run_on(io, full.publish_message({"q"}, Message{Nudge{}})).error().kind, ErrorKind::MessageQueue);
  EXPECT_EQ(full.circuit()->state, State::closed);
}

TEST_F(GuardedQueue, BrokerComesBack_DispatchersHearTheProbe) {
  go_away();
  timer.advance(10s);
  EXPECT_EQ(run_on(io, embedded.depth(kNudgeQueue)), 0u);
  faults.heal();
  timer.advance(1s);
  EXPECT_EQ(queue.circuit()->state, State::closed);
  EXPECT_EQ(run_on(io, embedded.depth(kNudgeQueue)), 1u);
}

TEST_F(GuardedQueue, States_AreMetrics) {
  EXPECT_EQ(metrics.value(Gauge::message_queue_circuit), 0);
  go_away();
  EXPECT_EQ(metrics.value(Gauge::message_queue_circuit), 2);
  timer.advance(10s);
  EXPECT_EQ(metrics.count(Counter::message_queue_circuit_opened), 1u) << "a failed probe is no new opening";
  faults.heal();
  timer.advance(1s);
  EXPECT_EQ(metrics.value(Gauge::message_queue_circuit), 0);
  go_away();
  EXPECT_EQ(metrics.count(Counter::message_queue_circuit_opened), 2u);
  EXPECT_EQ(metrics.count(Counter::store_circuit_opened), 0u);
}

TEST_F(GuardedQueue, GoesAwayWhileOpen_ItsProbeDoesToo) {
  {
    GuardedMessageQueue gone(std::make_unique<FaultyMessageQueue>(embedded, faults),
                             make_queue_circuit({io, clock, timer, metrics}));
    faults.fail_while([](std::string_view) { return true; });
    for (int i = 0; i < 3; ++i) (void)run_on(io, gone.publish_message({"q"}, Message{Nudge{}}));
  }
  timer.advance(1min);
  EXPECT_EQ(timer.waiting(), 0u);
}
