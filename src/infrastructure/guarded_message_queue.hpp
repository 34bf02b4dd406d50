// infrastructure/guarded_message_queue.hpp — any queue over a broker, behind a circuit breaker.
//
// Always true:
//   - publish, depth and remove are refused at once while the broker is away;
//   - a refused batch was not taken, not even in part: repeating it is safe without the tokens that make repeating a
//     failed one safe;
//   - a queue that is full (MessageQueue) says nothing about the broker, and opens nothing;
//   - the probe is a nudge. It harms nobody when it is lost or doubled; it passes only where publishing is possible
//     again, while a broker in alarm answers questions and takes nothing; and it is the first thing that dispatchers
//     should hear then;
//   - consumers are neither counted nor refused. Their connections come back by themselves, and taking messages away is
//     what ends the alarm of a broker.
// Single-threaded, like the queue inside.
#pragma once

#include "application/ports/message_queue.hpp"

#include <memory>

namespace scheduler::infrastructure {

class GuardedMessageQueue final : public application::MessageQueue {
 public:
  static constexpr Micros kCheckMax = std::chrono::seconds{2};

  GuardedMessageQueue(std::unique_ptr<application::MessageQueue> inner, std::shared_ptr<Circuit> circuit);
  ~GuardedMessageQueue() override;

  Async<void> publish(application::QueueName to, std::vector<application::Message> batch) override;
  std::unique_ptr<application::QueueConsumer> consume(application::QueueName from, std::size_t prefetch) override;
  Async<std::size_t> depth(application::QueueName of) override;
  Async<void> check() override;  // Timeout after kCheckMax: people wait for it
  Async<void> remove(application::QueueName name) override;
  [[nodiscard]] std::optional<Circuit::Report> circuit() const override { return circuit_->report(); }

 private:
  std::unique_ptr<application::MessageQueue> inner_;
  std::shared_ptr<Circuit> circuit_;
};

}  // namespace scheduler::infrastructure
