// tests/contract/message_queue_contract.hpp — what every MessageQueue promises (application/ports/message_queue.hpp).
//
// An adapter's test adds one file:
//   std::unique_ptr<QueueUnderTest> make_redis() { … }        // null: not reachable here, the suite says that it skips
//   INSTANTIATE_TEST_SUITE_P(RedisStreams, MessageQueueContract, ::testing::Values(&make_redis));
// No order is promised, so nothing here compares orders. A real broker may be shared: every test names its own queues.
#pragma once

#include "application/ports/message_queue.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <string_view>
#include <tuple>
#include <variant>
#include <vector>

namespace scheduler::contract {

using namespace application;
using namespace std::chrono_literals;

class QueueUnderTest {
 public:
  virtual ~QueueUnderTest() = default;
  [[nodiscard]] virtual MessageQueue& queue() = 0;
  [[nodiscard]] virtual asio::io_context& io() = 0;
  // Lets time pass and runs what becomes ready: a fake moves its clock, a broker's adapter runs the loop that long.
  virtual void pass(Micros time) = 0;
};

// Every queue under test is made to refuse more messages than this.
inline constexpr std::size_t kDepthMax = 3000;

// Messages are told apart by the id of a run.
inline Message message(std::int64_t id) {
  TaskControl control;
  control.run = RunId{id};
  return {std::vector{control}};
}
inline std::int64_t id_of(const Delivery& it) {
  return std::get<std::vector<TaskControl>>(it.message->payload).at(0).run.value;
}
inline std::vector<std::int64_t> ids_of(const std::vector<Delivery>& deliveries) {
  std::vector<std::int64_t> ids;
  for (const auto& it : deliveries) ids.push_back(id_of(it));
  return ids;
}

// One operation in progress.
template <class T>
class Running {
 public:
  Running(asio::io_context& io, Async<T> work) : state_(std::make_shared<std::optional<SchedulerResult<T>>>()) {
    asio::co_spawn(io, std::move(work), [state = state_](std::exception_ptr thrown, SchedulerResult<T> value) {
      if (thrown) std::rethrow_exception(thrown);
      *state = std::move(value);
    });
  }
  [[nodiscard]] bool done() const { return state_->has_value(); }
  [[nodiscard]] SchedulerResult<T>& result() { return **state_; }

 private:
  std::shared_ptr<std::optional<SchedulerResult<T>>> state_;
};

class MessageQueueContract : public ::testing::TestWithParam<std::unique_ptr<QueueUnderTest> (*)()> {
 protected:
  void SetUp() override {
    env_ = GetParam()();
    if (!env_) GTEST_SKIP() << "the service of this queue is not reachable";
    std::random_device dice;
    prefix_ = "contract." + std::to_string(dice()) + "." + std::to_string(dice()) + ".";
  }
  void TearDown() override {
    for (const auto& name : named_) (void)run(queue().remove(name));
  }

  [[nodiscard]] MessageQueue& queue() { return env_->queue(); }
  // A queue of this test alone.
  QueueName name(std::string_view word = "queue") {
    named_.insert({prefix_ + std::string(word)});
    return {prefix_ + std::string(word)};
  }

  template <class T>
  Running<T> begin(Async<T> work) {
    Running<T> running(env_->io(), std::move(work));
    env_->pass(0us);
    return running;
  }
  // Until it has ended; the test fails when that takes ten seconds.
  template <class T>
  SchedulerResult<T> finish(Running<T>& running) {
    for (Micros spent{0}; !running.done() && spent < 10s; spent += 10ms) env_->pass(10ms);
    if (!running.done()) return fail(ErrorKind::Timeout, "did not end within ten seconds");
    return std::move(running.result());
  }
  template <class T>
  SchedulerResult<T> run(Async<T> work) {
    auto running = begin(std::move(work));
    return finish(running);
  }

  static std::vector<Message> messages(std::int64_t first, std::int64_t last) {
    std::vector<Message> all;
    for (auto id = first; id <= last; ++id) all.push_back(message(id));
    return all;
  }
  static std::vector<DeliveryTag> tags_of(const std::vector<Delivery>& deliveries) {
    std::vector<DeliveryTag> tags;
    for (const auto& it : deliveries) tags.push_back(it.tag);
    return tags;
  }

