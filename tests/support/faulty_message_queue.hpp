// tests/support/faulty_message_queue.hpp — any queue, with failures on request.
#pragma once

#include "application/ports/message_queue.hpp"
#include "support/fault_injector.hpp"

namespace scheduler::testing_support {

// Calls are named "publish <queue>", "receive <queue>", "acknowledge <queue>", "give_back <queue>", "depth <queue>",
// "remove <queue>".
class FaultyMessageQueue final : public application::MessageQueue {
 public:
  FaultyMessageQueue(application::MessageQueue& inner, FaultInjector& faults) : inner_(inner), faults_(faults) {}

  Async<void> publish(application::QueueName to, std::vector<application::Message> batch) override;
  std::unique_ptr<application::QueueConsumer> consume(application::QueueName from, std::size_t prefetch) override;
  Async<std::size_t> depth(application::QueueName of) override;
  Async<void> remove(application::QueueName name) override;

 private:
  class Consumer;
  application::MessageQueue& inner_;
  FaultInjector& faults_;
};

}  // namespace scheduler::testing_support
