// core/clock.hpp — the only way the pure rooms may ask for the time.
#pragma once

#include "core/time.hpp"

namespace scheduler {

class Clock {
 public:
  virtual ~Clock() = default;
  // UTC. May jump either way; never used to measure a duration.
  [[nodiscard]] virtual TimePoint now() const = 0;
  // Time since some fixed point of this process; never goes back. Only differences mean something.
  [[nodiscard]] virtual Micros elapsed() const = 0;
};

}  // namespace scheduler
