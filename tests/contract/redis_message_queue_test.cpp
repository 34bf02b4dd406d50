#include "infrastructure/redis/redis_message_queue.hpp"

#include "application/ports/dispatch_repository.hpp"
#include "config/broker_url.hpp"
#include "contract/broker_under_test.hpp"
#include "contract/server_process.hpp"
#include "support/services.hpp"

#include <boost/asio/ip/tcp.hpp>

namespace scheduler::contract {
namespace {

using infrastructure::RedisConnection;
using infrastructure::RedisMessageQueue;
using infrastructure::RedisReply;
using testing_support::service_url;
using Broker = BrokerUnderTest<RedisMessageQueue>;

RedisConnection::Settings server_at(const std::string& url) {
  const auto place = config::parse_redis_url(url);
  EXPECT_TRUE(place) << place.error().message;
  return RedisConnection::Settings::of(*place);
}

std::unique_ptr<QueueUnderTest> make_redis() {
  const auto url = service_url("REDIS");
  if (!url) return nullptr;
  RedisMessageQueue::Settings settings{.server = server_at(*url), .depth_max = kDepthMax};
  return std::make_unique<Broker>(std::move(settings));
}

INSTANTIATE_TEST_SUITE_P(RedisStreams, MessageQueueContract, ::testing::Values(&make_redis));

// --- what only this adapter has ---

// Reports in the hands of a dispatcher that was killed came back after half a minute: by then their runs counted as
// missing, had been taken back, and were done again.
TEST(RedisSettings, ClaimAfter_ReportsOfADeadDispatcherComeBackBeforeTheirRunsCountAsMissing) {
  const auto claim_after = RedisMessageQueue::Settings{}.claim_after;
  EXPECT_LT(claim_after + claim_after / 6, Micros{application::kMissingGrace}) << "it is looked for six times as often";
}

// A Redis of the test's own, and queues in it.
class RedisFaults : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!server_.start()) GTEST_SKIP() << "there is no redis-server on this machine";
  }
  [[nodiscard]] RedisMessageQueue::Settings settings(Micros claim_after = 30s) const {
    return {.server = {.port = server_.port(), .deadline = 2s, .pause_max = 200ms}, .claim_after = claim_after};
  }
  std::unique_ptr<Broker> broker(Micros claim_after = 30s) { return std::make_unique<Broker>(settings(claim_after)); }

  // Again and again until something comes; errors on the way are those of a server that is away.
  static std::vector<std::int64_t> receive_in_time(Broker& broker, QueueConsumer& consumer, std::size_t n) {
    std::vector<std::int64_t> ids;
    for (int i = 0; i < 100 && ids.size() < n; ++i) {
      const auto got = broker.run(consumer.receive(100, 200ms));
      if (!got) {
        EXPECT_EQ(got.error().kind, ErrorKind::Unavailable) << got.error().message;
        broker.pass(50ms);
        continue;
      }
      for (const auto id : ids_of(*got)) ids.push_back(id);
    }
    return ids;
  }

  ServerProcess server_{"redis-server", [](int port, const std::string& directory) {
                          return std::vector<std::string>{
                              "--port", std::to_string(port), "--bind", "127.0.0.1", "--save", "", "--appendonly",
                              "yes",    "--appendfsync",      "always", "--dir",     directory};
                        }};
};

TEST_F(RedisFaults, Publish_ServerIsAway_IsUnavailableAndWorksAgainLater) {
  const auto it = broker();
  ASSERT_TRUE(it->run(it->queue().publish_message(kQueue, message(1))));
  server_.kill();
  for (int i = 0; i < 3; ++i) {
    const auto refused = it->run(it->queue().publish_message(kQueue, message(2)));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable);
    EXPECT_THAT(refused.error().message, ::testing::StartsWith("Redis at 127.0.0.1:"));
  }
  ASSERT_TRUE(server_.start());
  for (int i = 0; i < 100 && !it->run(it->queue().publish_message(kQueue, message(3))); ++i) it->pass(50ms);
  const auto consumer = it->queue().consume(kQueue, 10);
  EXPECT_THAT(receive_in_time(*it, *consumer, 2), UnorderedElementsAre(1, 3));
}

