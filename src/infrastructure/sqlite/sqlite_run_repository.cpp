#include "infrastructure/sqlite/sqlite_run_repository.hpp"

#include "infrastructure/sqlite/downstream_runs.hpp"
#include "infrastructure/sqlite/rows.hpp"
#include "infrastructure/sqlite/run_endings.hpp"
#include "infrastructure/sqlite/run_insert.hpp"
#include "infrastructure/store/guards.hpp"
#include "infrastructure/store/paging_sql.hpp"
#include "infrastructure/store/refusals.hpp"
#include "infrastructure/store/task_stats.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace scheduler::infrastructure {
namespace {

using application::Cancelled;
using application::LogChunk;
using application::NewRun;
using application::NewRuns;
using application::Page;
using application::Paging;
using application::RunFilter;
using application::TaskStats;
using domain::RunState;
using domain::TaskRun;

SchedulerResult<TaskRun> get_run(Connection& connection, RunId id) {
  TRY(auto run, find_run(connection, id));
  if (!run) return no_such_run(id);
  return *std::move(run);
}

SchedulerResult<std::vector<TaskRun>> get_runs(Connection& connection, const std::vector<RunId>& ids) {
  std::vector<TaskRun> runs;
  for (const auto id : ids) {
    TRY(runs.emplace_back(), get_run(connection, id));
  }
  return runs;
}

// ---- insert ---------------------------------------------------------------------------------------------------------

SchedulerResult<std::vector<RunId>> runs_made_by(Connection& connection, TaskId task, const std::string& key) {
  return connection
      .query("SELECT id FROM task_runs WHERE task_id = ? AND idempotency_key = ? ORDER BY shard_index", task, key)
      .values<RunId>();
}

// A run that is asked for again keeps its place among the shards; the other shards are not run again.
SchedulerResult<std::vector<RunId>> insert_again(Connection& connection, const NewFire& fire, RunId ended,
                                                 bool downstream) {
  auto row =
      connection.query("SELECT shard_index, shard_total FROM task_runs WHERE id = ? AND task_id = ?", ended, fire.task);
  TRY(const bool found, row.step());
  if (!found) return task_has_no_such_run(fire.task, ended);
  int shard_index = 0, shard_total = 1;
  row.read(shard_index, shard_total);
  if (downstream && shard_total > 1) return shard_has_no_downstream(ended);
  TRY(const auto id, insert_run(connection, fire, shard_index, shard_total));
  return std::vector{id};
}

SchedulerResult<NewRuns> insert_new(Connection& connection, const NewRun& run, TimePoint now) {
  auto task =
      connection.query("SELECT route, priority, shard_count FROM tasks WHERE id = ? AND archived_at IS NULL", run.task);
  TRY(const bool found, task.step());
  if (!found) return no_such_task(run.task);
  NewRuns made;
  if (run.idempotency_key) {
    TRY(const auto earlier, runs_made_by(connection, run.task, *run.idempotency_key));
    TRY(made.runs, get_runs(connection, earlier));
    made.existed = !earlier.empty();
    if (made.existed) return made;
  }
  std::string route;
  int priority = 0, shard_count = 1;
  task.read(route, priority, shard_count);
  const NewFire fire{.task = run.task,
                     .route = route,
                     .priority = priority,
                     .trigger = run.trigger,
                     .retry_of = run.retry_of,
                     .parameters = run.parameters,
                     .idempotency_key = run.idempotency_key,
                     .created_at = now,
                     .due_at = now};
  TRY(const auto ids, run.retry_of ? insert_again(connection, fire, *run.retry_of, run.downstream)
                                   : insert_runs(connection, fire, shard_count));
  if (run.retry_of && run.downstream) {
    TRY(const auto downstream, run_downstream_again(connection, *run.retry_of, ids.front(), now));
    TRY(made.downstream, get_runs(connection, downstream));
  }
  TRY(made.runs, get_runs(connection, ids));
  return made;
}

// ---- lists ----------------------------------------------------------------------------------------------------------

// Which index to walk, and the condition it stands for. The states are constants of the text, because a partial index
// serves only a query that says its condition.
struct Walk {
  std::string_view index;  // "" where the table itself, or what SQLite chooses, is right
  std::string condition;
};

Walk walk_for(const RunFilter& filter) {
  const auto state = filter.state;
  std::string condition = filter.task ? "r.task_id = ?1" : "1";
  if (!state) return {filter.task ? " INDEXED BY task_runs_history" : "", condition};
  condition += fmt::format(" AND r.state = '{}'", name_of(*state));
  if (!domain::is_terminal(*state) && filter.task)
    return {" INDEXED BY task_runs_active", condition + " AND r.ended_at IS NULL"};
  if (filter.task) return {" INDEXED BY task_runs_history", condition};
  switch (*state) {
    case RunState::waiting:
      return {" INDEXED BY task_runs_waiting", condition};
    case RunState::pending:
      return {" INDEXED BY task_runs_pending", condition};
    case RunState::dispatched:
    case RunState::running:
      return {" INDEXED BY task_runs_held", condition + " AND r.state IN ('dispatched', 'running')"};
    case RunState::succeeded:
      return {"", condition};
    default:
      return {" INDEXED BY task_runs_not_succeeded",
              condition + " AND r.ended_at IS NOT NULL AND r.state <> 'succeeded'"};
  }
}

SchedulerResult<Page<TaskRun>> list_runs(Connection& connection, const RunFilter& filter, const Paging& paging) {
  TRY(const auto window, window_of(paging));
  const auto walk = walk_for(filter);
  const auto sql = fmt::format(
      "SELECT {} FROM task_runs r{} CROSS JOIN tasks t ON t.id = r.task_id WHERE {}"
      " AND (?2 IS NULL OR r.triggered_by = ?2) AND (?3 IS NULL OR r.worker = ?3) AND r.id < ?4"
      " ORDER BY r.id DESC LIMIT ?5 OFFSET ?6",
      kRunColumns, walk.index, walk.condition);
  TRY(auto rows,
      connection.query(sql, filter.task, filter.trigger, filter.worker, window.before, window.rows_max, window.offset)
          .all(read_run));
  return page_of(std::move(rows), window);
}

SchedulerResult<std::vector<domain::Attempt>> attempts_of(Connection& connection, RunId id) {
  TRY(const auto run, get_run(connection, id));
  static const auto kSql =
      fmt::format("SELECT {} FROM task_attempts WHERE run_id = ? ORDER BY number", kAttemptColumns);
  TRY(auto attempts, connection.query(kSql, id).all(read_attempt));
  if (run.state == RunState::dispatched || run.state == RunState::running) attempts.push_back(current_attempt(run));
  return attempts;
}

SchedulerResult<std::vector<domain::UpstreamRun>> upstreams_of(Connection& connection, RunId id) {
  CHECK(get_run(connection, id));
  static const auto kSql = fmt::format(
      "SELECT {} FROM run_upstreams u CROSS JOIN tasks t ON t.id = u.upstream_id WHERE u.run_id = ?"
      " ORDER BY u.position",
      kUpstreamRunColumns);
  return connection.query(kSql, id).all(read_upstream_run);
}

// ---- cancel ---------------------------------------------------------------------------------------------------------

SchedulerResult<bool> cancel_undispatched(Connection& connection, const TaskRun& run, TimePoint now) {
  static const auto kSql = fmt::format(
      "UPDATE task_runs SET state = 'cancelled', ended_at = ?2, cancel_reason = 'cancelled_by_user',"
      " reason = 'cancelled_by_user',"
      " message = 'cancelled before it was dispatched' WHERE id = ?1 AND {}",
      may_leave(domain::Event::cancel, Side::store));
  TRY(const auto changed, connection.execute(kSql, run.id, now));
  if (changed == 0) return false;
  RunEndings endings(connection, now);
  endings.note(run.id, run.task, RunState::cancelled);
  CHECK(endings.settle());
  return true;
}

SchedulerResult<Cancelled> cancel_run(Connection& connection, RunId id, TimePoint now) {
  TRY(const auto before, get_run(connection, id));
  if (domain::is_terminal(before.state)) return run_has_ended(before);
  Cancelled cancelled;
  TRY(const bool ended, cancel_undispatched(connection, before, now));
  if (!ended) {
    static const auto kSql = fmt::format("UPDATE task_runs SET {} WHERE id = ?2 AND {} RETURNING {}", kMarkForCancel,
                                         may_leave(domain::Event::cancel, Side::attempt), kAssignedColumns);
    TRY(cancelled.to_stop, connection.query(kSql, domain::Reason::cancelled_by_user, id).first(read_assigned));
  }
  TRY(cancelled.run, get_run(connection, id));
  return cancelled;
}

// ---- statistics -----------------------------------------------------------------------------------------------------

SchedulerResult<TaskStats> stats_of(Connection& connection, TaskId task) {
  TRY(const auto rows,
      connection
          .query("SELECT state, started_at, ended_at FROM task_runs INDEXED BY task_runs_history WHERE task_id = ?"
                 " AND ended_at IS NOT NULL ORDER BY id DESC LIMIT ?",
                 task, application::kStatsRunsMax)
          .all(read_ended));
  TRY(const auto active, connection.query("SELECT count(*) FROM task_runs WHERE task_id = ? AND ended_at IS NULL", task)
                             .value<std::int64_t>());
  return summarise(rows, *active);
}

// ---- output ---------------------------------------------------------------------------------------------------------

SchedulerResult<void> append_chunks(Connection& connection, const std::vector<LogChunk>& chunks) {
  auto insert = connection.query(
      "INSERT OR IGNORE INTO run_logs (run_id, attempt, first_line, lines, stream, at, text)"
      " VALUES (?, ?, ?, ?, ?, ?, ?)");
  for (const auto& it : chunks)
    CHECK(insert.bind(it.run, it.attempt, it.first_line, it.lines, it.stream, it.at, it.text).run());
  return {};
}

// The chunk that holds the line after `after_line` begins there or before: a seek, whatever was sent before.
SchedulerResult<std::vector<LogChunk>> read_chunks(Connection& connection, RunId run, int attempt,
                                                   std::int64_t after_line, std::size_t bytes_max) {
  auto rows = connection.query(
      "SELECT run_id, attempt, first_line, lines, stream, at, text FROM run_logs"
      " WHERE run_id = ?1 AND attempt = ?2 AND first_line >= coalesce((SELECT max(first_line) FROM run_logs"
      " WHERE run_id = ?1 AND attempt = ?2 AND first_line <= ?3), 0) AND first_line + lines - 1 > ?3"
      " ORDER BY first_line",
      run, attempt, after_line);
  std::vector<LogChunk> chunks;
  for (std::size_t bytes = 0; chunks.empty() || bytes < bytes_max; bytes += chunks.back().text.size()) {
    TRY(const bool found, rows.step());
    if (!found) break;
    chunks.push_back(read_chunk(rows));
  }
  return chunks;
}

}  // namespace

