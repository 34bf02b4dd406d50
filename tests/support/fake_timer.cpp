#include "support/fake_timer.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <chrono>
#include <memory>

namespace scheduler::testing_support {

class FakeTimer::Signal final : public WakeSignal {
 public:
  explicit Signal(FakeTimer& timer) : timer_(timer) {}
  ~Signal() override {
    for (const auto& key : waiters_) timer_.waiting_.erase(key);
  }

  void notify() override {
    while (!waiters_.empty()) {
      const auto key = waiters_.front();
      waiters_.pop_front();
      if (timer_.wake(key)) return;
    }
    remembered_ = true;
  }

  asio::awaitable<void> wait(Micros max) override {
    if (std::exchange(remembered_, false)) co_return;
    const auto key = timer_.next_key(max);
    waiters_.push_back(key);
    co_await timer_.suspend(key);
    std::erase(waiters_, key);
  }

 private:
  FakeTimer& timer_;
  std::deque<Key> waiters_;
  bool remembered_ = false;
};

asio::awaitable<void> FakeTimer::sleep(Micros duration) { co_await suspend(next_key(duration)); }

std::unique_ptr<WakeSignal> FakeTimer::wake_signal() { return std::make_unique<Signal>(*this); }

void FakeTimer::settle() {
  io_.restart();
  io_.poll();
}

void FakeTimer::advance(Micros by) {
  settle();
  const auto until = clock_.elapsed() + by;
  while (!waiting_.empty() && waiting_.begin()->first.first <= until) {
    const auto key = waiting_.begin()->first;
    clock_.advance(std::max(Micros{0}, key.first - clock_.elapsed()));
    wake(key);
    settle();
  }
  clock_.advance(until - clock_.elapsed());
}

void FakeTimer::abandon() {
  auto dropped = std::exchange(waiting_, {});
  dropped.clear();
  settle();
}

FakeTimer::Key FakeTimer::next_key(Micros wait) {
  constexpr Micros kLongest = std::chrono::hours{24 * 365};
  return {clock_.elapsed() + std::clamp(wait, Micros{0}, kLongest), next_++};
}

asio::awaitable<void> FakeTimer::suspend(Key key) {
  return asio::async_initiate<const asio::use_awaitable_t<>, void()>(
      [this, key](auto handler) { waiting_.emplace(key, std::move(handler)); }, asio::use_awaitable);
}

bool FakeTimer::wake(Key key) {
  auto found = waiting_.extract(key);
  if (!found) return false;
  asio::post(io_, std::move(found.mapped()));
  return true;
}

}  // namespace scheduler::testing_support
