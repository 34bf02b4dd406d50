// dispatcher/presence_loop.hpp — says in the store that this dispatcher lives, so that health checks can tell when none
// does. Nothing is decided by it: dispatchers share their work by rows, and need not know each other.
#pragma once

#include "application/ports/store.hpp"
#include "core/clock.hpp"
#include "dispatcher/loop.hpp"

namespace scheduler::dispatcher {

// A few words lost, or a pause of the process, are no death.
inline constexpr Micros kPresenceEvery = std::chrono::seconds{5};
inline constexpr Seconds kPresenceSilence{20};

class PresenceLoop final : public Loop {
 public:
  PresenceLoop(application::Store& store, const Clock& clock, IncarnationId life)
      : store_(store), clock_(clock), life_(life) {}
  [[nodiscard]] std::string_view name() const override { return "presence"; }
  Async<Tick> tick() override;

 private:
  application::Store& store_;
  const Clock& clock_;
  IncarnationId life_;
  std::optional<Micros> said_at_;
};

}  // namespace scheduler::dispatcher
