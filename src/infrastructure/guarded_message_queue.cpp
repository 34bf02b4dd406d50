#include "infrastructure/guarded_message_queue.hpp"

namespace scheduler::infrastructure {

using application::Message;
using application::QueueName;

GuardedMessageQueue::GuardedMessageQueue(std::unique_ptr<application::MessageQueue> inner,
                                         std::shared_ptr<Circuit> circuit)
    : inner_(std::move(inner)), circuit_(std::move(circuit)) {
  circuit_->connect([queue = inner_.get()] { return queue->check(); });
}

GuardedMessageQueue::~GuardedMessageQueue() { circuit_->disconnect(); }

Async<void> GuardedMessageQueue::publish(QueueName to, std::vector<Message> batch) {
  return circuit_->run(inner_->publish(std::move(to), std::move(batch)));
}

std::unique_ptr<application::QueueConsumer> GuardedMessageQueue::consume(QueueName from, std::size_t prefetch) {
  return inner_->consume(std::move(from), prefetch);
}

Async<std::size_t> GuardedMessageQueue::depth(QueueName of) { return circuit_->run(inner_->depth(std::move(of))); }

Async<void> GuardedMessageQueue::check() { return circuit_->check(kCheckMax); }

Async<void> GuardedMessageQueue::remove(QueueName name) { return circuit_->run(inner_->remove(std::move(name))); }

}  // namespace scheduler::infrastructure
