#include "infrastructure/rabbitmq/rabbitmq_message_queue.hpp"

#include "config/broker_url.hpp"
#include "contract/broker_under_test.hpp"
#include "contract/tcp_proxy.hpp"
#include "infrastructure/rabbitmq/rabbit_publisher.hpp"
#include "infrastructure/rabbitmq/rabbit_subscriber.hpp"
#include "support/services.hpp"

namespace scheduler::contract {
namespace {

using infrastructure::RabbitMqMessageQueue;
using infrastructure::RabbitNames;
using infrastructure::RabbitThread;
using testing_support::service_url;
using Broker = BrokerUnderTest<RabbitMqMessageQueue>;

RabbitThread::Settings server_at(const std::string& url) {
  const auto place = config::parse_amqp_url(url);
  EXPECT_TRUE(place) << place.error().message;
  return RabbitThread::Settings::of(*place);
}

// The limit is an argument of every queue, and a queue cannot be declared again with another one: so a prefix of its
// own.
std::unique_ptr<QueueUnderTest> make_rabbitmq() {
  const auto url = service_url("RABBITMQ");
  if (!url) return nullptr;
  RabbitMqMessageQueue::Settings settings{.server = server_at(*url),
                                          .names = {.prefix = "scheduler-contract", .depth_max = kDepthMax}};
  return std::make_unique<Broker>(std::move(settings));
}

INSTANTIATE_TEST_SUITE_P(RabbitMq, MessageQueueContract, ::testing::Values(&make_rabbitmq));

// --- what only this adapter has ---

// The broker of this checkout, behind a wire that can be cut, with names of this test alone.
class RabbitFaults : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto url = service_url("RABBITMQ");
    if (!url) GTEST_SKIP() << "no RABBITMQ server here: run ./dev services up";
    server_ = server_at(*url);
    proxy_ = std::make_unique<TcpProxy>(server_.port);
    names_.prefix = std::string("faults.") + ::testing::UnitTest::GetInstance()->current_test_info()->name();
    remove_queues();
    names_.expiry = std::chrono::minutes{1};
  }
  void TearDown() override {
    if (proxy_) remove_queues();
  }
  void remove_queues() {
    Broker it(direct());
    EXPECT_TRUE(it.run(it.queue().remove(kQueue)));
    EXPECT_TRUE(it.run(it.queue().remove({"dead-letters"})));
  }

  [[nodiscard]] RabbitMqMessageQueue::Settings direct() const { return {.server = server_, .names = names_}; }
  [[nodiscard]] RabbitMqMessageQueue::Settings wired() const {
    auto settings = direct();
    settings.server.port = proxy_->port();
    settings.server.deadline = 300ms;
    settings.server.pause_max = 100ms;
    return settings;
  }
  static void publish_in_time(Broker& broker, std::int64_t id) {
    bool sent = false;
    for (int i = 0; i < 200 && !sent; ++i) {
      sent = broker.run(broker.queue().publish_message(kQueue, message(id))).has_value();
      if (!sent) broker.pass(20ms);
    }
    EXPECT_TRUE(sent);
  }
  // Again and again until they have come; errors on the way are those of a broker that is away.
  static std::set<std::int64_t> receive_in_time(Broker& broker, QueueConsumer& consumer, std::size_t n) {
    std::set<std::int64_t> ids;
    for (int i = 0; i < 100 && ids.size() < n; ++i) {
      const auto got = broker.run(consumer.receive(100, 100ms));
      if (!got) {
        EXPECT_EQ(got.error().kind, ErrorKind::Unavailable) << got.error().message;
        broker.pass(20ms);
        continue;
      }
      std::vector<DeliveryTag> tags;
      for (const auto& it : *got) tags.push_back(it.tag);
      for (const auto id : ids_of(*got)) ids.insert(id);
      EXPECT_TRUE(broker.run(consumer.acknowledge(tags)));
    }
    return ids;
  }

  RabbitThread::Settings server_;
  RabbitNames names_;
  std::unique_ptr<TcpProxy> proxy_;
};

