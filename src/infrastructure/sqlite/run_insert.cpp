#include "infrastructure/sqlite/run_insert.hpp"

namespace scheduler::infrastructure {

SchedulerResult<RunId> insert_run(Connection& connection, const NewFire& fire, int shard_index, int shard_total) {
  const auto ended_at = domain::is_terminal(fire.state) ? std::optional(fire.created_at) : std::nullopt;
  CHECK(connection.execute(
      "INSERT INTO task_runs (task_id, triggered_by, slot, retry_of, shard_index, shard_total, state, route, priority,"
      " created_at, due_at, ended_at, reason, message, idempotency_key, parameters)"
      " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      fire.task, fire.trigger, fire.slot, fire.retry_of, shard_index, shard_total, fire.state, fire.route,
      fire.priority, fire.created_at, fire.due_at, ended_at, fire.reason, fire.message, fire.idempotency_key,
      fire.parameters));
  return RunId{connection.last_insert_id()};
}

SchedulerResult<std::int64_t> next_run_id(Connection& connection) {
  TRY(const auto last,
      connection.query("SELECT seq FROM sqlite_sequence WHERE name = 'task_runs'").value<std::int64_t>());
  return last.value_or(0) + 1;
}

SchedulerResult<std::vector<RunId>> insert_runs(Connection& connection, const NewFire& fire, int shard_total) {
  std::vector<RunId> ids;
  for (int shard = 0; shard < shard_total; ++shard) {
    TRY(const auto id, insert_run(connection, fire, shard, shard_total));
    ids.push_back(id);
  }
  return ids;
}

}  // namespace scheduler::infrastructure
