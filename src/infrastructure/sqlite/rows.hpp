// infrastructure/sqlite/rows.hpp — one mapping between each table's rows and the domain's structs.
//
// Each column list and its reader stand together; a reader takes the columns from the left.
#pragma once

#include "application/ports/dispatch_repository.hpp"
#include "database/sqlite/connection.hpp"
#include "domain/task.hpp"
#include "domain/task_run.hpp"
#include "domain/worker_info.hpp"

namespace scheduler::infrastructure {

using database::sqlite::Connection;
using database::sqlite::Statement;

// FROM tasks t. The dependencies are rows of their own.
inline constexpr std::string_view kTaskColumns =
    "t.id, t.version, t.name, t.description, t.task_type, t.schedule, t.timezone, t.parameters, t.timeout_seconds,"
    " t.max_retries, t.backoff_base_seconds, t.backoff_factor, t.backoff_cap_seconds, t.trigger_rule,"
    " t.overlap_policy, t.misfire_policy, t.delivery, t.priority, t.labels, t.worker_labels, t.shard_count, t.status,"
    " t.created_at, t.updated_at, t.watermark, t.next_fire_at";
[[nodiscard]] SchedulerResult<std::vector<domain::Task>> read_tasks(Connection& connection, Statement rows);

// FROM kRunTables. CROSS tells SQLite to look for the run first and then for its task.
inline constexpr std::string_view kRunColumns =
    "r.id, r.task_id, t.name, r.triggered_by, r.slot, r.retry_of, r.parameters, r.shard_index, r.shard_total, r.state,"
    " r.priority, r.created_at, r.due_at, r.attempt, r.lost_attempts, r.token, r.worker, r.incarnation,"
    " r.dispatched_at, r.started_at, r.ended_at, r.cancel_reason, r.reason, r.message, r.exit_code, r.http_status";
inline constexpr std::string_view kRunTables = " FROM task_runs r CROSS JOIN tasks t ON t.id = r.task_id ";
[[nodiscard]] domain::TaskRun read_run(Statement& row, int first_column = 0);
[[nodiscard]] SchedulerResult<std::optional<domain::TaskRun>> find_run(Connection& connection, RunId id);

// Then kRunColumns, of the same tables.
inline constexpr std::string_view kPolicyColumns =
    "t.max_retries, t.backoff_base_seconds, t.backoff_factor, t.backoff_cap_seconds, t.delivery";
[[nodiscard]] application::RunContext read_run_context(Statement& row);

inline constexpr std::string_view kAttemptColumns =
    "run_id, number, token, state, worker, incarnation, dispatched_at, started_at, ended_at, reason, message,"
    " exit_code, http_status";
[[nodiscard]] domain::Attempt read_attempt(Statement& row);

// FROM task_runs, of runs that a worker holds.
inline constexpr std::string_view kAssignedColumns =
    "id, token, incarnation, state, dispatched_at, missing_since IS NOT NULL, cancel_reason";
[[nodiscard]] application::AssignedRun read_assigned(Statement& row);
// SET clause; ?1 is the reason. The first mark stays.
inline constexpr std::string_view kMarkForCancel =
    "cancel_reason = CASE cancel_reason WHEN 'none' THEN ?1 ELSE cancel_reason END";

// FROM workers.
inline constexpr std::string_view kWorkerColumns =
    "worker_id, incarnation, host, pid, version, task_types, labels, slots, capacity, busy, load, memory_bytes, state,"
    " state_reason, registered_at, heartbeat_at, heartbeat_due";
[[nodiscard]] domain::WorkerInfo read_worker(Statement& row);

}  // namespace scheduler::infrastructure