TEST_F(RabbitFaults, Publish_BrokerIsAway_IsUnavailableAndWorksAgainLater) {
  Broker it(wired());
  publish_in_time(it, 1);
  proxy_->away();
  it.pass(50ms);
  for (int i = 0; i < 3; ++i) {
    const auto refused = it.run(it.queue().publish_message(kQueue, message(2)));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable);
    EXPECT_THAT(refused.error().message, ::testing::StartsWith("RabbitMQ at 127.0.0.1:"));
  }
  proxy_->back();
  publish_in_time(it, 3);
  const auto consumer = it.queue().consume(kQueue, 10);
  EXPECT_THAT(receive_in_time(it, *consumer, 2), ::testing::IsSupersetOf({1, 3}));
}

TEST_F(RabbitFaults, Receive_ConnectionIsCut_EndsAndNothingIsLost) {
  Broker it(wired());
  const auto consumer = it.queue().consume(kQueue, 10);
  publish_in_time(it, 1);
  publish_in_time(it, 2);
  const auto held = it.run(consumer->receive(1, 5s));
  ASSERT_THAT(held.value(), SizeIs(1));
  ASSERT_THAT(it.run(consumer->receive(1, 5s)).value(), SizeIs(1));
  Running<std::vector<Delivery>> waiting(it.io(), consumer->receive(1, 10s));
  it.pass(50ms);
  proxy_->cut();
  const auto failed = it.finish(waiting);
  ASSERT_FALSE(failed) << "a receive ends when its connection does";
  EXPECT_EQ(failed.error().kind, ErrorKind::Unavailable);
  EXPECT_TRUE(it.run(consumer->acknowledge({held->at(0).tag}))) << "too late, and ignored";
  EXPECT_THAT(receive_in_time(it, *consumer, 2), ElementsAre(1, 2));
  EXPECT_EQ(it.run(it.queue().depth(kQueue)).value(), 0u);
}

TEST_F(RabbitFaults, Connection_CutAgainAndAgain_NothingIsLost) {
  Broker it(wired());
  const auto consumer = it.queue().consume(kQueue, 10);
  std::set<std::int64_t> sent, seen;
  for (std::int64_t id = 1; id <= 30; ++id) {
    publish_in_time(it, id);
    sent.insert(id);
    if (id % 5 == 0) proxy_->cut();
    seen.merge(receive_in_time(it, *consumer, id % 7 == 0 ? 1 : 0));
  }
  while (seen.size() < sent.size()) {
    auto more = receive_in_time(it, *consumer, 1);
    ASSERT_THAT(more, ::testing::Not(IsEmpty()));
    seen.merge(more);
  }
  EXPECT_EQ(seen, sent);
}

TEST_F(RabbitFaults, Broker_SaysNothing_CallsEndByTheirDeadline) {
  Broker it(wired());
  publish_in_time(it, 1);
  proxy_->freeze();
  const auto refused = it.run(it.queue().publish_message(kQueue, message(2)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable);
  const auto unknown = it.run(it.queue().depth(kQueue));
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().kind, ErrorKind::Unavailable);
}

