#include "infrastructure/asio_timer.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

namespace scheduler::infrastructure {
namespace {

// The timer counts nanoseconds: longer waits would overflow, and none of ours is meant to last that long.
constexpr Micros kLongestWait = std::chrono::hours{24 * 365};

class AsioWakeSignal final : public WakeSignal {
 public:
  explicit AsioWakeSignal(asio::io_context& io) : timer_(io) {}

  void notify() override {
    notified_ = true;
    timer_.cancel();
  }

  asio::awaitable<void> wait(Micros max) override {
    if (!notified_) {
      timer_.expires_after(std::min(max, kLongestWait));
      boost::system::error_code woken;
      co_await timer_.async_wait(asio::redirect_error(asio::use_awaitable, woken));
    }
    notified_ = false;
  }

 private:
  asio::steady_timer timer_;
  bool notified_ = false;
};

}  // namespace

asio::awaitable<void> AsioTimer::sleep(Micros duration) {
  asio::steady_timer timer(io_, std::min(duration, kLongestWait));
  boost::system::error_code ended;
  co_await timer.async_wait(asio::redirect_error(asio::use_awaitable, ended));
}

std::unique_ptr<WakeSignal> AsioTimer::wake_signal() { return std::make_unique<AsioWakeSignal>(io_); }

}  // namespace scheduler::infrastructure
