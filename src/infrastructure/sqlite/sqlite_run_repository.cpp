#include "infrastructure/sqlite/sqlite_run_repository.hpp"

#include "infrastructure/sqlite/downstream_runs.hpp"
#include "infrastructure/sqlite/rows.hpp"
#include "infrastructure/sqlite/run_endings.hpp"
#include "infrastructure/sqlite/run_insert.hpp"
#include "infrastructure/store/guards.hpp"
#include "infrastructure/store/paging_sql.hpp"
#include "infrastructure/store/refusals.hpp"
#include "infrastructure/store/run_batch.hpp"
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
using database::sqlite::column_of;
using domain::RunState;
using domain::TaskRun;

SchedulerResult<TaskRun> get_run(Connection& connection, RunId id) {
  TRY(auto run, find_run(connection, id));
  if (!run) return no_such_run(id);
  return *std::move(run);
}

// ---- insert ---------------------------------------------------------------------------------------------------------

SchedulerResult<void> read_tasks_of(Connection& connection, RunBatch& batch) {
  static const auto kSql = fmt::format(
      "SELECT {} FROM rows(?1) CROSS JOIN tasks t ON t.id = c1 AND t.archived_at IS NULL", kTaskOfRunColumns);
  TRY(auto tasks, connection.query(kSql, column_of(batch.tasks())).all(read_task_of_run));
  for (auto& task : tasks) batch.know(std::move(task));
  return {};
}

// The runs that the idempotency keys of the batch have made before.
SchedulerResult<void> read_made_before(Connection& connection, RunBatch& batch) {
  static const auto kSql = fmt::format(
      "SELECT r.idempotency_key, {} FROM rows(?1) CROSS JOIN task_runs r ON r.task_id = c1 AND r.idempotency_key = c2"
      " CROSS JOIN tasks t ON t.id = r.task_id ORDER BY r.id",
      kRunColumns);
  RowSet keys;
  for (const auto& [task, key] : batch.keys()) keys.add(task, key);
  if (keys.empty()) return {};
  TRY(const auto rows, connection.query(kSql, keys).all([&batch](Statement& row) {
    std::string key;
    const int next = row.read(key);
    batch.know_made_by(key, read_run_from(row, next));
    return true;
  }));
  return {};
}

SchedulerResult<void> read_places(Connection& connection, RunBatch& batch) {
  const auto retried = column_of(batch.retried());
  if (retried.empty()) return {};
  static const auto kSql = fmt::format("SELECT {} FROM rows(?1) CROSS JOIN task_runs ON id = c1", kShardPlaceColumns);
  TRY(const auto places, connection.query(kSql, retried).all(read_shard_place));
  for (const auto& place : places) batch.know(place);
  return {};
}

// Runs of the task that nobody has begun, or more. There cannot be more of them than ids between its oldest and its
// newest run that has not ended: far from the maximum, two seeks are enough. Counts no further than it must.
SchedulerResult<std::int64_t> backlog_of(Connection& connection, const RunBatch::Demand& demand) {
  const auto active = [&](std::string_view order) {
    return connection
        .query(fmt::format("SELECT id FROM task_runs INDEXED BY task_runs_active WHERE task_id = ? AND ended_at IS NULL"
                           " ORDER BY id {} LIMIT 1",
                           order),
               demand.task)
        .value<std::int64_t>();
  };
  TRY(const auto oldest, active("ASC"));
  if (!oldest) return 0;
  TRY(const auto newest, active("DESC"));
  const auto span = *newest - *oldest + 1;
  if (span + demand.more <= demand.max) return span;
  TRY(const auto count,
      connection
          .query("SELECT count(*) FROM (SELECT 1 FROM task_runs INDEXED BY task_runs_active"
                 " WHERE task_id = ? AND ended_at IS NULL AND (state = 'waiting' OR state = 'pending')"
                 " LIMIT ?)",
                 demand.task, demand.max + 1)
          .value<std::int64_t>());
  return *count;
}

SchedulerResult<void> check_backlog(Connection& connection, const RunBatch& batch, BacklogMemory& memory,
                                    TimePoint now) {
  for (const auto& demand : batch.demands()) {
    auto count = memory.recall(demand.task, demand.max, now);
    if (!count) {
      TRY(count, backlog_of(connection, demand));
      memory.keep(demand.task, *count, now);
    }
    CHECK(batch.check_backlog(demand, *count));
    memory.add(demand.task, demand.more);
  }
  return {};
}

