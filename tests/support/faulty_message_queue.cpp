#include "support/faulty_message_queue.hpp"

#include <memory>
#include <vector>

namespace scheduler::testing_support {

using application::Delivery;
using application::DeliveryTag;
using application::Message;
using application::QueueConsumer;
using application::QueueName;

class FaultyMessageQueue::Consumer final : public QueueConsumer {
 public:
  Consumer(std::unique_ptr<QueueConsumer> inner, FaultInjector& faults, QueueName from)
      : inner_(std::move(inner)), faults_(faults), from_(std::move(from)) {}

  Async<std::vector<Delivery>> receive(std::size_t max, Micros wait_max) override {
    const auto name = "receive " + from_.value;
    const auto verdict = faults_.call(name);
    if (verdict.fails_before) co_return FaultInjector::error(name);
    CO_TRY(auto deliveries, inner_->receive(max, wait_max));
    if (!verdict.fails_after) co_return deliveries;
    // An answer that got lost: the messages are not out, so they come again.
    std::vector<DeliveryTag> tags;
    for (const auto& it : deliveries) tags.push_back(it.tag);
    CO_CHECK(inner_->give_back(std::move(tags)));
    co_return FaultInjector::error(name);
  }
  void interrupt() override { inner_->interrupt(); }

  Async<void> acknowledge(std::vector<DeliveryTag> done) override {
    const auto name = "acknowledge " + from_.value;
    const auto verdict = faults_.call(name);
    if (verdict.fails_before) {
      CO_CHECK(inner_->give_back(std::move(done)));  // the connection is gone: what was out comes again
      co_return FaultInjector::error(name);
    }
    CO_CHECK(inner_->acknowledge(std::move(done)));
    if (verdict.fails_after) co_return FaultInjector::error(name);
    co_return SchedulerResult<void>{};
  }

  Async<void> give_back(std::vector<DeliveryTag> tags) override {
    const auto name = "give_back " + from_.value;
    const auto verdict = faults_.call(name);
    CO_CHECK(inner_->give_back(std::move(tags)));  // also when it fails: a broken connection gives back everything
    if (verdict.fails_before || verdict.fails_after) co_return FaultInjector::error(name);
    co_return SchedulerResult<void>{};
  }

 private:
  std::unique_ptr<QueueConsumer> inner_;
  FaultInjector& faults_;
  QueueName from_;
};

Async<void> FaultyMessageQueue::publish(QueueName to, std::vector<Message> batch) {
  const auto name = "publish " + to.value;
  const auto verdict = faults_.call(name);
  if (verdict.fails_before) co_return FaultInjector::error(name);
  CO_CHECK(inner_.publish(std::move(to), std::move(batch)));
  if (verdict.fails_after) co_return FaultInjector::error(name);
  co_return SchedulerResult<void>{};
}

std::unique_ptr<QueueConsumer> FaultyMessageQueue::consume(QueueName from, std::size_t prefetch) {
  return std::make_unique<Consumer>(inner_.consume(from, prefetch), faults_, from);
}

Async<std::size_t> FaultyMessageQueue::depth(QueueName of) {
  if (faults_.call("depth " + of.value).fails_before) co_return FaultInjector::error("depth " + of.value);
  co_return co_await inner_.depth(std::move(of));
}

Async<void> FaultyMessageQueue::remove(QueueName name) {
  if (faults_.call("remove " + name.value).fails_before) co_return FaultInjector::error("remove " + name.value);
  co_return co_await inner_.remove(std::move(name));
}

}  // namespace scheduler::testing_support
