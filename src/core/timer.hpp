// core/timer.hpp — waiting, as a port: a simulation decides when a wait is over.
//
// Used only on the thread of the owning loop. Waits measure monotonic time.
#pragma once

#include "core/async.hpp"
#include "core/time.hpp"

#include <memory>

namespace scheduler {

// Wakes one waiting loop. A notify with nobody waiting is remembered once, so no news is lost between two waits.
class WakeSignal {
 public:
  virtual ~WakeSignal() = default;
  virtual void notify() = 0;
  // Returns at the next notify, or after `max`, whichever comes first.
  virtual asio::awaitable<void> wait(Micros max) = 0;
};

class Timer {
 public:
  virtual ~Timer() = default;
  virtual asio::awaitable<void> sleep(Micros duration) = 0;
  [[nodiscard]] virtual std::unique_ptr<WakeSignal> wake_signal() = 0;
};

}  // namespace scheduler
