// infrastructure/postgres/store_clock.hpp — whose clock decides the store's instants.
//
// The server's, so that all processes of a cluster agree: a statement says kNow, which is the instant at which its
// transaction began. A test brings a clock of its own, as the first parameter of each such statement.
#pragma once

#include "core/clock.hpp"

#include <optional>

namespace scheduler::infrastructure {

// $1 is StoreClock::own().
#define SCHEDULER_NOW "coalesce($1, now())"
inline constexpr auto kSelectNow = "SELECT " SCHEDULER_NOW;

class StoreClock {
 public:
  // `own` outlives the store; null: the server's clock.
  explicit StoreClock(const Clock* own) : own_(own) {}
  [[nodiscard]] std::optional<TimePoint> own() const { return own_ ? std::optional(own_->now()) : std::nullopt; }

 private:
  const Clock* own_;
};

}  // namespace scheduler::infrastructure