TEST_F(RedisFaults, Receive_ServerDiesAndComesBack_NothingIsLost) {
  const auto it = broker(300ms);
  const auto consumer = it->queue().consume(kQueue, 10);
  ASSERT_TRUE(it->run(it->queue().publish(kQueue, {message(1), message(2)})));
  const auto held = it->run(consumer->receive(1, 1s));
  ASSERT_TRUE(held && held->size() == 1);
  auto waiting = std::make_unique<Running<std::vector<Delivery>>>(it->io(), consumer->receive(1, 10s));
  ASSERT_THAT(ids_of(it->finish(*waiting).value()), SizeIs(1)) << "the second one";
  Running<std::vector<Delivery>> blocked(it->io(), consumer->receive(1, 10s));
  it->pass(50ms);
  server_.kill();
  const auto failed = it->finish(blocked);
  ASSERT_FALSE(failed) << "a receive ends when the server does";
  EXPECT_EQ(failed.error().kind, ErrorKind::Unavailable);
  ASSERT_TRUE(server_.start());
  const auto other = broker(300ms);
  const auto heir = other->queue().consume(kQueue, 10);
  EXPECT_THAT(receive_in_time(*other, *heir, 2), UnorderedElementsAre(1, 2)) << "not acknowledged, so they come again";
}

TEST_F(RedisFaults, Connections_Killed_AreMadeAgain) {
  const auto it = broker();
  const auto consumer = it->queue().consume(kQueue, 10);
  EXPECT_TRUE(it->run(consumer->receive(10, 0us)));
  RedisConnection admin(it->io(), settings().server);
  for (int round = 1; round <= 3; ++round) {
    ASSERT_TRUE(it->run(admin.call({"CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"})));
    for (int i = 0; i < 100 && !it->run(it->queue().publish_message(kQueue, message(round))); ++i) it->pass(20ms);
    EXPECT_THAT(receive_in_time(*it, *consumer, 1), ElementsAre(round));
  }
}

TEST_F(RedisFaults, Consumer_Died_ItsMessagesGoToAnother) {
  const auto dead = broker(200ms), living = broker(200ms);
  const auto theirs = dead->queue().consume(kQueue, 10), ours = living->queue().consume(kQueue, 10);
  ASSERT_TRUE(dead->run(dead->queue().publish(kQueue, {message(1), message(2), message(3)})));
  ASSERT_THAT(dead->run(theirs->receive(10, 1s)).value(), SizeIs(3));
  // From here on nobody runs the loop of the dead one.
  const auto got = living->run(ours->receive(10, 5s));
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(ids_of(*got), UnorderedElementsAre(1, 2, 3));
  for (const auto& it : *got) EXPECT_TRUE(it.redelivered);
  for (const auto& it : *got) ASSERT_TRUE(living->run(ours->acknowledge({it.tag})));
  EXPECT_EQ(living->run(living->queue().depth(kQueue)).value(), 0u);
}

TEST_F(RedisFaults, Consumer_LivesAndWorksLong_KeepsItsMessages) {
  const auto busy = broker(300ms), idle = broker(300ms);
  const auto theirs = busy->queue().consume(kQueue, 10), ours = idle->queue().consume(kQueue, 10);
  ASSERT_TRUE(busy->run(busy->queue().publish(kQueue, {message(1)})));
  const auto held = busy->run(theirs->receive(10, 1s));
  ASSERT_THAT(held.value(), SizeIs(1));
  for (int i = 0; i < 15; ++i) {
    busy->pass(50ms);
    EXPECT_THAT(idle->run(ours->receive(10, 20ms)).value(), IsEmpty());
  }
  ASSERT_TRUE(busy->run(theirs->acknowledge({held->at(0).tag})));
}