// The broker's own words: a method frame of channel 0, connection.blocked with a reason and connection.unblocked.
TEST_F(RabbitFaults, Broker_RaisesItsAlarm_RefusesAtOnceUntilItIsOver) {
  Broker it(wired());
  publish_in_time(it, 1);
  proxy_->say(std::string("\1\0\0\0\0\0\x08\0\x0a\0\x3c\3low\xce", 16));
  it.pass(100ms);
  const auto refused = it.run(it.queue().publish_message(kQueue, message(2)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("short of memory or disk"));
  const auto consumer = it.queue().consume(kQueue, 10);
  EXPECT_THAT(receive_in_time(it, *consumer, 1), ElementsAre(1)) << "what is there still comes";
  proxy_->say(std::string("\1\0\0\0\0\0\4\0\x0a\0\x3d\xce", 12));
  it.pass(100ms);
  EXPECT_TRUE(it.run(it.queue().publish_message(kQueue, message(3))));
  EXPECT_THAT(receive_in_time(it, *consumer, 1), ElementsAre(3));
}

TEST_F(RabbitFaults, Consumer_Died_ItsMessagesGoToAnother) {
  Broker dead(wired()), living(direct());
  publish_in_time(living, 1);
  publish_in_time(living, 2);
  const auto theirs = dead.queue().consume(kQueue, 10), ours = living.queue().consume(kQueue, 10);
  std::size_t held = 0;
  for (int i = 0; i < 20 && held < 2; ++i) {
    const auto got = dead.run(theirs->receive(10, 200ms));
    if (got) held += got->size();
  }
  ASSERT_EQ(held, 2u);
  EXPECT_THAT(living.run(ours->receive(10, 100ms)).value(), IsEmpty());
  proxy_->away();
  const auto got = living.run(ours->receive(10, 5s));
  ASSERT_TRUE(got) << got.error().message;
  ASSERT_THAT(*got, ::testing::Not(IsEmpty()));
  for (const auto& it : *got) EXPECT_TRUE(it.redelivered);
}

TEST_F(RabbitFaults, Queue_DeletedBySomebodyElse_IsMadeAgainWithTheNextMessage) {
  Broker one(direct()), other(direct());
  publish_in_time(one, 1);
  ASSERT_TRUE(other.run(other.queue().remove(kQueue)));
  ASSERT_TRUE(one.run(one.queue().publish_message(kQueue, message(2))));
  const auto consumer = one.queue().consume(kQueue, 10);
  EXPECT_THAT(receive_in_time(one, *consumer, 1), ElementsAre(2));
  Running<std::vector<Delivery>> waiting(one.io(), consumer->receive(10, 10s));
  one.pass(50ms);
  ASSERT_TRUE(other.run(other.queue().remove(kQueue)));
  publish_in_time(one, 3);
  EXPECT_THAT(ids_of(one.finish(waiting).value()), ElementsAre(3)) << "a consumer that waits finds the new queue";
}

TEST_F(RabbitFaults, Message_CannotBeRead_IsSetAsideOnceAndCounted) {
  Broker it(direct());
  infrastructure::SystemClock clock;
  infrastructure::SystemRandom random;
  infrastructure::AsioTimer timer(it.io());
  testing_support::RecordingMetrics metrics;
  const infrastructure::QueuePorts ports{it.io(), clock, timer, random, metrics};
  infrastructure::RabbitPublisher raw(ports, server_, names_);
  infrastructure::RabbitSubscriber admin(ports, server_, names_);
  const auto queue = names_.queue(kQueue);
  ASSERT_TRUE(it.run(raw.publish(queue, {R"({"version":99,"id":"x"})", "rubbish", "", std::string(300'000, '[')})));
  publish_in_time(it, 7);
  const auto consumer = it.queue().consume(kQueue, 10);
  EXPECT_THAT(receive_in_time(it, *consumer, 1), ElementsAre(7));
  EXPECT_THAT(it.run(consumer->receive(10, 100ms)).value(), IsEmpty());
  EXPECT_EQ(it.metrics().count(Counter::messages_dropped), 4u);
  EXPECT_EQ(it.run(it.queue().depth(kQueue)).value(), 0u);
  EXPECT_EQ(it.run(admin.waiting(names_.dead())).value(), 4u);
}

TEST_F(RabbitFaults, Password_Wrong_IsSaidWithoutSayingIt) {
  auto wrong = direct();
  wrong.server.password = "hunter2";
  Broker it(wrong);
  const auto refused = it.run(it.queue().publish_message(kQueue, message(1)));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("refuses us"));
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("message_queue.url"));
  EXPECT_THAT(refused.error().message, ::testing::Not(::testing::HasSubstr("hunter2")));
  EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable) << "whoever goes on without it keeps what he has to send";
  EXPECT_EQ(it.run(it.queue().check()).error().kind, ErrorKind::Config) << "whoever has not begun need not begin";
}

TEST_F(RabbitFaults, Check_NoSuchVhostOrNoBroker_AreToldApart) {
  auto elsewhere = direct();
  elsewhere.server.vhost = "nowhere";
  Broker lost(elsewhere);
  EXPECT_EQ(lost.run(lost.queue().check()).error().kind, ErrorKind::Config);
  proxy_->away();
  Broker away(wired());
  EXPECT_EQ(away.run(away.queue().check()).error().kind, ErrorKind::Unavailable);
}

}  // namespace
}  // namespace scheduler::contract
