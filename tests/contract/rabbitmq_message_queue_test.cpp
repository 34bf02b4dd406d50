#include "infrastructure/rabbitmq/rabbitmq_message_queue.hpp"

#include "config/broker_url.hpp"
#include "contract/broker_under_test.hpp"
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
                                          .names = {.prefix = "scheduler-contract", .depth_max = 3000}};
  return std::make_unique<Broker>(std::move(settings), 3000);
}

INSTANTIATE_TEST_SUITE_P(RabbitMq, MessageQueueContract, ::testing::Values(&make_rabbitmq));

}  // namespace
}  // namespace scheduler::contract
