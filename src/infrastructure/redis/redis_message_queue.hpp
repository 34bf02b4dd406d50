// infrastructure/redis/redis_message_queue.hpp — queues as Redis Streams. Needs Redis 6.2 or newer.
//
// A queue is the stream PREFIX:queue:NAME with one consumer group; an entry leaves the stream when it is acknowledged,
// so the length of the stream is the depth of the queue. What cannot be read goes to the stream PREFIX:dead and is
// counted.
//
// Always true:
//   - every step that must not be cut in half is one script, so a lost connection leaves an entry either waiting, or
//     pending with its consumer, or gone;
//   - entries are read only while somebody waits in receive(), so nothing lies with a consumer that is busy elsewhere;
//   - entries pending with a consumer that is silent for `claim_after` are taken over by another one; a living consumer
//     says in time that it still works on what it holds;
//   - a queue that nobody touches for `expiry` is dropped: nobody else would, where a worker died.
// Single-threaded, like the loop that owns it.
#pragma once

#include "application/ports/message_queue.hpp"
#include "infrastructure/queue_ports.hpp"
#include "infrastructure/redis/redis_connection.hpp"

namespace scheduler::infrastructure {

class RedisMessageQueue final : public application::MessageQueue {
 public:
  struct Settings {
    RedisConnection::Settings server;
    std::string prefix = "scheduler";
    std::size_t depth_max = 100'000;               // messages of one queue, waiting or out
    std::size_t dead_max = 10'000;                 // dead letters that are kept
    Micros claim_after = std::chrono::seconds{5};  // well before a run on which it reports counts as missing
    Micros expiry = std::chrono::hours{24 * 7};
  };

  RedisMessageQueue(QueuePorts ports, Settings settings);
  ~RedisMessageQueue() override;

  Async<void> publish(application::QueueName to, std::vector<application::Message> batch) override;
  std::unique_ptr<application::QueueConsumer> consume(application::QueueName from, std::size_t prefetch) override;
  Async<std::size_t> depth(application::QueueName of) override;
  Async<void> check() override;
  Async<void> remove(application::QueueName name) override;

 private:
  struct Core;
  struct Stream;
  class Consumer;
  std::shared_ptr<Core> core_;
};

}  // namespace scheduler::infrastructure
