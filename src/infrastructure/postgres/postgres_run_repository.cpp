#include "infrastructure/postgres/postgres_run_repository.hpp"

#include "infrastructure/postgres/downstream_runs.hpp"
#include "infrastructure/postgres/rows.hpp"
#include "infrastructure/postgres/run_endings.hpp"
#include "infrastructure/store/guards.hpp"
#include "infrastructure/store/paging_sql.hpp"
#include "infrastructure/store/refusals.hpp"
#include "infrastructure/store/task_stats.hpp"

#include <fmt/format.h>

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
using database::postgres::Access;
using domain::RunState;
using domain::TaskRun;
using postgres::instant_of;
using postgres::kMarkForCancel;
using postgres::kRunTables;
using postgres::lock_tasks;
using postgres::lock_tasks_of;
using postgres::Row;
using postgres::Rows;
using postgres::run_downstream_again;
using postgres::RunEndings;
using postgres::RunInserts;
using postgres::Transaction;

const std::string& select_run() {
  static const auto kSql = fmt::format("SELECT {}{}WHERE r.id = $1", kRunColumns, kRunTables);
  return kSql;
}

SchedulerResult<TaskRun> one_run(Rows& rows, RunId id) {
  TRY(auto run, rows.first(read_run));
  if (!run) return no_such_run(id);
  return *std::move(run);
}

// ---- insert ---------------------------------------------------------------------------------------------------------

// The lock keeps the task from being archived until the run is there.
constexpr auto kSelectTask =
    "SELECT route, priority, shard_count FROM tasks WHERE id = $1 AND archived_at IS NULL FOR KEY SHARE";

struct TaskOfRun {
  std::string route;
  int priority = 5, shard_count = 1;
};

constexpr auto kRunsMadeBy =
    "SELECT id FROM task_runs WHERE task_id = $1 AND idempotency_key = $2 ORDER BY shard_index";

Async<std::vector<TaskRun>> runs_by_id(Transaction& tx, std::vector<RunId> ids) {
  static const auto kSql =
      fmt::format("SELECT {}{}JOIN unnest($1::bigint[]) WITH ORDINALITY AS n (id, place) ON n.id = r.id ORDER BY place",
                  kRunColumns, kRunTables);
  CO_TRY(auto rows, tx.query(kSql, ids));
  co_return rows.all(read_run);
}

// A run that is asked for again keeps its place among the shards; the other shards are not run again.
Async<void> add_again(Transaction& tx, const NewFire& fire, RunId ended, bool downstream, RunInserts& inserts) {
  CO_TRY(auto rows,
         tx.query("SELECT shard_index, shard_total FROM task_runs WHERE id = $1 AND task_id = $2", ended, fire.task));
  CO_UNWRAP(const auto shard, rows.first([](Row& row) {
    std::pair<int, int> it;
    row.read(it.first, it.second);
    return it;
  }));
  if (!shard) co_return task_has_no_such_run(fire.task, ended);
  if (downstream && shard->second > 1) co_return shard_has_no_downstream(ended);
  inserts.add(fire, shard->first, shard->second);
  co_return SchedulerResult<void>{};
}

Async<std::vector<RunId>> insert_all(Transaction& tx, const NewRun& run, const TaskOfRun& task, TimePoint now) {
  const NewFire fire{.task = run.task,
                     .route = task.route,
                     .priority = task.priority,
                     .trigger = run.trigger,
                     .retry_of = run.retry_of,
                     .parameters = run.parameters,
                     .idempotency_key = run.idempotency_key,
                     .created_at = now,
                     .due_at = now};
  RunInserts inserts;
  if (run.retry_of)
    CO_CHECK(add_again(tx, fire, *run.retry_of, run.downstream, inserts));
  else
    inserts.add_shards(fire, task.shard_count);
  inserts.send(tx);
  CO_TRY(auto made, tx.flush());
  co_return made.back().values<RunId>();
}

// ---- lists ----------------------------------------------------------------------------------------------------------

// What each partial index asks for, so that it is used. The states are constants of the text for the same reason.
std::string condition_of(const RunFilter& filter) {
  std::string condition = filter.task ? "r.task_id = $1" : "$1::bigint IS NULL";
  if (!filter.state) return condition;
  condition += fmt::format(" AND r.state = '{}'", name_of(*filter.state));
  if (!domain::is_terminal(*filter.state)) return condition + " AND r.ended_at IS NULL";
  return condition + " AND r.ended_at IS NOT NULL";
}

// ---- cancel ---------------------------------------------------------------------------------------------------------

