#include "infrastructure/postgres/postgres_run_repository.hpp"

#include "infrastructure/postgres/downstream_runs.hpp"
#include "infrastructure/postgres/rows.hpp"
#include "infrastructure/postgres/run_endings.hpp"
#include "infrastructure/store/guards.hpp"
#include "infrastructure/store/paging_sql.hpp"
#include "infrastructure/store/refusals.hpp"
#include "infrastructure/store/run_batch.hpp"
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

// The lock keeps the tasks from being archived until the runs are there; one with a limit is locked for good, because
// two that both counted before either had inserted would let too many go.
constexpr auto kSelectTasks =
    "WITH limited AS (SELECT {0} FROM tasks t WHERE t.id = ANY ($1) AND t.archived_at IS NULL"
    " AND t.max_concurrent_runs IS NOT NULL ORDER BY t.id FOR NO KEY UPDATE),"
    " others AS (SELECT {0} FROM tasks t WHERE t.id = ANY ($1) AND t.archived_at IS NULL"
    " AND t.max_concurrent_runs IS NULL ORDER BY t.id FOR KEY SHARE)"
    " SELECT * FROM limited UNION ALL SELECT * FROM others";

// By the keys of a batch: which runs they made before.
Async<void> read_made_before(Transaction& tx, RunBatch& batch) {
  static const auto kSql = fmt::format(
      "SELECT r.idempotency_key, {} FROM unnest($1::bigint[], $2::text[]) AS n (task_id, key) JOIN task_runs r"
      " ON r.task_id = n.task_id AND r.idempotency_key = n.key JOIN tasks t ON t.id = r.task_id ORDER BY r.id",
      kRunColumns);
  std::vector<TaskId> tasks;
  std::vector<std::string_view> keys;
  for (const auto& [task, key] : batch.keys()) {
    tasks.push_back(task);
    keys.push_back(key);
  }
  if (keys.empty()) co_return SchedulerResult<void>{};
  CO_TRY(auto rows, tx.query(kSql, tasks, keys));
  const auto read = rows.all([&batch](Row& row) {
    std::string key;
    const int next = row.read(key);
    batch.know_made_by(key, read_run_from(row, next));
    return true;
  });
  if (!read) co_return std::unexpected(read.error());
  co_return SchedulerResult<void>{};
}

Async<void> read_places(Transaction& tx, RunBatch& batch) {
  const auto retried = batch.retried();
  if (retried.empty()) co_return SchedulerResult<void>{};
  static const auto kSql = fmt::format("SELECT {} FROM task_runs WHERE id = ANY ($1)", kShardPlaceColumns);
  CO_TRY(auto rows, tx.query(kSql, retried));
  CO_UNWRAP(const auto places, rows.all(read_shard_place));
  for (const auto& place : places) batch.know(place);
  co_return SchedulerResult<void>{};
}

// Runs of the tasks that nobody has begun, or more. There cannot be more of them than ids between a task's oldest and
// its newest run that has not ended: far from the maximum, two seeks are enough. Counts no further than it must.
constexpr auto kBacklogs =
    "SELECT CASE WHEN s.span + n.more <= n.most THEN s.span ELSE (SELECT count(*) FROM (SELECT 1 FROM task_runs r"
    " WHERE r.task_id = n.task_id AND r.ended_at IS NULL AND r.state IN ('waiting', 'pending') LIMIT n.most + 1) c) END"
    " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) WITH ORDINALITY AS n (task_id, more, most, place)"
    " CROSS JOIN LATERAL (SELECT coalesce((SELECT r.id FROM task_runs r WHERE r.task_id = n.task_id"
    " AND r.ended_at IS NULL ORDER BY r.task_id DESC, r.id DESC LIMIT 1) - (SELECT r.id FROM task_runs r"
    " WHERE r.task_id = n.task_id AND r.ended_at IS NULL ORDER BY r.task_id, r.id LIMIT 1) + 1, 0) AS span) s"
    " ORDER BY n.place";

