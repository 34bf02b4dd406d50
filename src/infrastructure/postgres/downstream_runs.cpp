#include "infrastructure/postgres/downstream_runs.hpp"

#include "application/ports/run_repository.hpp"
#include "infrastructure/postgres/run_endings.hpp"
#include "infrastructure/store/downstream_sql.hpp"
#include "infrastructure/store/refusals.hpp"

#include <fmt/format.h>

#include <map>

namespace scheduler::infrastructure::postgres {

namespace {

// One waiting run for each of the skipped ones, which waits for the same.
Async<std::vector<RunId>> insert_waiting(Transaction& tx, const std::vector<SkippedRun>& skipped, TimePoint now) {
  RunInserts inserts;
  std::vector<RunId> old;
  for (const auto& it : skipped) {
    old.push_back(it.run);
    const NewFire fire{.task = it.task,
                       .route = it.route,
                       .priority = it.priority,
                       .trigger = domain::Trigger::retry,
                       .retry_of = it.run,
                       .group = it.group,
                       .state = domain::RunState::waiting,
                       .waits_for = domain::Wait::upstreams,
                       .created_at = now,
                       .due_at = now};
    inserts.add(fire, it.shard_index, it.shard_total);
  }
  inserts.send(tx);
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto made, results.back().values<RunId>());
  tx.send(
      "INSERT INTO run_upstreams (run_id, position, upstream_id, slot, upstream_run_id, state)"
      " SELECT n.made, u.position, u.upstream_id, u.slot, u.upstream_run_id, u.state"
      " FROM unnest($1::bigint[], $2::bigint[]) AS n (made, old) JOIN run_upstreams u ON u.run_id = n.old",
      made, old);
  co_return made;
}

}  // namespace

Async<std::vector<RunId>> run_downstream_again(Transaction& tx, RunId ended, RunId again, TimePoint now) {
  static const auto kSql = fmt::format(
      "SELECT DISTINCT {} FROM run_upstreams u JOIN task_runs r ON r.id = u.run_id JOIN tasks t ON t.id = r.task_id"
      " WHERE u.upstream_run_id = ANY ($1) AND {} AND NOT r.id = ANY ($2) ORDER BY r.id",
      kSkippedRunColumns, kSkippedOverUpstream);
  std::vector<RunId> old{ended}, fresh{again}, made, seen, frontier{ended};
  while (!frontier.empty()) {
    CO_TRY(auto rows, tx.query(kSql, std::exchange(frontier, {}), seen));
    CO_UNWRAP(const auto skipped, rows.all(read_skipped_run));
    if (skipped.empty()) break;
    if (made.size() + skipped.size() > application::kDownstreamRunsMax) co_return too_many_downstream(ended);
    CO_TRY(const auto runs, insert_waiting(tx, skipped, now));
    for (std::size_t i = 0; i < runs.size(); ++i) {
      made.push_back(runs[i]);
      seen.push_back(skipped[i].run);
      if (skipped[i].shard_total > 1) continue;
      old.push_back(skipped[i].run);
      fresh.push_back(runs[i]);
      frontier.push_back(skipped[i].run);
    }
  }
  tx.send(
      "UPDATE run_upstreams u SET upstream_run_id = n.fresh, state = NULL FROM unnest($1::bigint[], $2::bigint[])"
      " AS n (old, fresh) WHERE u.upstream_run_id = n.old AND u.run_id = ANY ($3)",
      old, fresh, made);
  RunEndings endings(tx, now);
  endings.note_settled(made);
  CO_CHECK(endings.settle());
  co_return made;
}

}  // namespace scheduler::infrastructure::postgres