Async<void> cancel_undispatched(Transaction& tx, const TaskRun& run, TimePoint now) {
  tx.send(
      "UPDATE task_runs SET state = 'cancelled', ended_at = $2, cancel_reason = 'cancelled_by_user',"
      " reason = 'cancelled_by_user',"
      " message = 'cancelled before it was dispatched' WHERE id = $1",
      run.id, now);
  RunEndings endings(tx, now);
  endings.note(run.id, run.task, RunState::cancelled);
  co_return co_await endings.settle();
}

bool is_held(RunState state) { return state == RunState::dispatched || state == RunState::running; }

}  // namespace

Async<NewRuns> PostgresRunRepository::insert(NewRun run) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send(kSelectNow, clock_.own());
  if (run.downstream) lock_tasks(tx, {run.task}, {});
  tx.send(kSelectTask, run.task);
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results[0]));
  CO_UNWRAP(const auto task, results.back().first([](Row& row) {
    TaskOfRun it;
    row.read(it.route, it.priority, it.shard_count);
    return it;
  }));
  if (!task) co_return no_such_task(run.task);
  NewRuns made;
  std::vector<RunId> ids;
  if (run.idempotency_key) {
    CO_TRY(auto earlier, tx.query(kRunsMadeBy, run.task, *run.idempotency_key));
    CO_UNWRAP(ids, earlier.values<RunId>());
    made.existed = !ids.empty();
  }
  if (!made.existed) {
    CO_TRY(ids, insert_all(tx, run, *task, now));
  }
  if (ids.empty()) {  // somebody else used the key at the same time, and was first
    CO_TRY(auto theirs, tx.query(kRunsMadeBy, run.task, run.idempotency_key));
    CO_UNWRAP(ids, theirs.values<RunId>());
    made.existed = true;
  }
  if (run.retry_of && run.downstream) {
    CO_TRY(auto downstream, run_downstream_again(tx, *run.retry_of, ids.front(), now));
    CO_TRY(made.downstream, runs_by_id(tx, std::move(downstream)));
  }
  CO_TRY(made.runs, runs_by_id(tx, std::move(ids)));
  CO_CHECK(tx.commit());
  co_return made;
}

Async<TaskRun> PostgresRunRepository::get(RunId id) {
  CO_TRY(auto rows, database_.query(select_run(), id));
  co_return one_run(rows, id);
}

Async<Page<TaskRun>> PostgresRunRepository::list(RunFilter filter, Paging paging) {
  CO_UNWRAP(const auto window, window_of(paging));
  // The runs of a task are in two indexes, read side by side in the order of their ids.
  constexpr std::string_view kBothHalves =
      " FROM (SELECT * FROM task_runs WHERE task_id = $1 AND ended_at IS NULL UNION ALL"
      " SELECT * FROM task_runs WHERE task_id = $1 AND ended_at IS NOT NULL) r JOIN tasks t ON t.id = r.task_id ";
  const auto sql = fmt::format(
      "SELECT {}{}WHERE {} AND ($2::text IS NULL OR r.triggered_by = $2) AND ($3::text IS NULL OR r.worker = $3)"
      " AND r.id < $4 ORDER BY r.id DESC LIMIT $5 OFFSET $6",
      kRunColumns, filter.task && !filter.state ? kBothHalves : kRunTables, condition_of(filter));
  CO_TRY(auto rows, database_.query(sql, filter.task, filter.trigger, filter.worker, window.before, window.rows_max,
                                    window.offset));
  CO_UNWRAP(auto runs, rows.all(read_run));
  co_return page_of(std::move(runs), window);
}

Async<std::vector<domain::Attempt>> PostgresRunRepository::attempts(RunId id) {
  static const auto kSql =
      fmt::format("SELECT {} FROM task_attempts WHERE run_id = $1 ORDER BY number", kAttemptColumns);
  CO_TRY(auto tx, database_.begin(Access::read));
  tx.send(select_run(), id);
  tx.send(kSql, id);
  CO_TRY(auto results, tx.finish());
  CO_UNWRAP(const auto run, one_run(results[0], id));
  CO_UNWRAP(auto attempts, results[1].all(read_attempt));
  if (is_held(run.state)) attempts.push_back(current_attempt(run));
  co_return attempts;
}

Async<std::vector<domain::UpstreamRun>> PostgresRunRepository::upstreams(RunId id) {
  static const auto kSql = fmt::format(
      "SELECT {} FROM run_upstreams u JOIN tasks t ON t.id = u.upstream_id WHERE u.run_id = $1 ORDER BY u.position",
      kUpstreamRunColumns);
  CO_TRY(auto tx, database_.begin(Access::read));
  tx.send(select_run(), id);
  tx.send(kSql, id);
  CO_TRY(auto results, tx.finish());
  CO_UNWRAP(const auto run, one_run(results[0], id));
  co_return results[1].all(read_upstream_run);
}

