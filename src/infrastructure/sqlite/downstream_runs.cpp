#include "infrastructure/sqlite/downstream_runs.hpp"

#include "application/ports/run_repository.hpp"
#include "infrastructure/sqlite/run_endings.hpp"
#include "infrastructure/store/downstream_sql.hpp"
#include "infrastructure/store/refusals.hpp"

#include <fmt/format.h>

#include <map>

namespace scheduler::infrastructure {

using database::sqlite::RowSet;
using database::sqlite::Statement;

namespace {

SchedulerResult<RunId> insert_waiting(Connection& connection, const SkippedRun& skipped, TimePoint now) {
  const NewFire fire{.task = skipped.task,
                     .route = skipped.route,
                     .priority = skipped.priority,
                     .trigger = domain::Trigger::retry,
                     .retry_of = skipped.run,
                     .group = skipped.group,
                     .state = domain::RunState::waiting,
                     .waits_for = domain::Wait::upstreams,
                     .created_at = now,
                     .due_at = now};
  TRY(const auto next, next_run_id(connection));
  RunInserts insert(next);
  const auto made = insert.add(fire, skipped.shard_index, skipped.shard_total);
  CHECK(insert.write(connection));
  CHECK(connection.execute(
      "INSERT INTO run_upstreams (run_id, position, upstream_id, slot, upstream_run_id, state)"
      " SELECT ?1, position, upstream_id, slot, upstream_run_id, state FROM run_upstreams WHERE run_id = ?2",
      made, skipped.run));
  return made;
}

}  // namespace

SchedulerResult<std::vector<RunId>> run_downstream_again(Connection& connection, RunId ended, RunId again,
                                                         TimePoint now) {
  static const auto kSql = fmt::format(
      "SELECT DISTINCT {} FROM run_upstreams u CROSS JOIN task_runs r ON r.id = u.run_id CROSS JOIN tasks t"
      " ON t.id = r.task_id WHERE u.upstream_run_id = ? AND {} ORDER BY r.id",
      kSkippedRunColumns, kSkippedOverUpstream);
  std::map<RunId, RunId> replaced{{ended, again}};  // by the run in whose place it was made
  std::vector<RunId> walk{ended}, made;
  for (std::size_t i = 0; i < walk.size(); ++i) {
    TRY(const auto skipped, connection.query(kSql, walk[i]).all(read_skipped_run));
    for (const auto& it : skipped) {
      if (replaced.contains(it.run)) continue;
      if (made.size() == application::kDownstreamRunsMax) return too_many_downstream(ended);
      TRY(const auto run, insert_waiting(connection, it, now));
      made.push_back(run);
      replaced.emplace(it.run, run);
      if (it.shard_total == 1) walk.push_back(it.run);
    }
  }
  RowSet bound;
  for (const auto old : walk) bound.add(old, replaced.at(old));
  CHECK(connection.execute(
      "UPDATE run_upstreams SET upstream_run_id = c2, state = NULL FROM rows(?1) WHERE upstream_run_id = c1"
      " AND run_id > ?2",
      bound, again));
  RunEndings endings(connection, now);
  for (const auto run : made) CHECK(endings.decide(run));
  CHECK(endings.settle());
  return made;
}

}  // namespace scheduler::infrastructure
