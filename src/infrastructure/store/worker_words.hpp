// infrastructure/store/worker_words.hpp — what stores say and ask about incarnations, the same in every engine.
#pragma once

#include "application/messages.hpp"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace scheduler::infrastructure {

inline constexpr std::string_view kReplacedIncarnation = "replaced by a new start";
inline constexpr std::string_view kLeft = "left";

// A worker that was silent longer than this is not listed any more.
inline constexpr Seconds kWorkerListedFor = std::chrono::hours{24};

// How an incarnation is stored.
struct KnownIncarnation {
  domain::WorkerState state = domain::WorkerState::alive;
  std::string reason;
};

// How it is stored after this heartbeat; `known`: how it was, not dead.
[[nodiscard]] inline KnownIncarnation state_after(const application::WorkerHeartbeat& beat,
                                                  const std::optional<KnownIncarnation>& known) {
  if (beat.leaving) return {domain::WorkerState::dead, std::string(kLeft)};
  auto state = known.value_or(KnownIncarnation{});
  if (beat.worker.state == domain::WorkerState::draining) state.state = domain::WorkerState::draining;
  return state;
}

}  // namespace scheduler::infrastructure