TEST_F(RedisFaults, Message_CannotBeRead_IsSetAsideOnceAndCounted) {
  const auto it = broker();
  RedisConnection admin(it->io(), settings().server);
  const auto add = [&](std::string name, std::string text) {
    ASSERT_TRUE(it->run(admin.call({"XADD", "scheduler:queue:queue", "*", std::move(name), std::move(text)})));
  };
  add("m", R"({"version":99,"id":"x"})");
  add("m", "rubbish");
  add("other", "field");
  ASSERT_TRUE(it->run(it->queue().publish_message(kQueue, message(7))));
  const auto consumer = it->queue().consume(kQueue, 10);
  EXPECT_THAT(receive_in_time(*it, *consumer, 1), ElementsAre(7));
  EXPECT_EQ(it->metrics().count(Counter::messages_dropped), 3u);
  EXPECT_EQ(it->run(it->queue().depth(kQueue)).value(), 1u) << "the good one, which is out";
  const auto dead = it->run(admin.call({"XRANGE", "scheduler:dead", "-", "+"}));
  ASSERT_THAT(dead.value().list, SizeIs(3));
  std::vector<std::string> fields;
  for (const auto& field : dead->list[0].list[1].list) fields.push_back(field.text);
  EXPECT_THAT(fields, ElementsAre("queue", "queue", "why", ::testing::HasSubstr("version 99"), "m",
                                  R"({"version":99,"id":"x"})"));
}

TEST_F(RedisFaults, Publish_MemoryIsFull_IsUnavailable) {
  const auto it = broker();
  RedisConnection admin(it->io(), settings().server);
  ASSERT_TRUE(it->run(admin.call({"CONFIG", "SET", "maxmemory", "1"})));
  const auto refused = it->run(it->queue().publish_message(kQueue, message(1)));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable) << refused.error().message;
  ASSERT_TRUE(it->run(admin.call({"CONFIG", "SET", "maxmemory", "0"})));
  EXPECT_TRUE(it->run(it->queue().publish_message(kQueue, message(1))));
}

TEST_F(RedisFaults, Queue_RemovedUnderItsConsumer_IsMadeAgain) {
  const auto it = broker();
  const auto consumer = it->queue().consume(kQueue, 10);
  Running<std::vector<Delivery>> waiting(it->io(), consumer->receive(10, 10s));
  it->pass(50ms);
  ASSERT_TRUE(it->run(it->queue().remove(kQueue)));
  ASSERT_TRUE(it->run(it->queue().publish_message(kQueue, message(1))));
  const auto got = it->finish(waiting);
  ASSERT_TRUE(got) << got.error().message;
  EXPECT_THAT(ids_of(*got), ElementsAre(1));
}

TEST_F(RedisFaults, Queue_NobodyTouchesIt_Expires) {
  const auto it = broker();
  ASSERT_TRUE(it->run(it->queue().publish_message(kQueue, message(1))));
  RedisConnection admin(it->io(), settings().server);
  const auto left = it->run(admin.call({"PTTL", "scheduler:queue:queue"}));
  ASSERT_TRUE(left);
  EXPECT_GT(left->number, 6LL * 24 * 3600 * 1000);
}

TEST_F(RedisFaults, Password_Wrong_IsSaidWithoutSayingIt) {
  auto wrong = settings();
  wrong.server.user = "nobody";
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

TEST(RedisSilence, Server_SaysNothing_CallsEndByTheirDeadline) {
  asio::io_context there;
  asio::ip::tcp::acceptor acceptor(there, {asio::ip::make_address("127.0.0.1"), 0});  // takes connections, never speaks
  Broker it({.server = {.port = acceptor.local_endpoint().port(), .deadline = 200ms}});
  const auto consumer = it.queue().consume(kQueue, 10);
  for (const auto& fault :
       {it.run(it.queue().publish_message(kQueue, message(1))).error(), it.run(consumer->receive(1, 100ms)).error()}) {
    EXPECT_EQ(fault.kind, ErrorKind::Unavailable);
    EXPECT_THAT(fault.message, ::testing::HasSubstr("did not answer in time"));
  }
}

}  // namespace
}  // namespace scheduler::contract