Async<std::optional<std::int64_t>> PostgresRunRepository::log_lines(RunId id, int attempt) {
  CO_TRY(auto rows,
         database_.query("SELECT log_lines FROM task_attempts WHERE run_id = $1 AND number = $2", id, attempt));
  co_return rows.value<std::int64_t>();
}

Async<Cancelled> PostgresRunRepository::cancel(RunId id) {
  static const auto kLock = fmt::format("{} FOR NO KEY UPDATE OF r", select_run());
  static const auto kMark = fmt::format("UPDATE task_runs SET {} WHERE id = $2 AND {} RETURNING {}", kMarkForCancel,
                                        may_leave(domain::Event::cancel, Side::attempt), kAssignedColumns);
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send(kSelectNow, clock_.own());
  lock_tasks_of(tx, {id});
  tx.send(kLock, id);
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results[0]));
  CO_UNWRAP(const auto before, one_run(results[2], id));
  if (domain::is_terminal(before.state)) co_return run_has_ended(before);
  Cancelled cancelled;
  if (is_held(before.state)) {
    CO_TRY(auto marked, tx.query(kMark, domain::Reason::cancelled_by_user, id));
    CO_UNWRAP(cancelled.to_stop, marked.first(read_assigned));
  } else {
    CO_CHECK(cancel_undispatched(tx, before, now));
  }
  tx.send(select_run(), id);
  CO_TRY(auto after, tx.finish());
  CO_UNWRAP(cancelled.run, one_run(after.back(), id));
  co_return cancelled;
}

Async<TaskStats> PostgresRunRepository::stats(TaskId task) {
  CO_TRY(auto tx, database_.begin(Access::read));
  tx.send(
      "SELECT state, started_at, ended_at FROM task_runs WHERE task_id = $1 AND ended_at IS NOT NULL"
      " ORDER BY task_id DESC, id DESC LIMIT $2",
      task, application::kStatsRunsMax);
  tx.send("SELECT count(*) FROM task_runs WHERE task_id = $1 AND ended_at IS NULL", task);
  CO_TRY(auto results, tx.finish());
  CO_UNWRAP(const auto ended, results[0].all(read_ended));
  CO_UNWRAP(const auto active, results[1].value<std::int64_t>());
  co_return summarise(ended, *active);
}

// ---- output ---------------------------------------------------------------------------------------------------------

Async<void> PostgresRunLogRepository::append(std::vector<LogChunk> chunks) {
  std::vector<RunId> run;
  std::vector<std::int64_t> attempt, first_line, lines;
  std::vector<application::Stream> stream;
  std::vector<TimePoint> at;
  std::vector<std::string_view> text;
  for (const auto& it : chunks) {
    run.push_back(it.run);
    attempt.push_back(it.attempt);
    first_line.push_back(it.first_line);
    lines.push_back(it.lines);
    stream.push_back(it.stream);
    at.push_back(it.at);
    text.push_back(it.text);
  }
  // Sorted, so that two that store the same chunks do not wait for each other in a circle.
  CO_TRY(const auto rows,
         database_.query("INSERT INTO run_logs (run_id, attempt, first_line, lines, stream, at, text)"
                         " SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[],"
                         " $6::timestamptz[], $7::text[]) AS n (run_id, attempt, first_line, lines, stream, at, text)"
                         " ORDER BY run_id, attempt, first_line ON CONFLICT DO NOTHING",
                         run, attempt, first_line, lines, stream, at, text));
  co_return SchedulerResult<void>{};
}

// The chunk that holds the line after `after_line` begins there or before: a seek, whatever was sent before. The sum of
// what stands before each chunk ends the reading once there are enough bytes.
Async<std::vector<LogChunk>> PostgresRunLogRepository::read(RunId run, int attempt, std::int64_t after_line,
                                                            std::size_t bytes_max) {
  static const auto kSql = fmt::format(
      "SELECT {} FROM (SELECT *, sum(octet_length(text)) OVER (ORDER BY first_line) - octet_length(text) AS before"
      " FROM run_logs WHERE run_id = $1 AND attempt = $2 AND first_line >= coalesce((SELECT max(first_line)"
      " FROM run_logs WHERE run_id = $1 AND attempt = $2 AND first_line <= $3), 0) AND first_line + lines - 1 > $3) c"
      " WHERE before = 0 OR before < $4 ORDER BY first_line",
      kChunkColumns);
  CO_TRY(auto rows, database_.query(kSql, run, attempt, after_line, bytes_max));
  co_return rows.all(read_chunk);
}

}  // namespace scheduler::infrastructure