Async<void> check_backlog(Transaction& tx, const RunBatch& batch, BacklogMemory& memory, TimePoint now) {
  const auto demands = batch.demands();
  std::vector<TaskId> tasks;
  std::vector<std::int64_t> more, most;
  std::map<TaskId, std::int64_t> counts;
  for (const auto& it : demands) {
    if (const auto known = memory.recall(it.task, it.max, now)) {
      counts[it.task] = *known;
      continue;
    }
    tasks.push_back(it.task);
    more.push_back(it.more);
    most.push_back(it.max);
  }
  if (!tasks.empty()) {
    CO_TRY(auto rows, tx.query(kBacklogs, tasks, more, most));
    CO_UNWRAP(const auto counted, rows.values<std::int64_t>());
    for (std::size_t i = 0; i < tasks.size(); ++i) {
      counts[tasks[i]] = counted[i];
      memory.keep(tasks[i], counted[i], now);
    }
  }
  for (const auto& it : demands) {
    CO_ENSURE(batch.check_backlog(it, counts[it.task]));
    memory.add(it.task, it.more);
  }
  co_return SchedulerResult<void>{};
}

Async<void> count_going(Transaction& tx, RunBatch& batch) {
  const auto limited = batch.limited();
  if (limited.empty()) co_return SchedulerResult<void>{};
  CO_TRY(auto rows, tx.query("SELECT (SELECT count(*) FROM task_runs r WHERE r.task_id = n.task_id"
                             " AND r.ended_at IS NULL AND r.holds_room) FROM unnest($1::bigint[]) WITH ORDINALITY"
                             " AS n (task_id, place) ORDER BY n.place",
                             limited));
  CO_UNWRAP(const auto counts, rows.values<int>());
  for (std::size_t i = 0; i < limited.size(); ++i) batch.know_going(limited[i], counts[i]);
  co_return SchedulerResult<void>{};
}

// The id of each row of `inserts`; nothing where its key was taken meanwhile. They come in the order of the rows.
SchedulerResult<std::vector<std::optional<RunId>>> ids_of(Rows& made, const RunInserts& inserts) {
  TRY(const auto rows, made.all(postgres::read_inserted));
  std::vector<std::optional<RunId>> ids;
  for (std::size_t i = 0, next = 0; i < inserts.size(); ++i) {
    const bool is_there = next < rows.size() && rows[next].second == inserts.name(i);
    ids.push_back(is_there ? std::optional(rows[next++].first) : std::nullopt);
  }
  return ids;
}

// A run that is asked for again has waited for what the first one waited for.
void wait_for_the_same(Transaction& tx, const std::vector<RunBatch::Row>& rows,
                       const std::vector<std::optional<RunId>>& ids) {
  std::vector<RunId> runs, firsts;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    if (!ids[i] || !rows[i].run.retry_of) continue;
    runs.push_back(*ids[i]);
    firsts.push_back(*rows[i].run.retry_of);
  }
  if (runs.empty()) return;
  tx.send(
      "INSERT INTO run_upstreams (run_id, position, upstream_id, slot, upstream_run_id, state)"
      " SELECT n.run_id, u.position, u.upstream_id, u.slot, u.upstream_run_id, u.state"
      " FROM unnest($1::bigint[], $2::bigint[]) AS n (run_id, first) JOIN run_upstreams u ON u.run_id = n.first"
      " WHERE u.state IS NOT NULL",
      runs, firsts);
}

Async<void> add_downstream(Transaction& tx, const RunBatch& batch, TimePoint now, std::vector<NewRuns>& answers) {
  static const auto kMade = fmt::format("SELECT {}{}WHERE r.id = ANY ($1) ORDER BY r.id", kRunColumns, kRunTables);
  for (const auto& it : batch.downstream(answers)) {
    CO_TRY(const auto made, run_downstream_again(tx, it.ended, it.again, now));
    CO_TRY(auto rows, tx.query(kMade, made));
    CO_UNWRAP(answers[it.item].downstream, rows.all(read_run));
  }
  co_return SchedulerResult<void>{};
}

