#include "infrastructure/system_clock.hpp"

namespace scheduler::infrastructure {

TimePoint SystemClock::now() const { return std::chrono::floor<Micros>(std::chrono::system_clock::now()); }

Micros SystemClock::elapsed() const {
  return std::chrono::floor<Micros>(std::chrono::steady_clock::now().time_since_epoch());
}

}  // namespace scheduler::infrastructure
