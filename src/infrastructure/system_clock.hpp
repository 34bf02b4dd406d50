// infrastructure/system_clock.hpp — the host's clocks; the only place that reads them.
#pragma once

#include "core/clock.hpp"

namespace scheduler::infrastructure {

class SystemClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override;
  [[nodiscard]] Micros elapsed() const override;
};

}  // namespace scheduler::infrastructure
