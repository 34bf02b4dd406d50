// support/fake_clock.hpp — a clock that stands still until it is told otherwise. Safe from any thread.
#pragma once

#include "core/clock.hpp"

#include <atomic>

namespace scheduler::testing_support {

class FakeClock final : public Clock {
 public:
  explicit FakeClock(TimePoint start = from_micros(1'767'225'600'000'000)) : now_us_(to_micros(start)) {}  // 2026-01-01

  [[nodiscard]] TimePoint now() const override { return from_micros(now_us_.load()); }
  [[nodiscard]] Micros elapsed() const override { return Micros{elapsed_us_.load()}; }

  void advance(Micros by) {
    now_us_ += by.count();
    elapsed_us_ += by.count();
  }
  // A jump of the wall clock; durations do not notice.
  void jump(Micros by) { now_us_ += by.count(); }

 private:
  std::atomic<std::int64_t> now_us_;
  std::atomic<std::int64_t> elapsed_us_ = 0;
};

}  // namespace scheduler::testing_support
