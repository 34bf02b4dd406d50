// infrastructure/asio_timer.hpp — waiting on an io_context, which outlives the timer, its signals and their waits.
#pragma once

#include "core/timer.hpp"

namespace scheduler::infrastructure {

class AsioTimer final : public Timer {
 public:
  explicit AsioTimer(asio::io_context& io) : io_(io) {}
  asio::awaitable<void> sleep(Micros duration) override;
  [[nodiscard]] std::unique_ptr<WakeSignal> wake_signal() override;

 private:
  asio::io_context& io_;
};

}  // namespace scheduler::infrastructure
