#include "infrastructure/sqlite/upstream_runs.hpp"

#include "infrastructure/store/rows.hpp"
#include "infrastructure/store/upstream_sql.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {

using database::sqlite::RowSet;
using database::sqlite::Statement;
using domain::RunState;

namespace {

void append(std::vector<RunId>& all, std::vector<RunId> more) { all.insert(all.end(), more.begin(), more.end()); }

}  // namespace

SchedulerResult<void> UpstreamRuns::add(RunId run, std::span<const domain::AwaitedRun> awaited) {
  RowSet rows;
  for (std::size_t i = 0; i < awaited.size(); ++i) {
    const auto& it = awaited[i];
    rows.add(run, i, it.task, it.slot, it.ended_since, it.never ? std::optional(RunState::skipped) : std::nullopt);
  }
  // Of an upstream without a slot to wait for: its latest run that has ended, where that is late enough.
  CHECK(connection_.execute(
      "INSERT INTO run_upstreams (run_id, position, upstream_id, slot, upstream_run_id, state)"
      " SELECT c1, c2, c3, c4, CASE WHEN c4 IS NULL AND c6 IS NULL THEN (SELECT CASE WHEN r.ended_at > c5 THEN r.id END"
      " FROM task_runs r INDEXED BY task_runs_history WHERE r.task_id = c3 AND r.ended_at IS NOT NULL"
      " ORDER BY r.id DESC LIMIT 1) END, c6 FROM rows(?1)",
      rows));
  CHECK(connection_.execute(
      "UPDATE run_upstreams SET state = (SELECT r.state FROM task_runs r WHERE r.id = upstream_run_id)"
      " WHERE run_id = ? AND state IS NULL AND upstream_run_id IS NOT NULL",
      run));
  static const auto kByRuns = fmt::format("UPDATE run_upstreams {} WHERE run_id = ? AND {}", kSettleByRuns, kOfSlot);
  static const auto kPassed =
      fmt::format("UPDATE run_upstreams SET state = 'skipped' WHERE run_id = ? AND {} AND {}", kOfSlot, kWillNotCome);
  CHECK(connection_.execute(kByRuns, run));
  CHECK(connection_.execute(kPassed, run));
  return {};
}

SchedulerResult<std::vector<RunId>> UpstreamRuns::ended(RunId run, TaskId task, RunState state) {
  TRY(auto touched, connection_
                        .query("UPDATE run_upstreams SET state = ?1 WHERE upstream_run_id = ?2 AND state IS NULL"
                               " RETURNING run_id",
                               state, run)
                        .values<RunId>());
  TRY(auto next, connection_
                     .query("UPDATE run_upstreams SET upstream_run_id = ?1, state = ?2 WHERE upstream_id = ?3"
                            " AND state IS NULL AND slot IS NULL AND upstream_run_id IS NULL RETURNING run_id",
                            run, state, task)
                     .values<RunId>());
  append(touched, std::move(next));
  static const auto kByRuns = fmt::format(
      "UPDATE run_upstreams {} WHERE upstream_id = ?1 AND slot = (SELECT slot FROM task_runs WHERE id = ?2) AND {}"
      " RETURNING run_id",
      kSettleByRuns, kOfSlot);
  TRY(auto of_slot, connection_.query(kByRuns, task, run).values<RunId>());
  append(touched, std::move(of_slot));
  return touched;
}

SchedulerResult<std::vector<RunId>> UpstreamRuns::passed(TaskId task) {
  static const auto kPassed =
      fmt::format("UPDATE run_upstreams SET state = 'skipped' WHERE upstream_id = ? AND {} AND {} RETURNING run_id",
                  kOfSlot, kWillNotCome);
  return connection_.query(kPassed, task).values<RunId>();
}

SchedulerResult<std::optional<UpstreamRuns::Waiting>> UpstreamRuns::judge(RunId run) {
  TRY(auto waiting,
      connection_
          .query("SELECT r.task_id, t.trigger_rule, t.overlap_policy = 'allow' OR r.slot IS NULL FROM task_runs r"
                 " CROSS JOIN tasks t ON t.id = r.task_id WHERE r.id = ? AND r.state = 'waiting'"
                 " AND r.waits_for = 'upstreams'",
                 run)
          .first([run](Statement& row) {
            Waiting it{.run = run};
            row.read(it.task, it.rule, it.beside_others);
            return it;
          }));
  if (!waiting) return std::nullopt;
  domain::UpstreamTally tally;
  TRY(const auto counted,
      connection_.query("SELECT state, count(*) FROM run_upstreams WHERE run_id = ? GROUP BY state", run)
          .all([&tally](Statement& row) {
            std::optional<RunState> state;
            std::size_t count = 0;
            row.read(state, count);
            tally.add(state, count);
            return count;
          }));
  waiting->verdict = domain::verdict_of(waiting->rule, tally);
  return waiting;
}

SchedulerResult<std::string> UpstreamRuns::why_skipped(const Waiting& waiting) {
  static const auto kSql = fmt::format(
      "SELECT {} FROM run_upstreams u CROSS JOIN tasks t ON t.id = u.upstream_id WHERE u.run_id = ?"
      " AND u.state IS NOT NULL AND u.state <> 'succeeded' AND (u.state <> 'skipped' OR ? <> 'none_failed')"
      " ORDER BY u.position LIMIT 1",
      kUpstreamRunColumns);
  TRY(const auto refused, connection_.query(kSql, waiting.run, waiting.rule).first(read_upstream_run));
  return refused ? domain::why_refused(*refused) : std::string("no upstream run succeeded");
}

}  // namespace scheduler::infrastructure
