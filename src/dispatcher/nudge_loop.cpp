#include "dispatcher/nudge_loop.hpp"

namespace scheduler::dispatcher {
namespace {

constexpr std::size_t kMessagesMax = 1000;  // all that wait are one nudge

}  // namespace

NudgeLoop::NudgeLoop(application::MessageQueue& queue, Wakes wakes, Micros wait_max)
    : nudges_(queue.consume(application::kNudgeQueue, kMessagesMax)), wakes_(wakes), wait_max_(wait_max) {}

Async<Tick> NudgeLoop::tick() {
  CO_TRY(const auto deliveries, nudges_->receive(kMessagesMax, wait_max_));
  if (deliveries.empty()) co_return Tick{.rest = Micros{0}};
  wakes_.fire.notify();
  wakes_.dispatch.notify();
  std::vector<application::DeliveryTag> tags;
  for (const auto& it : deliveries) tags.push_back(it.tag);
  CO_CHECK(nudges_->acknowledge(std::move(tags)));
  co_return Tick{.done = deliveries.size(), .rest = Micros{0}};
}

}  // namespace scheduler::dispatcher
