// infrastructure/rabbitmq/rabbit_call.hpp — a question that the loop asks and another thread answers.
#pragma once

#include "core/async.hpp"
#include "core/clock.hpp"
#include "core/timer.hpp"
#include "infrastructure/queue_ports.hpp"

#include <atomic>
#include <functional>
#include <memory>
#include <optional>

namespace scheduler::infrastructure {

// Runs `work` on the loop, soon. From any thread.
void post_to_loop(asio::io_context& io, std::move_only_function<void()> work);

// What both sides share. It belongs to the loop: nothing but `given_up` is touched by the other thread.
template <class T>
struct RabbitCall {
  explicit RabbitCall(Timer& timer) : wake(timer.wake_signal()) {}
  std::optional<SchedulerResult<T>> result;
  std::unique_ptr<WakeSignal> wake;
  std::atomic<bool> given_up = false;  // nobody waits any more: what was not begun may be left undone
};

// The answering side. Answers once; one that goes away unanswered says Unavailable.
template <class T>
class RabbitAnswer {
 public:
  RabbitAnswer(asio::io_context& io, std::shared_ptr<RabbitCall<T>> call) : io_(&io), call_(std::move(call)) {}
  RabbitAnswer(RabbitAnswer&&) = default;
  RabbitAnswer& operator=(RabbitAnswer&&) = delete;
  ~RabbitAnswer() {
    if (call_) give(fail(ErrorKind::Unavailable, "the connection to RabbitMQ is closed"));
  }
  // From any thread, any number of times: the first one counts.
  void give(SchedulerResult<T> result) {
    if (!call_) return;
    post_to_loop(*io_, [call = std::move(call_), result = std::move(result)]() mutable {
      call->result = std::move(result);
      call->wake->notify();
    });
    call_.reset();
  }
  [[nodiscard]] bool is_wanted() const { return call_ && !call_->given_up; }

 private:
  asio::io_context* io_;
  std::shared_ptr<RabbitCall<T>> call_;
};

// On the loop: begins with `start(RabbitAnswer)` and waits for its answer, `most` at the longest.
template <class T, class Start>
Async<T> ask_rabbit(QueuePorts ports, Micros most, Start start) {
  const auto call = std::make_shared<RabbitCall<T>>(ports.timer);
  start(RabbitAnswer<T>(ports.io, call));
  const auto deadline = ports.clock.elapsed() + most;
  for (auto left = most; !call->result && left > Micros{0}; left = deadline - ports.clock.elapsed())
    co_await call->wake->wait(left);
  if (call->result) co_return *std::move(call->result);
  call->given_up = true;
  co_return fail(ErrorKind::Unavailable,
                 "RabbitMQ did not answer in time; it may be overloaded, or short of memory or disk");
}

}  // namespace scheduler::infrastructure
