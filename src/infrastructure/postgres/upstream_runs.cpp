#include "infrastructure/postgres/upstream_runs.hpp"

#include "infrastructure/store/rows.hpp"
#include "infrastructure/store/upstream_sql.hpp"

#include <fmt/format.h>

#include <map>

namespace scheduler::infrastructure::postgres {

using database::postgres::Row;
using domain::RunState;

void UpstreamRuns::add(RunId run, std::span<const domain::AwaitedRun> awaited) {
  for (std::size_t i = 0; i < awaited.size(); ++i) {
    const auto& it = awaited[i];
    run_.push_back(run);
    position_.push_back(static_cast<int>(i));
    upstream_.push_back(it.task);
    slot_.push_back(it.slot);
    ended_since_.push_back(it.ended_since);
    state_.push_back(it.never ? std::optional(RunState::skipped) : std::nullopt);
  }
}

Async<std::vector<RunId>> UpstreamRuns::write() {
  if (run_.empty()) co_return std::vector<RunId>{};
  // Of an upstream without a slot to wait for: its latest run that has ended, where that is late enough.
  tx_.send(
      "INSERT INTO run_upstreams (run_id, position, upstream_id, slot, upstream_run_id, state)"
      " SELECT n.run_id, n.position, n.upstream_id, n.slot, r.id, coalesce(n.state, r.state) FROM"
      " unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::timestamptz[], $5::timestamptz[], $6::text[])"
      " AS n (run_id, position, upstream_id, slot, ended_since, state) LEFT JOIN LATERAL"
      " (SELECT l.id, l.state, l.ended_at FROM task_runs l WHERE n.slot IS NULL AND n.state IS NULL"
      " AND l.task_id = n.upstream_id AND l.ended_at IS NOT NULL ORDER BY l.id DESC LIMIT 1) r"
      " ON r.ended_at > n.ended_since",
      run_, position_, upstream_, slot_, ended_since_, state_);
  static const auto kByRuns =
      fmt::format("UPDATE run_upstreams {} WHERE run_id = ANY ($1) AND {}", kSettleByRuns, kOfSlot);
  static const auto kPassed = fmt::format(
      "UPDATE run_upstreams SET state = 'skipped' WHERE run_id = ANY ($1) AND {} AND {}", kOfSlot, kWillNotCome);
  auto runs = std::exchange(run_, {});
  runs.erase(std::ranges::unique(runs).begin(), runs.end());
  tx_.send(kByRuns, runs);
  tx_.send(kPassed, runs);
  co_return runs;
}

Async<std::vector<RunId>> UpstreamRuns::ended(std::vector<RunId> runs) {
  static const auto kOfTheirSlots = fmt::format(
      "UPDATE run_upstreams {} WHERE (upstream_id, slot) IN (SELECT task_id, slot FROM task_runs WHERE id = ANY ($1)"
      " AND slot IS NOT NULL) AND {} RETURNING run_id",
      kSettleByRuns, kOfSlot);
  tx_.send(
      "UPDATE run_upstreams u SET state = r.state FROM task_runs r WHERE r.id = ANY ($1) AND u.upstream_run_id = r.id"
      " AND u.state IS NULL RETURNING u.run_id",
      runs);
  tx_.send(
      "UPDATE run_upstreams u SET upstream_run_id = r.id, state = r.state FROM (SELECT DISTINCT ON (task_id) id,"
      " task_id, state FROM task_runs WHERE id = ANY ($1) ORDER BY task_id, id) r WHERE u.upstream_id = r.task_id"
      " AND u.state IS NULL AND u.slot IS NULL AND u.upstream_run_id IS NULL RETURNING u.run_id",
      runs);
  tx_.send(kOfTheirSlots, runs);
  CO_TRY(auto results, tx_.flush());
  std::vector<RunId> touched;
  for (auto rows = results.end() - 3; rows != results.end(); ++rows) {
    CO_UNWRAP(const auto some, rows->values<RunId>());
    touched.insert(touched.end(), some.begin(), some.end());
  }
  co_return touched;
}

Async<std::vector<RunId>> UpstreamRuns::passed(std::vector<TaskId> tasks) {
  static const auto kPassed = fmt::format(
      "UPDATE run_upstreams SET state = 'skipped' WHERE upstream_id = ANY ($1) AND {} AND {} RETURNING run_id", kOfSlot,
      kWillNotCome);
  CO_TRY(auto rows, tx_.query(kPassed, tasks));
  co_return rows.values<RunId>();
}

Async<std::vector<UpstreamRuns::Waiting>> UpstreamRuns::judge(std::vector<RunId> runs) {
  static const auto kRefused = fmt::format(
      "SELECT w.run_id, {} FROM unnest($1::bigint[], $2::text[]) AS w (run_id, rule) CROSS JOIN LATERAL"
      " (SELECT * FROM run_upstreams WHERE run_id = w.run_id AND state <> 'succeeded' AND (state <> 'skipped'"
      " OR w.rule <> 'none_failed') ORDER BY position LIMIT 1) u JOIN tasks t ON t.id = u.upstream_id",
      kUpstreamRunColumns);
  CO_TRY(auto rows,
         tx_.query("SELECT r.id, r.task_id, t.overlap_policy = 'allow' OR r.slot IS NULL, t.trigger_rule, n.state,"
                   " n.count FROM task_runs r JOIN tasks t ON t.id = r.task_id LEFT JOIN LATERAL (SELECT state,"
                   " count(*) FROM run_upstreams WHERE run_id = r.id GROUP BY state) n ON true"
                   " WHERE r.id = ANY ($1) AND r.state = 'waiting' AND r.waits_for = 'upstreams'",
                   runs));
  struct Counted {
    Waiting waiting;
    domain::TriggerRule rule = domain::TriggerRule::all_success;
    domain::UpstreamTally tally;
  };
  std::map<RunId, Counted> counted;
  CO_UNWRAP(const auto read, rows.all([&counted](Row& row) {
    Counted it;
    std::optional<RunState> state;
    std::optional<std::size_t> count;
    row.read(it.waiting.run, it.waiting.task, it.waiting.beside_others, it.rule, state, count);
    if (count)
      counted.emplace(it.waiting.run, it).first->second.tally.add(state, *count);
    else
      counted.emplace(it.waiting.run, it);
    return count;
  }));
  std::vector<RunId> skipped;
  std::vector<domain::TriggerRule> rules;
  for (auto& [run, it] : counted) {
    it.waiting.verdict = domain::verdict_of(it.rule, it.tally);
    if (it.waiting.verdict != domain::Verdict::skip) continue;
    it.waiting.why = "no upstream run succeeded";
    skipped.push_back(run);
    rules.push_back(it.rule);
  }
  if (!skipped.empty()) {
    CO_TRY(auto refused, tx_.query(kRefused, skipped, rules));
    CO_UNWRAP(const auto named, refused.all([&counted](Row& row) {
      RunId run;
      row.read(run);
      counted.at(run).waiting.why = domain::why_refused(read_upstream_run_from(row, 1));
      return run;
    }));
  }
  std::vector<Waiting> judged;
  for (auto& [run, it] : counted) judged.push_back(std::move(it.waiting));
  co_return judged;
}

}  // namespace scheduler::infrastructure::postgres
