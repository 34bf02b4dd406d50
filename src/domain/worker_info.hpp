// domain/worker_info.hpp — a worker and one life of it (incarnation).
//
// Always true:
//   - each start of a worker process is a new incarnation; its id is random and never used again;
//   - an incarnation is declared dead at most once and never comes back: a late heartbeat is told so;
//   - only after that are its runs rescued, each with a larger token.
// Instants are UTC by the store's clock. Two hosts' clocks are never compared: hosts drift.
#pragma once

#include "core/enum_names.hpp"
#include "core/ids.hpp"
#include "core/time.hpp"
#include "domain/task.hpp"

#include <optional>
#include <string>
#include <vector>

namespace scheduler::domain {

enum class WorkerState { alive, draining, dead };
constexpr auto enum_names(WorkerState) { return std::to_array<std::string_view>({"alive", "draining", "dead"}); }

struct WorkerInfo {
  WorkerId id;
  IncarnationId incarnation;
  std::string host;
  std::int64_t pid = 0;
  std::string version;
  std::vector<std::string> task_types;  // what it can execute, sorted
  Labels labels;
  int slots = 1;                  // attempts that run at the same time, >= 1
  int capacity = 1;               // runs it may hold: slots + prefetch, >= slots
  int busy = 0;                   // attempts running at its last heartbeat; of the dead none
  double load = 0;                // the host's one-minute load average at its last heartbeat
  std::int64_t memory_bytes = 0;  // resident memory of the worker at its last heartbeat
  WorkerState state = WorkerState::alive;
  std::string state_reason;  // why it is dead
  TimePoint registered_at{};
  TimePoint heartbeat_at{};
  TimePoint heartbeat_due{};  // exclusive: silence until this instant means dead
};

[[nodiscard]] constexpr bool is_silent(const WorkerInfo& it, TimePoint now) { return it.heartbeat_due <= now; }

}  // namespace scheduler::domain
