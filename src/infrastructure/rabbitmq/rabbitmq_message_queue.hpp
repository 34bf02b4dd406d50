// infrastructure/rabbitmq/rabbitmq_message_queue.hpp — queues at a RabbitMQ broker, 3.10 or newer.
//
// Always true:
//   - queues are durable and messages persistent; publish() returns when the broker has confirmed each of them;
//   - the broker hands out at most `prefetch` messages ahead, and only to consumers that keep asking: who gives
//   something
//     back, or does not come to receive() for a moment, takes no more until it does, and others get what it had not
//     seen;
//   - what is out when a connection is lost is delivered again; acknowledging it is ignored;
//   - a full queue refuses with MessageQueue; a broker that is away, or short of memory or disk, with Unavailable.
// depth() counts what waits and what this process holds. The broker knows what others hold, but does not say.
// Single-threaded towards its owner, and outlives its calls; the two connections have threads of their own.
#pragma once

#include "application/ports/message_queue.hpp"
#include "infrastructure/queue_ports.hpp"
#include "infrastructure/rabbitmq/rabbit_names.hpp"
#include "infrastructure/rabbitmq/rabbit_thread.hpp"

#include <memory>

namespace scheduler::infrastructure {

class RabbitMqMessageQueue final : public application::MessageQueue {
 public:
  struct Settings {
    RabbitThread::Settings server;
    RabbitNames names;
  };

  RabbitMqMessageQueue(QueuePorts ports, Settings settings);
  ~RabbitMqMessageQueue() override;

  Async<void> publish(application::QueueName to, std::vector<application::Message> batch) override;
  // `prefetch` up to 65'535.
  std::unique_ptr<application::QueueConsumer> consume(application::QueueName from, std::size_t prefetch) override;
  Async<std::size_t> depth(application::QueueName of) override;
  Async<void> check() override;
  Async<void> remove(application::QueueName name) override;

 private:
  struct Core;
  class Consumer;
  std::unique_ptr<Core> core_;
};

}  // namespace scheduler::infrastructure
