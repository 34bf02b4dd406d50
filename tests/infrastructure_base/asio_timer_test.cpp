#include "infrastructure/asio_timer.hpp"

#include "infrastructure/system_clock.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::infrastructure;
using namespace std::chrono_literals;

namespace {

// Runs `work` to its end on `io` and tells how long that took.
Micros time_of(asio::io_context& io, asio::awaitable<void> work) {
  const SystemClock clock;
  const auto start = clock.elapsed();
  spawn(io, "test", std::move(work));
  io.restart();
  io.run();
  return clock.elapsed() - start;
}

}  // namespace

TEST(AsioTimer, Sleep_LastsAtLeastAsLongAsAsked) {
  asio::io_context io;
  AsioTimer timer(io);
  EXPECT_GE(time_of(io, timer.sleep(20ms)), 20ms);
  EXPECT_LT(time_of(io, timer.sleep(-1s)), 1s);
}

TEST(AsioWakeSignal, NobodyNotifies_WaitEndsAfterItsMaximum) {
  asio::io_context io;
  const auto signal = AsioTimer(io).wake_signal();
  EXPECT_GE(time_of(io, signal->wait(20ms)), 20ms);
}

TEST(AsioWakeSignal, NotifyBeforeWait_IsRememberedOnce) {
  asio::io_context io;
  const auto signal = AsioTimer(io).wake_signal();
  signal->notify();
  signal->notify();
  EXPECT_LT(time_of(io, signal->wait(10s)), 5s);
  EXPECT_GE(time_of(io, signal->wait(20ms)), 20ms);
}

TEST(AsioWakeSignal, NotifyDuringWait_EndsTheLongestWait) {
  asio::io_context io;
  const auto signal = AsioTimer(io).wake_signal();
  asio::post(io, [&] { asio::post(io, [&] { signal->notify(); }); });
  EXPECT_LT(time_of(io, signal->wait(Micros::max())), 5s);
  EXPECT_GE(time_of(io, signal->wait(20ms)), 20ms);  // that notify was used up
}
