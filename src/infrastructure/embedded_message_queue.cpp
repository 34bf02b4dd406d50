#include "infrastructure/embedded_message_queue.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>

namespace scheduler::infrastructure {

using application::Delivery;
using application::DeliveryTag;
using application::Message;
using application::QueueName;

struct EmbeddedMessageQueue::Queue {
  struct Item {
    std::shared_ptr<const Message> message;
    bool redelivered = false;
  };
  std::deque<Item> ready;
  std::size_t out = 0;               // delivered, not acknowledged
  std::vector<WakeSignal*> waiting;  // of consumers inside receive()

  void wake_one() {
    if (!waiting.empty()) waiting.front()->notify();
  }
};

class EmbeddedMessageQueue::Consumer final : public application::QueueConsumer {
 public:
  Consumer(std::shared_ptr<Queue> queue, std::unique_ptr<WakeSignal> wake, std::size_t prefetch)
      : queue_(std::move(queue)), wake_(std::move(wake)), prefetch_(prefetch) {}
  ~Consumer() override {
    std::erase(queue_->waiting, wake_.get());
    return_to_queue(out_);
  }

  Async<std::vector<Delivery>> receive(std::size_t max, Micros wait_max) override {
    if (available() == 0 && wait_max > Micros{0}) {
      queue_->waiting.push_back(wake_.get());
      co_await wake_->wait(wait_max);
      std::erase(queue_->waiting, wake_.get());
    }
    std::vector<Delivery> deliveries;
    for (auto n = std::min(max, available()); n > 0; --n) {
      auto item = std::move(queue_->ready.front());
      queue_->ready.pop_front();
      ++queue_->out;
      deliveries.push_back({next_tag_, item.redelivered, item.message});
      out_.emplace(next_tag_++, std::move(item.message));
    }
    if (!queue_->ready.empty()) queue_->wake_one();  // a notify that found us, but work is left for the others
    co_return deliveries;
  }

  void interrupt() override { wake_->notify(); }

  Async<void> acknowledge(std::vector<DeliveryTag> done) override {
    for (const auto tag : done) queue_->out -= out_.erase(tag);
    co_return SchedulerResult<void>{};
  }

  Async<void> give_back(std::vector<DeliveryTag> tags) override {
    std::map<DeliveryTag, std::shared_ptr<const Message>> returned;
    for (const auto tag : tags)
      if (auto found = out_.extract(tag)) returned.insert(std::move(found));
    return_to_queue(returned);
    co_return SchedulerResult<void>{};
  }

 private:
  [[nodiscard]] std::size_t available() const {
    return std::min(queue_->ready.size(), prefetch_ - std::min(prefetch_, out_.size()));
  }

  // To the front, in their old order: they have waited longest.
  void return_to_queue(std::map<DeliveryTag, std::shared_ptr<const Message>>& messages) {
    for (auto it = messages.rbegin(); it != messages.rend(); ++it) {
      queue_->ready.push_front({std::move(it->second), true});
      --queue_->out;
    }
    messages.clear();
    if (!queue_->ready.empty()) queue_->wake_one();
  }

  std::shared_ptr<Queue> queue_;
  std::unique_ptr<WakeSignal> wake_;
  std::size_t prefetch_;
  DeliveryTag next_tag_ = 1;
  std::map<DeliveryTag, std::shared_ptr<const Message>> out_;
};

EmbeddedMessageQueue::EmbeddedMessageQueue(Timer& timer, std::size_t depth_max)
    : timer_(timer), depth_max_(depth_max) {}
EmbeddedMessageQueue::~EmbeddedMessageQueue() = default;

std::shared_ptr<EmbeddedMessageQueue::Queue> EmbeddedMessageQueue::named(const QueueName& name) {
  auto& queue = queues_[name];
  if (!queue) queue = std::make_shared<Queue>();
  return queue;
}

Async<void> EmbeddedMessageQueue::publish(QueueName to, std::vector<Message> batch) {
  const auto queue = named(to);
  if (queue->ready.size() + batch.size() > depth_max_)
    co_return fail(
        ErrorKind::MessageQueue,
        fmt::format("queue '{}' is full ({} messages); its consumer is slow or gone", to.value, queue->ready.size()));
  for (auto& message : batch) queue->ready.push_back({std::make_shared<const Message>(std::move(message)), false});
  queue->wake_one();
  co_return SchedulerResult<void>{};
}

std::unique_ptr<application::QueueConsumer> EmbeddedMessageQueue::consume(QueueName from, std::size_t prefetch) {
  return std::make_unique<Consumer>(named(from), timer_.wake_signal(), prefetch);
}

Async<std::size_t> EmbeddedMessageQueue::depth(QueueName of) {
  const auto found = queues_.find(of);
  co_return found == queues_.end() ? 0 : found->second->ready.size() + found->second->out;
}

Async<void> EmbeddedMessageQueue::remove(QueueName name) {
  queues_.erase(name);
  co_return SchedulerResult<void>{};
}

}  // namespace scheduler::infrastructure
