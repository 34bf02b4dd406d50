#include "infrastructure/message_queue_factory.hpp"

#include "infrastructure/circuits.hpp"
#include "infrastructure/embedded_message_queue.hpp"
#include "infrastructure/guarded_message_queue.hpp"
#include "infrastructure/rabbitmq/rabbitmq_message_queue.hpp"
#include "infrastructure/redis/redis_message_queue.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

SchedulerResult<std::unique_ptr<application::MessageQueue>> over_broker(const config::MessageQueueConfig& settings,
                                                                        QueuePorts ports) {
  if (settings.type == "redis_stream") {
    TRY(const auto url, config::parse_redis_url(settings.url));
    return std::make_unique<RedisMessageQueue>(
        ports, RedisMessageQueue::Settings{.server = RedisConnection::Settings::of(url), .prefix = settings.prefix});
  }
  if (settings.type == "rabbitmq") {
    TRY(const auto url, config::parse_amqp_url(settings.url));
    return std::make_unique<RabbitMqMessageQueue>(
        ports, RabbitMqMessageQueue::Settings{.server = RabbitThread::Settings::of(url),
                                              .names = {.prefix = settings.prefix}});
  }
  return fail(
      ErrorKind::Config,
      fmt::format("message_queue.type '{}' is not known; use embedded, rabbitmq or redis_stream", settings.type));
}

}  // namespace

SchedulerResult<std::unique_ptr<application::MessageQueue>> MessageQueueFactory::create(
    const config::MessageQueueConfig& settings, QueuePorts ports) {
  if (settings.type == "embedded") return std::make_unique<EmbeddedMessageQueue>(ports.timer);
  TRY(auto queue, over_broker(settings, ports));
  return std::make_unique<GuardedMessageQueue>(std::move(queue),
                                               make_queue_circuit({ports.io, ports.clock, ports.timer, ports.metrics}));
}

}  // namespace scheduler::infrastructure
