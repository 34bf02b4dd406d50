// dispatcher/loop.hpp — what all loops have in common: a tick that does what is due, and the rest until the next one.
#pragma once

#include "application/ports/metrics.hpp"
#include "core/async.hpp"
#include "core/timer.hpp"

#include <memory>
#include <string_view>

namespace scheduler::dispatcher {

// No loop rests longer than this, whoever forgets to wake it.
inline constexpr Micros kPoll = std::chrono::seconds{1};

struct Tick {
  std::size_t done = 0;  // items it changed, for tests and metrics
  Micros rest = kPoll;   // until the next tick, unless woken; zero: there is more to do now
};

class Loop {
 public:
  virtual ~Loop() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  // An error leaves everything as it was, or as a later tick will find and repair it.
  virtual Async<Tick> tick() = 0;
  // Ends a wait inside tick() at once: the dispatcher is stopping.
  virtual void interrupt() {}
};

// Whether this dispatcher hears workers at all: told by the loop that reads their heartbeats, and asked before anybody
// is declared dead. Outlives the loops.
struct Hearing {
  bool is_deaf = false;
};

// How the loops wake each other. The signals outlive the loops.
struct Wakes {
  WakeSignal& fire;
  WakeSignal& dispatch;
  WakeSignal& rescue;
};

}  // namespace scheduler::dispatcher
