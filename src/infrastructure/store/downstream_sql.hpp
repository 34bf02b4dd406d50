// infrastructure/store/downstream_sql.hpp — runs that were skipped over an upstream run, in the SQL of both engines.
#pragma once

#include "core/ids.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace scheduler::infrastructure {

struct SkippedRun {
  RunId run;
  TaskId task;
  int shard_index = 0, shard_total = 1;
  std::optional<RunId> group;
  std::string route;
  int priority = 5;
};

// FROM run_upstreams u, its runs r and their tasks t.
inline constexpr std::string_view kSkippedRunColumns =
    "r.id, r.task_id, r.shard_index, r.shard_total, r.group_id, t.route, t.priority";
inline constexpr auto read_skipped_run = [](auto& row) {
  SkippedRun it;
  row.read(it.run, it.task, it.shard_index, it.shard_total, it.group, it.route, it.priority);
  return it;
};

// The rule did not accept the upstream run, the task still runs after it, and nobody has run it again with success.
inline constexpr std::string_view kSkippedOverUpstream =
    "u.state <> 'succeeded' AND r.state = 'skipped' AND r.reason = 'dependency_failed' AND t.archived_at IS NULL"
    " AND EXISTS (SELECT 1 FROM task_dependencies d WHERE d.task_id = r.task_id AND d.upstream_id = u.upstream_id)"
    " AND NOT EXISTS (SELECT 1 FROM task_runs a WHERE a.retry_of = r.id"
    " AND (a.ended_at IS NULL OR a.state = 'succeeded'))";

}  // namespace scheduler::infrastructure