// A run that is asked for again has waited for what the first one waited for. Rows: the new run, the first one.
SchedulerResult<void> wait_for_the_same(Connection& connection, const RowSet& again) {
  if (again.empty()) return {};
  CHECK(
      connection.execute("INSERT INTO run_upstreams (run_id, position, upstream_id, slot, upstream_run_id, state)"
                         " SELECT c1, u.position, u.upstream_id, u.slot, u.upstream_run_id, u.state FROM rows(?1)"
                         " CROSS JOIN run_upstreams u ON u.run_id = c2 AND u.state IS NOT NULL",
                         again));
  return {};
}

SchedulerResult<std::vector<NewRuns>> insert_batch(Connection& connection, std::vector<NewRun> asked,
                                                   BacklogMemory& memory, TimePoint now) {
  RunBatch batch(std::move(asked));
  CHECK(read_tasks_of(connection, batch));
  CHECK(read_made_before(connection, batch));
  CHECK(read_places(connection, batch));
  CHECK(batch.check());
  CHECK(check_backlog(connection, batch, memory, now));
  for (const auto task : batch.limited()) {
    TRY(const auto taken, room_taken(connection, task));
    batch.know_going(task, taken);
  }
  TRY(const auto next, next_run_id(connection));
  RunInserts inserts(next);
  RowSet again;
  std::vector<std::optional<RunId>> ids;
  for (const auto& row : batch.plan(now)) {
    ids.push_back(inserts.add(row.run, row.shard_index, row.shard_total));
    if (row.run.retry_of) again.add(*ids.back(), *row.run.retry_of);
  }
  CHECK(inserts.write(connection));
  CHECK(wait_for_the_same(connection, again));
  TRY(auto answers, batch.answer(ids));
  for (const auto& it : batch.downstream(answers)) {
    TRY(const auto made, run_downstream_again(connection, it.ended, it.again, now));
    for (const auto run : made) {
      TRY(answers[it.item].downstream.emplace_back(), get_run(connection, run));
    }
  }
  return answers;
}

// ---- groups ---------------------------------------------------------------------------------------------------------

SchedulerResult<std::vector<TaskRun>> group_of(Connection& connection, RunId any) {
  TRY(auto run, get_run(connection, any));
  if (!run.group) return std::vector{std::move(run)};
  static const auto kSql = fmt::format(
      "SELECT {} FROM (SELECT max(id) AS newest FROM task_runs WHERE group_id = ? GROUP BY shard_index) CROSS JOIN"
      " task_runs r ON r.id = newest CROSS JOIN tasks t ON t.id = r.task_id ORDER BY r.shard_index",
      kRunColumns);
  return connection.query(kSql, *run.group).all(read_run);
}

SchedulerResult<NewRuns> retry_group_of(Connection& connection, RunId any, BacklogMemory& memory, TimePoint now) {
  TRY(const auto group, group_of(connection, any));
  auto again = runs_to_retry(group);
  if (again.empty()) return nothing_to_run_again(group);
  TRY(auto made, insert_batch(connection, std::move(again), memory, now));
  return joined(std::move(made));
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

Async<std::vector<NewRuns>> SqliteRunRepository::insert_all(std::vector<NewRun> batch) {
  return database_.write([this, batch = std::move(batch)](Connection& connection) mutable {
    return insert_batch(connection, std::move(batch), backlog_, clock_.now());
  });
}

Async<std::vector<TaskRun>> SqliteRunRepository::group(RunId any) {
  return database_.read([any](Connection& connection) { return group_of(connection, any); });
}

Async<NewRuns> SqliteRunRepository::retry_group(RunId any) {
  return database_.write(
      [this, any](Connection& connection) { return retry_group_of(connection, any, backlog_, clock_.now()); });
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

Async<std::optional<std::string>> SqliteRunRepository::output(RunId id) {
  return database_.read([id](Connection& connection) {
    return connection.query("SELECT output FROM run_outputs WHERE run_id = ?", id).value<std::string>();
  });
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