  void publish(QueueName to, std::vector<Message> batch) {
    const auto sent = run(queue().publish(std::move(to), std::move(batch)));
    ASSERT_TRUE(sent) << sent.error().message;
  }
  std::vector<Delivery> receive(QueueConsumer& from, std::size_t max = 1000, Micros wait_max = 1s) {
    auto got = run(from.receive(max, wait_max));
    EXPECT_TRUE(got) << got.error().message;
    return got ? *std::move(got) : std::vector<Delivery>{};
  }
  // Until `n` messages have come, or nothing comes any more.
  std::vector<Delivery> receive_all(QueueConsumer& from, std::size_t n) {
    std::vector<Delivery> all;
    for (bool more = true; more && all.size() < n;) {
      auto some = receive(from);
      more = !some.empty();
      all.insert(all.end(), some.begin(), some.end());
    }
    return all;
  }
  void acknowledge(QueueConsumer& from, std::vector<DeliveryTag> tags) {
    const auto done = run(from.acknowledge(std::move(tags)));
    EXPECT_TRUE(done) << done.error().message;
  }
  // A broker may need a moment until what it counts has settled.
  void expect_depth(QueueName of, std::size_t expected) {
    std::optional<std::size_t> seen;
    for (Micros spent{0}; seen != expected && spent < 10s; spent += 10ms) {
      if (seen) env_->pass(10ms);
      const auto depth = run(queue().depth(of));
      ASSERT_TRUE(depth) << depth.error().message;
      seen = *depth;
    }
    EXPECT_EQ(seen, expected) << "messages in queue " << of.value;
  }
  void expect_nothing(QueueConsumer& from) { EXPECT_THAT(ids_of(receive(from, 1000, 200ms)), ::testing::IsEmpty()); }

  std::unique_ptr<QueueUnderTest> env_;

