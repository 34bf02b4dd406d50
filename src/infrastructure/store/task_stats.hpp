// infrastructure/store/task_stats.hpp — the figures about one task, from its newest ended runs.
#pragma once

#include "application/ports/run_repository.hpp"

#include <vector>

namespace scheduler::infrastructure {

struct EndedRow {
  domain::RunState state = domain::RunState::succeeded;
  std::optional<TimePoint> started_at;
  TimePoint ended_at{};
};
inline constexpr auto read_ended = [](auto& row) {
  EndedRow it;
  row.read(it.state, it.started_at, it.ended_at);
  return it;
};

[[nodiscard]] application::TaskStats summarise(const std::vector<EndedRow>& rows, std::int64_t active);

}  // namespace scheduler::infrastructure
