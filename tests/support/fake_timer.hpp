// tests/support/fake_timer.hpp — waits that end when a test says so.
//
// Always true: waiters are woken in the order of their due time, those of one instant in the order in which they began
// to wait; whatever a woken waiter makes ready has run before the next one wakes.
#pragma once

#include "core/timer.hpp"
#include "support/fake_clock.hpp"

#include <boost/asio/io_context.hpp>

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <utility>

namespace scheduler::testing_support {

class FakeTimer final : public Timer {
 public:
  FakeTimer(asio::io_context& io, FakeClock& clock) : io_(io), clock_(clock) {}

  asio::awaitable<void> sleep(Micros duration) override;
  [[nodiscard]] std::unique_ptr<WakeSignal> wake_signal() override;

  // Runs what is ready now, without letting time pass.
  void settle();
  // Lets time pass; everything that becomes due on the way happens at its instant.
  void advance(Micros by);
  [[nodiscard]] std::size_t waiting() const { return waiting_.size(); }
  // Drops all waiters, so that the coroutines behind them unwind: before what they use goes away.
  void abandon();

 private:
  class Signal;
  using Key = std::pair<Micros, std::uint64_t>;  // due, then order of arrival

  [[nodiscard]] Key next_key(Micros wait);
  asio::awaitable<void> suspend(Key key);
  bool wake(Key key);

  asio::io_context& io_;
  FakeClock& clock_;
  std::map<Key, std::move_only_function<void()>> waiting_;
  std::uint64_t next_ = 0;
};

}  // namespace scheduler::testing_support
