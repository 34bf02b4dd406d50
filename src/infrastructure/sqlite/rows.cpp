#include "infrastructure/sqlite/rows.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {

SchedulerResult<std::vector<domain::Task>> read_tasks(Connection& connection, Statement rows) {
  TRY(auto tasks, rows.all(read_task));
  for (auto& task : tasks) {
    TRY(task.spec.dependencies,
        connection.query("SELECT upstream_id FROM task_dependencies WHERE task_id = ? ORDER BY position", task.id)
            .values<TaskId>());
  }
  return tasks;
}

SchedulerResult<std::optional<domain::TaskRun>> find_run(Connection& connection, RunId id) {
  static const auto kSql = fmt::format("SELECT {}{}WHERE r.id = ?", kRunColumns, kRunTables);
  return connection.query(kSql, id).first(read_run);
}

}  // namespace scheduler::infrastructure
