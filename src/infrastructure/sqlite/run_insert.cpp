#include "infrastructure/sqlite/run_insert.hpp"

namespace scheduler::infrastructure {

SchedulerResult<std::int64_t> next_run_id(Connection& connection) {
  TRY(const auto last,
      connection.query("SELECT seq FROM sqlite_sequence WHERE name = 'task_runs'").value<std::int64_t>());
  return last.value_or(0) + 1;
}

SchedulerResult<int> room_taken(Connection& connection, TaskId task) {
  TRY(const auto taken,
      connection.query("SELECT count(*) FROM task_runs WHERE task_id = ? AND ended_at IS NULL AND holds_room = 1", task)
          .value<int>());
  return *taken;
}

RunId RunInserts::add(const NewFire& run, int shard_index, int shard_total) {
  const RunId id{next_++};
  if (run.retry_of || shard_total == 1)
    group_ = run.group;
  else if (shard_index == 0)
    group_ = id;
  const auto ended_at = domain::is_terminal(run.state) ? std::optional(run.created_at) : std::nullopt;
  rows_.add(id, run.task, run.trigger, run.slot, run.retry_of, group_, shard_index, shard_total, run.state,
            run.waits_for, run.holds_room ? std::optional(1) : std::nullopt, run.route, run.priority, run.created_at,
            run.due_at, ended_at, run.reason, run.message, run.idempotency_key, run.parameters);
  return id;
}

SchedulerResult<void> RunInserts::write(Connection& connection) const {
  if (rows_.empty()) return {};
  CHECK(connection.execute(
      "INSERT INTO task_runs (id, task_id, triggered_by, slot, retry_of, group_id, shard_index, shard_total, state,"
      " waits_for, holds_room, route, priority, created_at, due_at, ended_at, reason, message, idempotency_key,"
      " parameters) SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14, c15, c16, c17, c18, c19, c20"
      " FROM rows(?1)",
      rows_));
  return {};
}

}  // namespace scheduler::infrastructure