 private:
  std::string prefix_;
  std::set<QueueName> named_;
};

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

TEST_P(MessageQueueContract, Publish_Batch_IsDeliveredWhole) {
  const auto consumer = queue().consume(name(), 100);
  publish(name(), messages(1, 3));
  const auto got = receive_all(*consumer, 3);
  EXPECT_THAT(ids_of(got), UnorderedElementsAre(1, 2, 3));
  for (const auto& it : got) EXPECT_FALSE(it.redelivered);
}

TEST_P(MessageQueueContract, Publish_NothingListens_IsKept) {
  publish(name(), messages(1, 1));
  const auto consumer = queue().consume(name(), 100);
  EXPECT_THAT(ids_of(receive(*consumer)), ElementsAre(1));
}

TEST_P(MessageQueueContract, Publish_EmptyBatch_IsNothing) {
  const auto consumer = queue().consume(name(), 100);
  publish(name(), {});
  expect_nothing(*consumer);
}

TEST_P(MessageQueueContract, Publish_EveryPayload_ArrivesUnchanged) {
  const auto now = TimePoint{1'780'000'000'123'456us};
  const auto to = name();
  const auto consumer = queue().consume(to, 100);
  domain::Outcome outcome{.state = domain::AttemptState::failed,
                          .reason = domain::Reason::http_status,
                          .message = "50\u00b3 \"no\"\n",
                          .http_status = 503,
                          .permanent = true,
                          .retry_after = 1500ms};
  domain::WorkerInfo worker{.id = {"w 1"},
                            .incarnation = {9'007'199'254'740'991},
                            .host = "h",
                            .pid = 5,
                            .version = "1",
                            .task_types = {"http", "shell"},
                            .labels = {{"a", "b"}},
                            .slots = 3,
                            .capacity = 7,
                            .busy = 2,
                            .load = 1.25,
                            .memory_bytes = 1LL << 40,
                            .state = domain::WorkerState::draining};
  publish(to, {Message{std::vector{TaskExecution{.run = {1},
                                                 .task = {2},
                                                 .task_name = "t\u00e9",
                                                 .task_type = "shell",
                                                 .parameters = R"({"a":[1,2]})",
                                                 .attempt = 4,
                                                 .token = 6,
                                                 .timeout = 9s,
                                                 .slot = now,
                                                 .shard_index = 1,
                                                 .shard_total = 2}}}});
  publish(to, {Message{std::vector{StatusUpdate{.run = {1},
                                                .attempt = 2,
                                                .token = 3,
                                                .incarnation = {4},
                                                .age = 5us,
                                                .duration = 6us,
                                                .outcome = outcome,
                                                .unstarted = true,
                                                .log_lines = 8},
                                   StatusUpdate{.run = {2}}}}});
  publish(to, {Message{WorkerHeartbeat{.worker = worker, .held = {{RunId{1}, 2}, {RunId{3}, 4}}, .leaving = true}}});
  publish(to, {Message{std::vector{TaskControl{
                  .kind = TaskControl::Kind::retire, .run = {1}, .token = 2, .reason = domain::Reason::worker_lost}}}});
  publish(to, {Message{std::vector{LogChunk{.run = {1},
                                            .attempt = 2,
                                            .first_line = 3,
                                            .lines = 2,
                                            .stream = Stream::err,
                                            .at = now,
                                            .text = "a\n\u20ac"}}}});
  publish(to, {Message{Nudge{}}});
  std::size_t seen = 0;
  for (const auto& it : receive_all(*consumer, 6)) {
    const auto& payload = it.message->payload;
    seen |= std::size_t{1} << payload.index();
    if (const auto* work = std::get_if<std::vector<TaskExecution>>(&payload)) {
      ASSERT_THAT(*work, SizeIs(1));
      const auto& w = work->at(0);
      EXPECT_EQ(std::tie(w.run.value, w.task.value, w.task_name, w.task_type, w.parameters, w.attempt, w.token,
                         w.timeout, w.slot, w.shard_index, w.shard_total),
                std::make_tuple(1, 2, std::string("t\u00e9"), std::string("shell"), std::string(R"({"a":[1,2]})"), 4, 6,
                                Seconds{9}, std::optional(now), 1, 2));
    } else if (const auto* news = std::get_if<std::vector<StatusUpdate>>(&payload)) {
      ASSERT_THAT(*news, SizeIs(2));
      const auto& n = news->at(0);
      EXPECT_EQ(std::tie(n.run.value, n.attempt, n.token, n.incarnation.value, n.age, n.duration, n.outcome,
                         n.unstarted, n.log_lines),
                std::make_tuple(1, 2, 3, 4, std::optional(Micros{5}), Micros{6}, std::optional(outcome), true, 8));
      EXPECT_FALSE(news->at(1).age);
      EXPECT_FALSE(news->at(1).outcome);
    } else if (const auto* beat = std::get_if<WorkerHeartbeat>(&payload)) {
      const auto& w = beat->worker;
      EXPECT_EQ(std::tie(w.id, w.incarnation, w.host, w.pid, w.version, w.task_types, w.labels, w.slots, w.capacity,
                         w.busy, w.load, w.memory_bytes, w.state),
                std::tie(worker.id, worker.incarnation, worker.host, worker.pid, worker.version, worker.task_types,
                         worker.labels, worker.slots, worker.capacity, worker.busy, worker.load, worker.memory_bytes,
                         worker.state));
      ASSERT_THAT(beat->held, SizeIs(2));
      EXPECT_EQ(beat->held[1].run, RunId{3});
      EXPECT_EQ(beat->held[1].token, 4);
      EXPECT_TRUE(beat->leaving);
    } else if (const auto* controls = std::get_if<std::vector<TaskControl>>(&payload)) {
      ASSERT_THAT(*controls, SizeIs(1));
      EXPECT_EQ(controls->at(0).kind, TaskControl::Kind::retire);
      EXPECT_EQ(controls->at(0).reason, domain::Reason::worker_lost);
      EXPECT_EQ(controls->at(0).token, 2);
    } else if (const auto* chunks = std::get_if<std::vector<LogChunk>>(&payload)) {
      ASSERT_THAT(*chunks, SizeIs(1));
      const auto& c = chunks->at(0);
      EXPECT_EQ(std::tie(c.run.value, c.attempt, c.first_line, c.lines, c.stream, c.at, c.text),
                std::make_tuple(1, 2, 3, 2, Stream::err, now, std::string("a\n\u20ac")));
    }
  }
  EXPECT_EQ(seen, 0b111111u) << "a kind of message did not arrive";
}

TEST_P(MessageQueueContract, Publish_TwoQueues_AreApart) {
  const auto a = queue().consume(name("a"), 100), b = queue().consume(name("b"), 100);
  publish(name("a"), messages(1, 1));
  publish(name("b"), messages(2, 2));
  EXPECT_THAT(ids_of(receive(*a)), ElementsAre(1));
  EXPECT_THAT(ids_of(receive(*b)), ElementsAre(2));
  expect_nothing(*a);
}

TEST_P(MessageQueueContract, Publish_LargeBatches_AllArrive) {
  const auto consumer = queue().consume(name(), 500);
  std::vector<TaskExecution> work(2000);
  for (auto& it : work) it.parameters = R"({"text":")" + std::string(500, 'x') + "\"}";
  publish(name(), {Message{std::move(work)}});
  const auto one = receive(*consumer, 1, 5s);
  ASSERT_THAT(one, SizeIs(1));
  EXPECT_THAT(std::get<std::vector<TaskExecution>>(one[0].message->payload), SizeIs(2000));
  acknowledge(*consumer, tags_of(one));

  publish(name(), messages(1, 2000));
  std::set<std::int64_t> seen;
  for (bool more = true; more && seen.size() < 2000;) {
    const auto some = receive(*consumer);
    more = !some.empty();
    for (const auto id : ids_of(some)) seen.insert(id);
    acknowledge(*consumer, tags_of(some));
  }
  EXPECT_THAT(seen, SizeIs(2000));
}

TEST_P(MessageQueueContract, Receive_NothingThere_ReturnsEmptyAfterTheWait) {
  const auto consumer = queue().consume(name(), 100);
  auto waiting = begin(consumer->receive(10, 500ms));
  EXPECT_FALSE(waiting.done());
  env_->pass(250ms);
  EXPECT_FALSE(waiting.done());
  env_->pass(750ms);
  const auto got = finish(waiting);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(*got, IsEmpty());
}

TEST_P(MessageQueueContract, Receive_WithoutAWait_ReturnsSoon) {
  const auto consumer = queue().consume(name(), 100);
  const auto got = run(consumer->receive(10, 0us));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(*got, IsEmpty());
}

TEST_P(MessageQueueContract, Receive_Max_IsNotExceeded) {
  const auto consumer = queue().consume(name(), 100);
  publish(name(), messages(1, 5));
  std::set<std::int64_t> seen;
  for (int i = 0; i < 5 && seen.size() < 5; ++i) {
    const auto some = receive(*consumer, 2);
    EXPECT_THAT(some, ::testing::AllOf(SizeIs(::testing::Ge(1u)), SizeIs(::testing::Le(2u))));
    for (const auto id : ids_of(some)) seen.insert(id);
  }
  EXPECT_THAT(seen, SizeIs(5));
}

TEST_P(MessageQueueContract, Receive_WhileItWaits_IsWokenByPublish) {
  const auto consumer = queue().consume(name(), 100);
  auto waiting = begin(consumer->receive(10, 3600s));
  env_->pass(100ms);
  ASSERT_FALSE(waiting.done());
  publish(name(), messages(7, 7));
  const auto got = finish(waiting);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(ids_of(*got), ElementsAre(7));
}

TEST_P(MessageQueueContract, Receive_WhileItWaits_IsWokenByGiveBack) {
  const auto first = queue().consume(name(), 100);
  publish(name(), messages(7, 7));
  const auto held = receive(*first);
  const auto second = queue().consume(name(), 100);
  auto waiting = begin(second->receive(10, 3600s));
  env_->pass(100ms);
  ASSERT_FALSE(waiting.done());
  EXPECT_TRUE(run(first->give_back(tags_of(held))));
  const auto got = finish(waiting);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(ids_of(*got), ElementsAre(7));
}

TEST_P(MessageQueueContract, Receive_SeveralWait_EachMessageReachesOne) {
  const auto a = queue().consume(name(), 100), b = queue().consume(name(), 100);
  auto first = begin(a->receive(1, 2s)), second = begin(b->receive(1, 2s));
  publish(name(), messages(1, 1));
  publish(name(), messages(2, 2));
  const auto x = finish(first), y = finish(second);
  ASSERT_TRUE(x && y);
  EXPECT_THAT(ids_of(*x), SizeIs(1));
  EXPECT_THAT(ids_of(*y), SizeIs(1));
  EXPECT_NE(ids_of(*x), ids_of(*y));
}

TEST_P(MessageQueueContract, Receive_OneOfTwoWaitingIsFull_TheOtherGetsIt) {
  const auto full = queue().consume(name(), 1), free = queue().consume(name(), 1);
  publish(name(), messages(1, 1));
  ASSERT_THAT(receive(*full), SizeIs(1));
  auto stuck = begin(full->receive(1, 3s)), waiting = begin(free->receive(1, 3600s));
  publish(name(), messages(2, 2));
  const auto got = finish(waiting);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(ids_of(*got), ElementsAre(2));
  const auto nothing = finish(stuck);
  ASSERT_TRUE(nothing) << nothing.error().message;
  EXPECT_THAT(*nothing, IsEmpty());
}

TEST_P(MessageQueueContract, Interrupt_WhileItWaits_EndsAtOnce) {
  const auto consumer = queue().consume(name(), 100);
  auto waiting = begin(consumer->receive(10, 3600s));
  env_->pass(100ms);
  ASSERT_FALSE(waiting.done());
  consumer->interrupt();
  const auto got = finish(waiting);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(*got, IsEmpty());
}

TEST_P(MessageQueueContract, Interrupt_NobodyWaits_LosesNothing) {
  const auto consumer = queue().consume(name(), 100);
  consumer->interrupt();
  publish(name(), messages(1, 1));
  EXPECT_THAT(ids_of(receive_all(*consumer, 1)), ElementsAre(1));
}

TEST_P(MessageQueueContract, Acknowledge_Done_IsNotDeliveredAgain) {
  {
    const auto consumer = queue().consume(name(), 100);
    publish(name(), messages(1, 2));
    const auto got = receive_all(*consumer, 2);
    ASSERT_THAT(got, SizeIs(2));
    acknowledge(*consumer, {got[0].tag});
    acknowledge(*consumer, {got[1].tag});
  }
  const auto later = queue().consume(name(), 100);
  expect_nothing(*later);
}

TEST_P(MessageQueueContract, Acknowledge_UnknownOrRepeatedTags_AreIgnored) {
  const auto consumer = queue().consume(name(), 100);
  publish(name(), messages(1, 2));
  const auto got = receive_all(*consumer, 2);
  ASSERT_THAT(got, SizeIs(2));
  EXPECT_NE(got[0].tag, got[1].tag);
  acknowledge(*consumer, {got[0].tag, got[0].tag, 987'654'321});
  acknowledge(*consumer, {got[0].tag});
  EXPECT_TRUE(run(consumer->give_back({got[0].tag, 987'654'321})));
  EXPECT_TRUE(run(consumer->give_back({got[1].tag})));
  EXPECT_THAT(ids_of(receive(*consumer)), ElementsAre(id_of(got[1])));
}

TEST_P(MessageQueueContract, GiveBack_SomeOfThem_ComeAgainAndSaySo) {
  const auto consumer = queue().consume(name(), 100);
  publish(name(), messages(1, 3));
  const auto got = receive_all(*consumer, 3);
  ASSERT_THAT(got, SizeIs(3));
  EXPECT_TRUE(run(consumer->give_back({got[0].tag, got[2].tag})));
  const auto again = receive_all(*consumer, 2);
  EXPECT_THAT(ids_of(again), UnorderedElementsAre(id_of(got[0]), id_of(got[2])));
  for (const auto& it : again) EXPECT_TRUE(it.redelivered);
  acknowledge(*consumer, tags_of(again));
  acknowledge(*consumer, {got[1].tag});
  expect_nothing(*consumer);
}

TEST_P(MessageQueueContract, Receive_NotAcknowledgedAndClosed_IsDeliveredAgain) {
  auto first = queue().consume(name(), 100);
  publish(name(), messages(1, 3));
  const auto got = receive_all(*first, 3);
  ASSERT_THAT(got, SizeIs(3));
  acknowledge(*first, {got[1].tag});
  const auto second = queue().consume(name(), 100);
  expect_nothing(*second);  // one consumer at a time has a message
  first.reset();
  const auto again = receive_all(*second, 2);
  EXPECT_THAT(ids_of(again), UnorderedElementsAre(id_of(got[0]), id_of(got[2])));
  for (const auto& it : again) EXPECT_TRUE(it.redelivered);
}

TEST_P(MessageQueueContract, Receive_WhileItWaits_IsWokenByAnothersClose) {
  auto first = queue().consume(name(), 100);
  publish(name(), messages(1, 1));
  ASSERT_THAT(receive(*first), SizeIs(1));
  const auto second = queue().consume(name(), 100);
  auto waiting = begin(second->receive(10, 3600s));
  env_->pass(100ms);
  first.reset();
  const auto got = finish(waiting);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(ids_of(*got), ElementsAre(1));
}

TEST_P(MessageQueueContract, Prefetch_Full_NothingMoreComesUntilAcknowledged) {
  const auto consumer = queue().consume(name(), 3);
  publish(name(), messages(1, 10));
  auto out = receive_all(*consumer, 3);
  ASSERT_THAT(out, SizeIs(3));
  expect_nothing(*consumer);
  acknowledge(*consumer, {out[0].tag, out[1].tag});
  const auto more = receive_all(*consumer, 2);
  EXPECT_THAT(more, SizeIs(2));
  expect_nothing(*consumer);
}

TEST_P(MessageQueueContract, Consume_ManyCompete_EachMessageGoesToOne) {
  std::vector<std::unique_ptr<QueueConsumer>> consumers;
  for (int i = 0; i < 5; ++i) consumers.push_back(queue().consume(name(), 7));
  publish(name(), messages(1, 300));
  std::multiset<std::int64_t> seen;
  for (bool more = true; more && seen.size() < 300;) {
    more = false;
    for (const auto& consumer : consumers) {
      const auto some = receive(*consumer, 5, 200ms);
      for (const auto id : ids_of(some)) seen.insert(id);
      acknowledge(*consumer, tags_of(some));
      more |= !some.empty();
    }
  }
  EXPECT_THAT(seen, SizeIs(300));
  EXPECT_THAT(std::set(seen.begin(), seen.end()), SizeIs(300));
}

TEST_P(MessageQueueContract, Depth_WaitingAndOut_AreCounted) {
  expect_depth(name("never used"), 0);
  const auto consumer = queue().consume(name(), 2);
  publish(name(), messages(1, 5));
  expect_depth(name(), 5);
  const auto got = receive_all(*consumer, 2);
  expect_depth(name(), 5);
  acknowledge(*consumer, tags_of(got));
  expect_depth(name(), 3);
}

TEST_P(MessageQueueContract, Remove_Queue_DropsWhatIsInIt) {
  publish(name(), messages(1, 5));
  EXPECT_TRUE(run(queue().remove(name())));
  expect_depth(name(), 0);
  EXPECT_TRUE(run(queue().remove(name()))) << "twice is harmless";
  publish(name(), messages(6, 6));
  const auto consumer = queue().consume(name(), 100);
  EXPECT_THAT(ids_of(receive_all(*consumer, 1)), ElementsAre(6));
}

TEST_P(MessageQueueContract, Remove_ConsumerStillHolds_HarmsNobody) {
  auto consumer = queue().consume(name(), 100);
  publish(name(), messages(1, 2));
  const auto got = receive_all(*consumer, 2);
  EXPECT_TRUE(run(queue().remove(name())));
  (void)run(consumer->acknowledge({got.at(0).tag}));
  consumer.reset();
  expect_depth(name(), 0);
}

TEST_P(MessageQueueContract, Publish_QueueIsFull_IsRefusedUntilThereIsRoom) {
  publish(name(), messages(1, kDepthMax));
  const auto refused = run(queue().publish(name(), messages(0, 0)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::MessageQueue) << "Unavailable would mean that the broker is away";
  publish(name("other"), messages(1, 1));
  const auto consumer = queue().consume(name(), 10);
  acknowledge(*consumer, tags_of(receive(*consumer, 10)));
  publish(name(), messages(0, 0));
}

}  // namespace scheduler::contract
