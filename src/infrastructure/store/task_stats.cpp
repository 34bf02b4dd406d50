#include "infrastructure/store/task_stats.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

namespace scheduler::infrastructure {
namespace {

using application::TaskStats;
using domain::RunState;

// The middle of the road for the few: the smallest value that at least 95 of 100 do not exceed.
double percentile_95(std::vector<double>& values) {
  std::ranges::sort(values);
  const auto rank = static_cast<std::size_t>(std::ceil(0.95 * static_cast<double>(values.size())));
  return values[rank - 1];
}

void keep_latest(std::optional<TimePoint>& latest, TimePoint at) {
  if (!latest || *latest < at) latest = at;
}

}  // namespace

TaskStats summarise(const std::vector<EndedRow>& rows, std::int64_t active) {
  TaskStats stats{.active = active};
  for (const auto state :
       {RunState::succeeded, RunState::failed, RunState::timed_out, RunState::cancelled, RunState::skipped})
    stats.by_state[std::string(name_of(state))] = 0;
  std::vector<double> durations_ms;
  for (const auto& row : rows) {
    ++stats.by_state[std::string(name_of(row.state))];
    if (row.started_at) durations_ms.push_back(static_cast<double>((row.ended_at - *row.started_at).count()) / 1000.0);
    if (row.state == RunState::succeeded) keep_latest(stats.last_success_at, row.ended_at);
    if (row.state == RunState::failed || row.state == RunState::timed_out)
      keep_latest(stats.last_failure_at, row.ended_at);
  }
  stats.runs = static_cast<std::int64_t>(rows.size());
  if (!rows.empty())
    stats.success_ratio = static_cast<double>(stats.by_state["succeeded"]) / static_cast<double>(rows.size());
  if (durations_ms.empty()) return stats;
  stats.duration_avg_ms =
      std::accumulate(durations_ms.begin(), durations_ms.end(), 0.0) / static_cast<double>(durations_ms.size());
  stats.duration_p95_ms = percentile_95(durations_ms);
  return stats;
}

}  // namespace scheduler::infrastructure
