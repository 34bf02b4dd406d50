#include "infrastructure/sqlite/rows.hpp"

#include "infrastructure/sqlite/json_text.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

template <class T>
T parsed_or_rejected(Statement& row, std::optional<T> parsed, std::string_view column) {
  if (!parsed) row.reject(fmt::format("the column {} holds something else than the JSON we write", column));
  return std::move(parsed).value_or(T{});
}

domain::Task read_task(Statement& row) {
  domain::Task task;
  auto& spec = task.spec;
  std::string labels, worker_labels;
  row.read(task.id, task.version, spec.name, spec.description, spec.task_type, spec.schedule, spec.timezone,
           spec.parameters, spec.timeout, spec.max_retries, spec.retry_backoff.base_seconds, spec.retry_backoff.factor,
           spec.retry_backoff.cap_seconds, spec.trigger_rule, spec.overlap_policy, spec.misfire_policy, spec.delivery,
           spec.priority, labels, worker_labels, spec.shard_count, spec.status, task.created_at, task.updated_at,
           task.watermark, task.next_fire_at);
  spec.labels = parsed_or_rejected(row, labels_from_json(labels), "tasks.labels");
  spec.worker_labels = parsed_or_rejected(row, labels_from_json(worker_labels), "tasks.worker_labels");
  return task;
}

}  // namespace

SchedulerResult<std::vector<domain::Task>> read_tasks(Connection& connection, Statement rows) {
  TRY(auto tasks, rows.all(read_task));
  for (auto& task : tasks) {
    TRY(task.spec.dependencies,
        connection.query("SELECT upstream_id FROM task_dependencies WHERE task_id = ? ORDER BY position", task.id)
            .values<TaskId>());
  }
  return tasks;
}

domain::TaskRun read_run(Statement& row, int first_column) {
  domain::TaskRun run;
  row.read_from(first_column, run.id, run.task, run.task_name, run.trigger, run.slot, run.retry_of, run.parameters,
                run.shard_index, run.shard_total, run.state, run.priority, run.created_at, run.due_at, run.attempt,
                run.lost_attempts, run.token, run.worker, run.incarnation, run.dispatched_at, run.started_at,
                run.ended_at, run.cancel_reason, run.reason, run.message, run.exit_code, run.http_status);
  return run;
}

SchedulerResult<std::optional<domain::TaskRun>> find_run(Connection& connection, RunId id) {
  static const auto kSql = fmt::format("SELECT {}{}WHERE r.id = ?", kRunColumns, kRunTables);
  return connection.query(kSql, id).first([](Statement& row) { return read_run(row); });
}

application::RunContext read_run_context(Statement& row) {
  domain::Policy policy;
  const int next = row.read(policy.max_retries, policy.backoff.base_seconds, policy.backoff.factor,
                            policy.backoff.cap_seconds, policy.delivery);
  return {read_run(row, next), policy};
}

domain::Attempt read_attempt(Statement& row) {
  domain::Attempt it;
  row.read(it.run, it.number, it.token, it.state, it.worker, it.incarnation, it.dispatched_at, it.started_at,
           it.ended_at, it.reason, it.message, it.exit_code, it.http_status);
  return it;
}

application::AssignedRun read_assigned(Statement& row) {
  application::AssignedRun it;
  row.read(it.run, it.token, it.incarnation, it.state, it.dispatched_at, it.missing, it.cancel_reason);
  return it;
}

domain::WorkerInfo read_worker(Statement& row) {
  domain::WorkerInfo it;
  std::string task_types, labels;
  row.read(it.id, it.incarnation, it.host, it.pid, it.version, task_types, labels, it.slots, it.capacity, it.busy,
           it.load, it.memory_bytes, it.state, it.state_reason, it.registered_at, it.heartbeat_at, it.heartbeat_due);
  it.task_types = parsed_or_rejected(row, words_from_json(task_types), "workers.task_types");
  it.labels = parsed_or_rejected(row, labels_from_json(labels), "workers.labels");
  return it;
}

}  // namespace scheduler::infrastructure