// Everything but the commit.
Async<std::vector<NewRuns>> insert_batch(Transaction& tx, std::vector<NewRun> asked, BacklogMemory& memory,
                                         std::optional<TimePoint> own_now) {
  static const auto kTasks = fmt::format(kSelectTasks, kTaskOfRunColumns);
  std::vector<TaskId> with_downstream;
  for (const auto& it : asked)
    if (it.retry_of && it.downstream) with_downstream.push_back(it.task);
  RunBatch batch(std::move(asked));
  tx.send(kSelectNow, own_now);
  if (!with_downstream.empty()) lock_tasks(tx, with_downstream, {});
  tx.send(kTasks, batch.tasks());
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results.front()));
  CO_UNWRAP(auto tasks, results.back().all(read_task_of_run));
  for (auto& task : tasks) batch.know(std::move(task));
  CO_CHECK(read_made_before(tx, batch));
  CO_CHECK(read_places(tx, batch));
  CO_ENSURE(batch.check());
  CO_CHECK(check_backlog(tx, batch, memory, now));
  CO_CHECK(count_going(tx, batch));
  RunInserts inserts;
  const auto& rows = batch.plan(now);
  for (const auto& row : rows) inserts.add(row.run, row.shard_index, row.shard_total);
  std::vector<std::optional<RunId>> ids;
  if (!inserts.empty()) {
    inserts.send(tx);
    CO_TRY(auto made, tx.flush());
    CO_UNWRAP(ids, ids_of(made.back(), inserts));
  }
  wait_for_the_same(tx, rows, ids);
  const bool overtaken = std::ranges::any_of(ids, [](const auto& id) { return !id; });
  if (overtaken) CO_CHECK(read_made_before(tx, batch));
  CO_UNWRAP(auto answers, batch.answer(ids));
  CO_CHECK(add_downstream(tx, batch, now, answers));
  co_return answers;
}

// ---- groups ---------------------------------------------------------------------------------------------------------

Async<std::vector<TaskRun>> group_of(Transaction& tx, RunId any) {
  static const auto kGroup = fmt::format(
      "SELECT {}{}JOIN (SELECT DISTINCT ON (shard_index) id FROM task_runs WHERE group_id = $1"
      " ORDER BY shard_index, id DESC) newest ON newest.id = r.id ORDER BY r.shard_index",
      kRunColumns, kRunTables);
  CO_TRY(auto rows, tx.query(select_run(), any));
  CO_UNWRAP(auto run, one_run(rows, any));
  std::vector<TaskRun> runs;
  if (run.group) {
    CO_TRY(auto members, tx.query(kGroup, *run.group));
    CO_UNWRAP(runs, members.all(read_run));
  } else {
    runs.push_back(std::move(run));
  }
  co_return runs;
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

Async<std::vector<NewRuns>> PostgresRunRepository::insert_all(std::vector<NewRun> batch) {
  CO_TRY(auto tx, database_.begin(Access::write));
  CO_TRY(auto made, insert_batch(tx, std::move(batch), backlog_, clock_.own()));
  CO_CHECK(tx.commit());
  co_return made;
}

Async<std::vector<TaskRun>> PostgresRunRepository::group(RunId any) {
  CO_TRY(auto tx, database_.begin(Access::read));
  CO_TRY(auto runs, group_of(tx, any));
  co_return runs;
}

// The lock on the task lets one at a time find shards to run again.
Async<NewRuns> PostgresRunRepository::retry_group(RunId any) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send("SELECT t.id FROM task_runs r JOIN tasks t ON t.id = r.task_id WHERE r.id = $1 FOR NO KEY UPDATE OF t", any);
  CO_TRY(const auto group, group_of(tx, any));
  auto again = runs_to_retry(group);
  if (again.empty()) co_return nothing_to_run_again(group);
  CO_TRY(auto made, insert_batch(tx, std::move(again), backlog_, clock_.own()));
  CO_CHECK(tx.commit());
  co_return joined(std::move(made));
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

Async<std::optional<std::string>> PostgresRunRepository::output(RunId id) {
  CO_TRY(auto rows, database_.query("SELECT output FROM run_outputs WHERE run_id = $1", id));
  co_return rows.value<std::string>();
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
