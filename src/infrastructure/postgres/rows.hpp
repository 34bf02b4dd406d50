// infrastructure/postgres/rows.hpp — rows of PostgreSQL as the domain's structs.
#pragma once

#include "database/postgres/database.hpp"
#include "infrastructure/store/rows.hpp"

namespace scheduler::infrastructure::postgres {

using database::postgres::Row;
using database::postgres::Rows;
using database::postgres::Transaction;

inline constexpr std::string_view kRunTables = " FROM task_runs r JOIN tasks t ON t.id = r.task_id ";

// SET clause; $1 is the reason. The first mark stays.
inline constexpr std::string_view kMarkForCancel =
    "cancel_reason = CASE cancel_reason WHEN 'none' THEN $1 ELSE cancel_reason END";

// kTaskColumns and then the dependencies, FROM tasks t.
inline constexpr std::string_view kUpstreamsColumn =
    "ARRAY(SELECT d.upstream_id FROM task_dependencies d WHERE d.task_id = t.id ORDER BY d.position)";
inline constexpr auto read_whole_task = [](Row& row) {
  auto task = read_task(row);
  row.read_from(kTaskColumnCount, task.spec.dependencies);
  return task;
};

// The one instant of kSelectNow.
[[nodiscard]] inline SchedulerResult<TimePoint> instant_of(Rows& rows) {
  TRY(const auto found, rows.value<TimePoint>());
  return *found;
}

}  // namespace scheduler::infrastructure::postgres
