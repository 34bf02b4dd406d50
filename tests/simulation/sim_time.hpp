// simulation/sim_time.hpp — time that passes only when nothing else is left to do.
//
// One thread, one io_context: everything that can go on goes on; then the clock jumps to the next event. Equal seeds
// give equal histories. The wall clock is the store's; it may be set forward and back, time itself may not.
#pragma once

#include "core/clock.hpp"
#include "core/timer.hpp"

#include <boost/asio/async_result.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>

namespace scheduler::simulation {

class SimTime final : public Clock, public Timer {
 public:
  explicit SimTime(TimePoint start) : start_(start), latest_(start) {}
  ~SimTime() override { pending_.clear(); }

  [[nodiscard]] asio::io_context& io() { return io_; }
  [[nodiscard]] TimePoint now() const override { return start_ + elapsed_ + set_by_; }
  // Not zero at the start, so that "never" and "at the beginning" differ.
  [[nodiscard]] Micros elapsed() const override { return elapsed_ + std::chrono::hours{1}; }

  void set_wall_clock(Micros by) {
    latest_ = latest();
    set_by_ += by;
  }
  // The latest time that the wall clock has ever shown: what was due once stays due.
  [[nodiscard]] TimePoint latest() const { return std::max(latest_, now()); }

  // Lives for `duration`, or until `stop` says so; checked between events.
  void run_for(Micros duration, const std::function<bool()>& stop = [] { return false; }) {
    const auto end = elapsed_ + duration;
    for (;;) {
      io_.restart();
      io_.poll();
      if (stop()) return;
      if (pending_.empty() || pending_.begin()->first.first > end) break;
      elapsed_ = std::max(elapsed_, pending_.begin()->first.first);
      auto resume = std::move(pending_.begin()->second);
      pending_.erase(pending_.begin());
      asio::post(io_, std::move(resume));
    }
    elapsed_ = std::max(elapsed_, end);
  }

  asio::awaitable<void> sleep(Micros duration) override {
    (void)co_await suspend(elapsed_ + std::max(duration, Micros{0}));
  }

  [[nodiscard]] std::unique_ptr<WakeSignal> wake_signal() override { return std::make_unique<Signal>(*this); }

  // Never goes on: what happens to the coroutines of a process that was killed.
  asio::awaitable<void> hang() { (void)co_await suspend(kNever); }

 private:
  using Key = std::pair<Micros, std::uint64_t>;  // when, and in which order it was asked for
  using Resume = std::move_only_function<void()>;
  static constexpr Micros kNever = Micros::max();

  asio::awaitable<void> suspend(Micros at, Key* key = nullptr) {
    co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(
        [this, at, key](auto handler) {
          const Key mine{at, next_++};
          if (key) *key = mine;
          auto& place = at == kNever ? hanging_ : pending_;
          place.emplace(mine, [handler = std::move(handler)]() mutable { handler(); });
        },
        asio::use_awaitable);
  }

  void wake(Key key) {
    const auto found = pending_.find(key);
    if (found == pending_.end()) return;
    auto resume = std::move(found->second);
    pending_.erase(found);
    asio::post(io_, std::move(resume));
  }

  class Signal final : public WakeSignal {
   public:
    explicit Signal(SimTime& time) : time_(time) {}
    void notify() override {
      notified_ = true;
      if (waiting_) time_.wake(key_);
    }
    asio::awaitable<void> wait(Micros max) override {
      if (!notified_) {
        waiting_ = true;
        co_await time_.suspend(time_.elapsed_ + std::max(max, Micros{0}), &key_);
        waiting_ = false;
      }
      notified_ = false;
    }

   private:
    SimTime& time_;
    bool notified_ = false;
    bool waiting_ = false;
    Key key_{};
  };

  const TimePoint start_;
  TimePoint latest_;
  Micros elapsed_{0};
  Micros set_by_{0};
  std::uint64_t next_ = 0;
  asio::io_context io_{1};
  std::map<Key, Resume> pending_, hanging_;  // die before io_: they own coroutine frames
};

}  // namespace scheduler::simulation