Async<NewRuns> SqliteRunRepository::insert(NewRun run) {
  return database_.write(
      [this, run = std::move(run)](Connection& connection) { return insert_new(connection, run, clock_.now()); });
}

Async<TaskRun> SqliteRunRepository::get(RunId id) {
  return database_.read([id](Connection& connection) { return get_run(connection, id); });
}

Async<Page<TaskRun>> SqliteRunRepository::list(RunFilter filter, Paging paging) {
  return database_.read(
      [filter = std::move(filter), paging](Connection& connection) { return list_runs(connection, filter, paging); });
}

Async<std::vector<domain::Attempt>> SqliteRunRepository::attempts(RunId id) {
  return database_.read([id](Connection& connection) { return attempts_of(connection, id); });
}

Async<std::vector<domain::UpstreamRun>> SqliteRunRepository::upstreams(RunId id) {
  return database_.read([id](Connection& connection) { return upstreams_of(connection, id); });
}

Async<std::optional<std::int64_t>> SqliteRunRepository::log_lines(RunId id, int attempt) {
  return database_.read([id, attempt](Connection& connection) {
    return connection.query("SELECT log_lines FROM task_attempts WHERE run_id = ? AND number = ?", id, attempt)
        .value<std::int64_t>();
  });
}

Async<Cancelled> SqliteRunRepository::cancel(RunId id) {
  return database_.write([this, id](Connection& connection) { return cancel_run(connection, id, clock_.now()); });
}

Async<TaskStats> SqliteRunRepository::stats(TaskId task) {
  return database_.read([task](Connection& connection) { return stats_of(connection, task); });
}

Async<void> SqliteRunLogRepository::append(std::vector<LogChunk> chunks) {
  return database_.write(
      [chunks = std::move(chunks)](Connection& connection) { return append_chunks(connection, chunks); },
      database::sqlite::Urgency::patient);
}

Async<std::vector<LogChunk>> SqliteRunLogRepository::read(RunId run, int attempt, std::int64_t after_line,
                                                          std::size_t bytes_max) {
  return database_.read([run, attempt, after_line, bytes_max](Connection& connection) {
    return read_chunks(connection, run, attempt, after_line, bytes_max);
  });
}

}  // namespace scheduler::infrastructure
