#include "infrastructure/sqlite/rows.hpp"

#include <fmt/format.h>

#include <unordered_map>

namespace scheduler::infrastructure {

SchedulerResult<std::vector<domain::Task>> read_tasks(Connection& connection, Statement rows) {
  TRY(auto tasks, rows.all(read_task));
  RowSet ids;
  for (const auto& task : tasks) ids.add(task.id);
  auto edges = connection.query(
      "SELECT d.task_id, d.upstream_id FROM rows(?1) CROSS JOIN task_dependencies d ON d.task_id = c1"
      " ORDER BY d.task_id, d.position",
      ids);
  std::unordered_map<TaskId, std::vector<TaskId>> upstreams;
  for (;;) {
    TRY(const bool found, edges.step());
    if (!found) break;
    TaskId task, upstream;
    edges.read(task, upstream);
    upstreams[task].push_back(upstream);
  }
  for (auto& task : tasks)
    if (const auto found = upstreams.find(task.id); found != upstreams.end())
      task.spec.dependencies = std::move(found->second);
  return tasks;
}

SchedulerResult<std::optional<domain::TaskRun>> find_run(Connection& connection, RunId id) {
  static const auto kSql = fmt::format("SELECT {}{}WHERE r.id = ?", kRunColumns, kRunTables);
  return connection.query(kSql, id).first(read_run);
}

}  // namespace scheduler::infrastructure
