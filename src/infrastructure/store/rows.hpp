// infrastructure/store/rows.hpp — one mapping between each table's rows and the domain's structs, for every engine.
//
// Each column list and its reader stand together; a reader takes the columns from the left, off any row that has
// read(), read_from() and reject().
#pragma once

#include "application/ports/dispatch_repository.hpp"
#include "application/ports/slot_repository.hpp"
#include "application/ports/task_repository.hpp"
#include "domain/dependencies.hpp"
#include "domain/slot_audit.hpp"
#include "domain/task.hpp"
#include "domain/task_run.hpp"
#include "domain/worker_info.hpp"
#include "infrastructure/store/json_text.hpp"

#include <string>
#include <string_view>
#include <utility>

namespace scheduler::infrastructure {

template <class Row, class T>
T parsed_or_rejected(Row& row, std::optional<T> parsed, const std::string& column) {
  if (!parsed) row.reject("the column " + column + " holds something else than the JSON we write");
  return std::move(parsed).value_or(T{});
}

// FROM tasks t. The dependencies are rows of their own.
inline constexpr std::string_view kTaskColumns =
    "t.id, t.version, t.owner_id, t.name, t.description, t.task_type, t.schedule, t.timezone, t.parameters, "
    "t.timeout_seconds,"
    " t.max_retries, t.backoff_base_seconds, t.backoff_factor, t.backoff_cap_seconds, t.trigger_rule,"
    " t.overlap_policy, t.misfire_policy, t.delivery, t.priority, t.labels, t.worker_labels, t.shard_count, t.status,"
    " t.created_at, t.updated_at, t.watermark, t.next_fire_at, t.schedule_since, t.retry_on, t.max_lost_attempts,"
    " t.misfire_grace_seconds, t.catch_up_window_seconds, t.max_concurrent_runs, t.max_queued_runs";
inline constexpr int kTaskColumnCount = 34;
inline constexpr auto read_task = [](auto& row) {
  domain::Task task;
  auto& spec = task.spec;
  std::string labels, worker_labels, retry_on;
  row.read(task.id, task.version, task.owner, spec.name, spec.description, spec.task_type, spec.schedule, spec.timezone,
           spec.parameters, spec.timeout, spec.max_retries, spec.retry_backoff.base_seconds, spec.retry_backoff.factor,
           spec.retry_backoff.cap_seconds, spec.trigger_rule, spec.overlap_policy, spec.misfire_policy, spec.delivery,
           spec.priority, labels, worker_labels, spec.shard_count, spec.status, task.created_at, task.updated_at,
           task.watermark, task.next_fire_at, task.schedule_since, retry_on, spec.max_lost_attempts, spec.misfire_grace,
           spec.catch_up_window, spec.max_concurrent_runs, spec.max_queued_runs);
  spec.retry_on = parsed_or_rejected(row, retry_on_from_json(retry_on), "tasks.retry_on");
  spec.labels = parsed_or_rejected(row, labels_from_json(labels), "tasks.labels");
  spec.worker_labels = parsed_or_rejected(row, labels_from_json(worker_labels), "tasks.worker_labels");
  return task;
};

// FROM tasks t: a task that others run after.
inline constexpr std::string_view kUpstreamTaskColumns =
    "t.id, t.version, t.name, t.timezone, t.schedule, t.created_at, t.schedule_since";
inline constexpr auto read_upstream_task = [](auto& row) {
  application::UpstreamTask it;
  row.read(it.id, it.version, it.name, it.timezone, it.schedule, it.created_at, it.schedule_since);
  return it;
};

// FROM task_runs r and its tasks t.
inline constexpr std::string_view kRunColumns =
    "r.id, r.task_id, t.name, r.triggered_by, r.slot, r.retry_of, r.group_id, r.parameters, r.shard_index, "
    "r.shard_total,"
    " r.state, CASE r.state WHEN 'waiting' THEN r.waits_for END, r.priority, r.created_at, r.due_at, r.attempt, "
    "r.lost_attempts, r.token, r.worker, r.incarnation,"
    " r.dispatched_at, r.started_at, r.ended_at, r.cancel_reason, r.reason, r.message, r.exit_code, r.http_status";
inline constexpr auto read_run_from = [](auto& row, int first_column) {
  domain::TaskRun run;
  row.read_from(first_column, run.id, run.task, run.task_name, run.trigger, run.slot, run.retry_of, run.group,
                run.parameters, run.shard_index, run.shard_total, run.state, run.waits_for, run.priority,
                run.created_at, run.due_at, run.attempt, run.lost_attempts, run.token, run.worker, run.incarnation,
                run.dispatched_at, run.started_at, run.ended_at, run.cancel_reason, run.reason, run.message,
                run.exit_code, run.http_status);
  return run;
};
inline constexpr auto read_run = [](auto& row) { return read_run_from(row, 0); };

// Then, of the same tables, the workers of the run's lost attempts as one text, and kRunColumns.
inline constexpr std::string_view kPolicyColumns =
    "t.max_retries, t.backoff_base_seconds, t.backoff_factor, t.backoff_cap_seconds, t.retry_on, t.max_lost_attempts,"
    " t.delivery";
inline constexpr auto read_run_context = [](auto& row) {
  domain::Policy policy;
  std::string retry_on;
  std::optional<std::string> lost_workers;
  const int next =
      row.read(policy.max_retries, policy.backoff.base_seconds, policy.backoff.factor, policy.backoff.cap_seconds,
               retry_on, policy.max_lost_attempts, policy.delivery, lost_workers);
  policy.retry_on = parsed_or_rejected(row, retry_on_from_json(retry_on), "tasks.retry_on");
  auto run = read_run_from(row, next);
  run.lost_workers = std::move(lost_workers).value_or("");
  return application::RunContext{std::move(run), std::move(policy)};
};

inline constexpr std::string_view kAttemptColumns =
    "run_id, number, token, state, worker, incarnation, dispatched_at, started_at, ended_at, reason, message,"
    " exit_code, http_status";
inline constexpr auto read_attempt = [](auto& row) {
  domain::Attempt it;
  row.read(it.run, it.number, it.token, it.state, it.worker, it.incarnation, it.dispatched_at, it.started_at,
           it.ended_at, it.reason, it.message, it.exit_code, it.http_status);
  return it;
};

// FROM run_upstreams u and its tasks t. The run of a fire time that has not ended is looked up by its slot.
inline constexpr std::string_view kUpstreamRunColumns =
    "u.upstream_id, t.name, u.slot, coalesce(u.upstream_run_id, (SELECT s.run_id FROM schedule_slots s"
    " WHERE s.slot = u.slot AND s.task_id = u.upstream_id AND s.shard = 0)), u.state";
inline constexpr auto read_upstream_run_from = [](auto& row, int first_column) {
  domain::UpstreamRun it;
  row.read_from(first_column, it.task, it.task_name, it.slot, it.run, it.state);
  return it;
};
inline constexpr auto read_upstream_run = [](auto& row) { return read_upstream_run_from(row, 0); };

// FROM tasks t: a task of the graph, then its newest run.
inline constexpr std::string_view kStandingColumns = "t.id, t.name, t.status, t.schedule, t.trigger_rule";
inline constexpr auto read_standing = [](auto& row) {
  application::TaskStanding it;
  row.read(it.id, it.name, it.status, it.schedule, it.trigger_rule, it.last_run, it.last_state);
  return it;
};

// FROM task_runs, of runs that a worker holds.
inline constexpr std::string_view kAssignedColumns =
    "id, token, incarnation, state, dispatched_at, missing_since IS NOT NULL, cancel_reason";
inline constexpr auto read_assigned = [](auto& row) {
  application::AssignedRun it;
  row.read(it.run, it.token, it.incarnation, it.state, it.dispatched_at, it.missing, it.cancel_reason);
  return it;
};

// FROM schedule_slots s, a row for each shard grouped by slot.
inline constexpr std::string_view kFiredSlotColumns =
    "min(s.first_slot), s.slot, min(s.disposition), min(s.reason), count(*), max(s.shard) + 1, min(s.run_id),"
    " min(s.cause_run_id), min(s.decided_at)";
// FROM schedule_slots s.
inline constexpr std::string_view kSkippedSlotColumns =
    "s.first_slot, s.slot, s.disposition, s.reason, 0, 0, s.run_id, s.cause_run_id, s.decided_at";
inline constexpr auto read_slot_record = [](auto& row) {
  domain::SlotRecord it;
  std::string disposition;
  row.read(it.first, it.last, disposition, it.reason, it.runs, it.shards, it.run, it.cause, it.decided_at);
  it.fired = disposition == "fired";
  return it;
};

// FROM workers.
inline constexpr std::string_view kWorkerColumns =
    "worker_id, incarnation, host, pid, version, task_types, labels, slots, capacity, busy, load, memory_bytes, state,"
    " state_reason, registered_at, heartbeat_at, heartbeat_due";
inline constexpr auto read_worker = [](auto& row) {
  domain::WorkerInfo it;
  std::string task_types, labels;
  row.read(it.id, it.incarnation, it.host, it.pid, it.version, task_types, labels, it.slots, it.capacity, it.busy,
           it.load, it.memory_bytes, it.state, it.state_reason, it.registered_at, it.heartbeat_at, it.heartbeat_due);
  it.task_types = parsed_or_rejected(row, words_from_json(task_types), "workers.task_types");
  it.labels = parsed_or_rejected(row, labels_from_json(labels), "workers.labels");
  if (it.state == domain::WorkerState::dead) it.busy = 0;  // whatever it said last
  return it;
};

// FROM run_logs.
inline constexpr std::string_view kChunkColumns = "run_id, attempt, first_line, lines, stream, at, text";
inline constexpr auto read_chunk = [](auto& row) {
  application::LogChunk it;
  row.read(it.run, it.attempt, it.first_line, it.lines, it.stream, it.at, it.text);
  return it;
};

// The attempt that a dispatched or running run is in.
[[nodiscard]] inline domain::Attempt current_attempt(const domain::TaskRun& run) {
  return {.run = run.id,
          .number = run.attempt,
          .token = run.token,
          .state = domain::AttemptState::running,
          .worker = run.worker.value_or(WorkerId{}),
          .incarnation = run.incarnation.value_or(IncarnationId{}),
          .dispatched_at = run.dispatched_at,
          .started_at = run.started_at};
}

}  // namespace scheduler::infrastructure
