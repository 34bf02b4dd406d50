// infrastructure/embedded_message_queue.hpp — the queue of the embedded shape: in this process, in memory.
//
// What is in it dies with the process; the store is the truth, and the next start finds every run there again.
// Single-threaded: used only on the loop that owns it. Outlives its consumers.
#pragma once

#include "application/ports/message_queue.hpp"
#include "core/timer.hpp"

#include <map>

namespace scheduler::infrastructure {

class EmbeddedMessageQueue final : public application::MessageQueue {
 public:
  // A queue refuses more than `depth_max` messages that wait; messages are batches, so this bounds memory well.
  explicit EmbeddedMessageQueue(Timer& timer, std::size_t depth_max = 10'000);
  ~EmbeddedMessageQueue() override;

  Async<void> publish(application::QueueName to, std::vector<application::Message> batch) override;
  std::unique_ptr<application::QueueConsumer> consume(application::QueueName from, std::size_t prefetch) override;
  Async<std::size_t> depth(application::QueueName of) override;
  Async<void> remove(application::QueueName name) override;

 private:
  struct Queue;
  class Consumer;
  std::shared_ptr<Queue> named(const application::QueueName& name);

  Timer& timer_;
  std::size_t depth_max_;
  std::map<application::QueueName, std::shared_ptr<Queue>> queues_;
};

}  // namespace scheduler::infrastructure
