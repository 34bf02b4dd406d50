// infrastructure/sqlite/rows.hpp — rows of SQLite as the domain's structs.
#pragma once

#include "database/sqlite/connection.hpp"
#include "infrastructure/store/rows.hpp"

namespace scheduler::infrastructure {

using database::sqlite::Connection;
using database::sqlite::RowSet;
using database::sqlite::Statement;

// Rows of kTaskColumns.
[[nodiscard]] SchedulerResult<std::vector<domain::Task>> read_tasks(Connection& connection, Statement rows);

// CROSS tells SQLite to look for the run first and then for its task.
inline constexpr std::string_view kRunTables = " FROM task_runs r CROSS JOIN tasks t ON t.id = r.task_id ";
// SET clause; ?1 is the reason. The first mark stays.
inline constexpr std::string_view kMarkForCancel =
    "cancel_reason = CASE cancel_reason WHEN 'none' THEN ?1 ELSE cancel_reason END";
[[nodiscard]] SchedulerResult<std::optional<domain::TaskRun>> find_run(Connection& connection, RunId id);

}  // namespace scheduler::infrastructure
