#include "infrastructure/postgres/run_endings.hpp"

#include "domain/dependencies.hpp"
#include "infrastructure/store/guards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace scheduler::infrastructure::postgres {

using database::postgres::Row;
using domain::RunState;

void lock_tasks_of(Transaction& tx, const std::vector<RunId>& runs) {
  tx.send(
      "WITH RECURSIVE own (id) AS (SELECT DISTINCT task_id FROM task_runs WHERE id = ANY ($1)),"
      " below (id) AS (SELECT d.task_id FROM own JOIN task_dependencies d ON d.upstream_id = own.id"
      " UNION SELECT d.task_id FROM below JOIN task_dependencies d ON d.upstream_id = below.id),"
      " touched (id, below) AS (SELECT id, true FROM below"
      " UNION ALL SELECT id, false FROM own WHERE id NOT IN (SELECT id FROM below))"
      " SELECT t.id FROM touched JOIN tasks t ON t.id = touched.id WHERE touched.below"
      " OR t.schedule IS NOT NULL AND t.overlap_policy <> 'allow' OR t.max_concurrent_runs IS NOT NULL"
      " OR EXISTS (SELECT 1 FROM task_runs w WHERE w.task_id = t.id AND w.state = 'waiting')"
      " ORDER BY t.id FOR NO KEY UPDATE OF t",
      runs);
}

void lock_tasks(Transaction& tx, const std::vector<TaskId>& with_ending_runs, const std::vector<TaskId>& others) {
  tx.send(
      "WITH RECURSIVE touched (id) AS (SELECT unnest($1::bigint[])"
      " UNION SELECT d.task_id FROM touched JOIN task_dependencies d ON d.upstream_id = touched.id)"
      " SELECT t.id, t.version, t.watermark, t.archived_at IS NULL"
      " FROM (SELECT id FROM touched UNION SELECT unnest($2::bigint[])) wanted (id) JOIN tasks t ON t.id = wanted.id"
      " ORDER BY t.id FOR NO KEY UPDATE OF t",
      with_ending_runs, others);
}

void RunEndings::end_undispatched(const std::vector<TaskId>& tasks, domain::Event event, domain::Reason reason,
                                  std::string_view message, Which which) {
  assert(event == domain::Event::skip || event == domain::Event::cancel);
  const auto state = event == domain::Event::skip ? RunState::skipped : RunState::cancelled;
  const auto sql = fmt::format(
      "WITH undispatched AS (SELECT id FROM task_runs WHERE task_id = ANY ($5) AND ended_at IS NULL AND {0}{2}"
      " ORDER BY id FOR NO KEY UPDATE)"
      " UPDATE task_runs r SET state = $1, ended_at = $2, reason = $3, message = $4{1} FROM undispatched u"
      " WHERE r.id = u.id RETURNING r.id, r.task_id",
      may_leave(event, Side::store), event == domain::Event::cancel ? ", cancel_reason = $3" : "",
      which == Which::earlier ? " AND (attempt > 0 OR slot IS NOT NULL OR due_at <= $2)" : "");
  tx_.send(sql, state, now_, reason, message, tasks);
}

SchedulerResult<void> RunEndings::note_all(Rows& ended, RunState state) {
  TRY(const auto runs, ended.all([state](Row& row) {
    EndedRun it{.state = state};
    row.read(it.run, it.task);
    return it;
  }));
  wave_.insert(wave_.end(), runs.begin(), runs.end());
  return {};
}

Async<void> RunEndings::settle() {
  CO_TRY(auto added, upstream_runs_.write());
  note_settled(added);
  if (!passed_.empty()) {
    CO_TRY(const auto touched, upstream_runs_.passed(std::exchange(passed_, {})));
    note_settled(touched);
  }
  CO_CHECK(decide_waiting());
  while (!wave_.empty()) CO_CHECK(settle_wave(std::exchange(wave_, {})));
  co_return co_await let_next_go(std::exchange(tasks_, {}));
}

// Who goes next of the runs that wait, task by task; the tasks are locked.
Async<void> RunEndings::let_next_go(std::vector<TaskId> tasks) {
  if (tasks.empty()) co_return SchedulerResult<void>{};
  CO_TRY(const auto lines, lines_of(std::move(tasks)));
  std::vector<TaskId> joining, going;
  std::vector<std::optional<int>> rooms;
  std::vector<std::optional<bool>> holds_room;
  for (const auto& [task, line] : lines) {
    const auto next = domain::next_in_line(line);
    if (next.queue_joins) joining.push_back(task);
    if (next.room == 0) continue;
    going.push_back(task);
    rooms.push_back(next.room);
    holds_room.push_back(line.limit ? std::optional(true) : std::nullopt);
  }
  if (!joining.empty())
    tx_.send(
        "UPDATE task_runs r SET waits_for = 'limit' FROM (SELECT DISTINCT ON (w.task_id) w.task_id, w.slot"
        " FROM task_runs w WHERE w.task_id = ANY ($1) AND w.state = 'waiting' AND w.waits_for = 'overlap'"
        " ORDER BY w.task_id, w.due_at, w.id) next WHERE r.task_id = next.task_id"
        " AND r.slot IS NOT DISTINCT FROM next.slot AND r.state = 'waiting' AND r.waits_for = 'overlap'",
        joining);
  static const auto kGo = fmt::format(
      "UPDATE task_runs r SET state = 'pending', holds_room = n.holds_room FROM (SELECT w.id, t.holds_room"
      " FROM unnest($1::bigint[], $2::bigint[], $3::boolean[]) AS t (task_id, room, holds_room) CROSS JOIN LATERAL"
      " (SELECT id FROM task_runs WHERE task_id = t.task_id AND {0} AND waits_for = 'limit' ORDER BY due_at, id"
      " LIMIT t.room) w) n WHERE r.id = n.id AND r.{0}",
      may_leave(domain::Event::promote, Side::store));
  if (!going.empty()) tx_.send(kGo, going, rooms, holds_room);
  co_return SchedulerResult<void>{};
}

// Of those that have runs which wait. Most have none.
Async<std::vector<std::pair<TaskId, domain::Line>>> RunEndings::lines_of(std::vector<TaskId> tasks) {
  // Runs that were let go before there was a limit hold no room, and go all the same: looked for only where it matters.
  static const auto kLines = fmt::format(
      "SELECT l.id, l.most, CASE WHEN l.taken > 0 OR l.has_line OR NOT l.has_queue THEN l.taken"
      " ELSE (SELECT count(*) FROM (SELECT 1 FROM task_runs r WHERE r.task_id = l.id AND r.ended_at IS NULL AND {}"
      " LIMIT 1) going) END, l.has_line, l.has_queue FROM (SELECT t.id, t.max_concurrent_runs AS most,"
      " CASE WHEN t.max_concurrent_runs IS NULL THEN 0 ELSE (SELECT count(*) FROM task_runs r WHERE r.task_id = t.id"
      " AND r.ended_at IS NULL AND r.holds_room) END AS taken,"
      " EXISTS (SELECT 1 FROM task_runs r WHERE r.task_id = t.id AND r.state = 'waiting' AND r.waits_for = 'limit')"
      " AS has_line,"
      " EXISTS (SELECT 1 FROM task_runs r WHERE r.task_id = t.id AND r.state = 'waiting' AND r.waits_for = 'overlap')"
      " AS has_queue FROM tasks t WHERE t.id = ANY ($1) AND EXISTS (SELECT 1 FROM task_runs r WHERE r.task_id = t.id"
      " AND r.state = 'waiting') ORDER BY t.id) l",
      run_goes("$2"));
  CO_TRY(auto rows, tx_.query(kLines, tasks, now_));
  co_return rows.all([](Row& row) {
    std::pair<TaskId, domain::Line> it;
    row.read(it.first, it.second.limit, it.second.going, it.second.has_line, it.second.has_queue);
    return it;
  });
}

Async<void> RunEndings::settle_wave(std::vector<EndedRun> ended) {
  for (const auto& it : ended) tasks_.push_back(it.task);
  CO_TRY(auto dependants, dependants_of(ended));
  if (dependants.empty()) co_return SchedulerResult<void>{};
  std::vector<RunId> runs;
  for (const auto& it : ended) runs.push_back(it.run);
  CO_TRY(const auto touched, upstream_runs_.ended(std::move(runs)));
  note_settled(touched);
  CO_CHECK(decide_waiting());
  std::erase_if(dependants, [](const Dependant& it) { return it.scheduled; });
  if (dependants.empty()) co_return SchedulerResult<void>{};
  CO_CHECK(drop_retries(ended));
  co_return co_await run_complete_rounds(std::move(ended), std::move(dependants));
}

// A run that was asked for again takes part in no round.
Async<void> RunEndings::drop_retries(std::vector<EndedRun>& ended) {
  std::vector<RunId> runs;
  for (const auto& it : ended) runs.push_back(it.run);
  CO_TRY(auto rows, tx_.query("SELECT id FROM task_runs WHERE id = ANY ($1) AND triggered_by = 'retry'", runs));
  CO_UNWRAP(const auto retries, rows.values<RunId>());
  std::erase_if(ended, [&](const EndedRun& it) { return std::ranges::find(retries, it.run) != retries.end(); });
  co_return SchedulerResult<void>{};
}

Async<void> RunEndings::run_complete_rounds(std::vector<EndedRun> ended, std::vector<Dependant> dependants) {
  if (ended.empty()) co_return SchedulerResult<void>{};
  CO_TRY(auto entries, add_to_rounds(ended, dependants));
  std::vector<Round> rounds;
  std::vector<std::int64_t> taken;
  Dependants by_task;
  for (const auto& it : dependants) by_task.emplace(it.task, it);
  for (const auto& [task, it] : by_task) {
    for (std::size_t n = 0;; ++n) {
      const bool complete =
          std::ranges::all_of(it.upstreams, [&](TaskId upstream) { return entries[{it.task, upstream}].size() > n; });
      if (!complete) break;
      Round round{&it, {}};
      for (const auto upstream : it.upstreams) {
        round.entries.push_back(entries[{it.task, upstream}][n]);
        taken.push_back(round.entries.back().id);
      }
      if (it.status == domain::TaskStatus::active) rounds.push_back(std::move(round));
    }
  }
  if (!taken.empty()) tx_.send("DELETE FROM dependency_rounds WHERE id = ANY ($1)", taken);
  if (!rounds.empty()) CO_CHECK(run_rounds(std::move(rounds)));
  co_return SchedulerResult<void>{};
}

// Who has nothing left to wait for upstream stands where a new run would: behind earlier ones, or in the line.
Async<void> RunEndings::decide_waiting() {
  if (touched_.empty()) co_return SchedulerResult<void>{};
  static const auto kSkip = fmt::format(
      "UPDATE task_runs r SET state = 'skipped', ended_at = $3, reason = 'dependency_failed', message = n.message"
      " FROM unnest($1::bigint[], $2::text[]) AS n (id, message) WHERE r.id = n.id AND r.{}",
      may_leave(domain::Event::skip, Side::store));
  constexpr std::string_view kGoOn =
      "UPDATE task_runs r SET waits_for = n.waits_for FROM unnest($1::bigint[], $2::text[]) AS n (id, waits_for)"
      " WHERE r.id = n.id AND r.state = 'waiting' AND r.waits_for = 'upstreams'";
  CO_TRY(const auto judged, upstream_runs_.judge(std::exchange(touched_, {})));
  std::vector<RunId> going_on, skipped;
  std::vector<domain::Wait> waits_for;
  std::vector<std::string_view> why;
  for (const auto& it : judged) {
    if (it.verdict == domain::Verdict::run) {
      going_on.push_back(it.run);
      waits_for.push_back(it.beside_others ? domain::Wait::limit : domain::Wait::overlap);
      revisit(it.task);
    } else if (it.verdict == domain::Verdict::skip) {
      skipped.push_back(it.run);
      why.push_back(it.why);
      note(it.run, it.task, RunState::skipped);
    }
  }
  if (!going_on.empty()) tx_.send(kGoOn, going_on, waits_for);
  if (!skipped.empty()) tx_.send(kSkip, skipped, why, now_);
  co_return SchedulerResult<void>{};
}

Async<std::vector<RunEndings::Dependant>> RunEndings::dependants_of(const std::vector<EndedRun>& ended) {
  std::vector<TaskId> tasks;
  for (const auto& it : ended) tasks.push_back(it.task);
  CO_TRY(auto rows,
         tx_.query("SELECT d.upstream_id, t.id, t.status, t.trigger_rule, t.route, t.priority, t.shard_count,"
                   " t.max_concurrent_runs, t.schedule IS NOT NULL,"
                   " ARRAY(SELECT u.upstream_id FROM task_dependencies u WHERE u.task_id = t.id ORDER BY u.position)"
                   " FROM task_dependencies d JOIN tasks t ON t.id = d.task_id"
                   " WHERE d.upstream_id = ANY ($1) AND t.archived_at IS NULL ORDER BY t.id",
                   tasks));
  co_return rows.all([](Row& row) {
    Dependant it;
    row.read(it.upstream, it.task, it.status, it.rule, it.route, it.priority, it.shard_count, it.limit, it.scheduled,
             it.upstreams);
    return it;
  });
}

// What now waits of each upstream, as far as complete rounds could use it: none was complete before.
Async<RunEndings::Entries> RunEndings::add_to_rounds(const std::vector<EndedRun>& ended,
                                                     const std::vector<Dependant>& dependants) {
  std::vector<TaskId> tasks, upstreams;
  std::vector<RunId> runs;
  std::vector<RunState> states;
  std::map<TaskId, std::int64_t> added;
  for (const auto& run : ended) {
    for (const auto& it : dependants) {
      if (it.upstream != run.task) continue;
      tasks.push_back(it.task);
      upstreams.push_back(run.task);
      runs.push_back(run.run);
      states.push_back(run.state);
      ++added[it.task];
    }
  }
  tx_.send(
      "INSERT INTO dependency_rounds (task_id, upstream_id, upstream_run_id, state)"
      " SELECT task_id, upstream_id, run_id, state FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[])"
      " WITH ORDINALITY AS n (task_id, upstream_id, run_id, state, place) ORDER BY place",
      tasks, upstreams, runs, states);
  std::vector<TaskId> pair_tasks, pair_upstreams;
  std::vector<std::int64_t> limits;
  for (const auto& it : dependants) {
    if (!pair_tasks.empty() && pair_tasks.back() == it.task) continue;  // they come by task
    for (const auto upstream : it.upstreams) {
      pair_tasks.push_back(it.task);
      pair_upstreams.push_back(upstream);
      limits.push_back(added[it.task]);
    }
  }
  CO_TRY(auto rows,
         tx_.query("SELECT p.task_id, p.upstream_id, r.id, r.upstream_run_id, r.state"
                   " FROM unnest($1::bigint[], $2::bigint[], $3::bigint[]) AS p (task_id, upstream_id, rows_max)"
                   " CROSS JOIN LATERAL (SELECT id, upstream_run_id, state FROM dependency_rounds"
                   " WHERE task_id = p.task_id AND upstream_id = p.upstream_id ORDER BY id LIMIT p.rows_max) r"
                   " ORDER BY r.id",
                   pair_tasks, pair_upstreams, limits));
  Entries entries;
  const auto read = rows.all([&entries](Row& row) {
    TaskId task, upstream;
    Entry it;
    row.read(task, upstream, it.id, it.run, it.state);
    entries[{task, upstream}].push_back(it);
    return it.id;
  });
  if (!read) co_return std::unexpected(read.error());
  co_return entries;
}

Async<void> RunEndings::run_rounds(std::vector<Round> rounds) {
  std::map<TaskId, std::string> names;
  RunInserts inserts;
  for (const auto& round : rounds) {
    const auto& it = *round.dependant;
    NewFire fire{.task = it.task,
                 .route = it.route,
                 .priority = it.priority,
                 .trigger = domain::Trigger::dependency,
                 .created_at = now_,
                 .due_at = now_};
    std::vector<RunState> states;
    for (const auto& entry : round.entries) states.push_back(entry.state);
    std::string why;
    if (!domain::runs_after(it.rule, states)) {
      if (names.empty()) {
        CO_TRY(names, names_of(rounds));
      }
      // The first one that the rule does not accept.
      const auto refused =
          std::ranges::find_if(states, [&](RunState state) { return !domain::runs_after(it.rule, {&state, 1}); });
      const auto i = static_cast<std::size_t>(refused - states.begin());
      why = domain::why_refused({it.upstreams[i], names[it.upstreams[i]], {}, round.entries[i].run, states[i]});
      fire.state = RunState::skipped;
      fire.reason = domain::Reason::dependency_failed;
      fire.message = why;
    } else if (it.limit) {
      // Behind those that wait already: which of them go is decided once, at the end.
      fire.state = RunState::waiting;
      fire.waits_for = domain::Wait::limit;
      revisit(it.task);
    }
    inserts.add_shards(fire, it.shard_count);
  }
  inserts.send(tx_);
  CO_TRY(auto made, tx_.flush());
  CO_UNWRAP(const auto ids, made.back().values<RunId>());
  for (std::size_t i = 0; i < ids.size(); ++i)
    if (inserts.state(i) == RunState::skipped) note(ids[i], inserts.task(i), RunState::skipped);
  record_upstreams(rounds, ids);
  co_return SchedulerResult<void>{};
}

// `made`: the runs of the rounds, one for each shard.
void RunEndings::record_upstreams(const std::vector<Round>& rounds, const std::vector<RunId>& made) {
  std::vector<RunId> runs, upstream_runs;
  std::vector<int> positions;
  std::vector<TaskId> upstreams;
  std::vector<RunState> states;
  auto next = made.begin();
  for (const auto& round : rounds) {
    for (int shard = 0; shard < round.dependant->shard_count; ++shard, ++next) {
      for (std::size_t i = 0; i < round.entries.size(); ++i) {
        runs.push_back(*next);
        positions.push_back(static_cast<int>(i));
        upstreams.push_back(round.dependant->upstreams[i]);
        upstream_runs.push_back(round.entries[i].run);
        states.push_back(round.entries[i].state);
      }
    }
  }
  tx_.send(
      "INSERT INTO run_upstreams (run_id, position, upstream_id, upstream_run_id, state) SELECT * FROM"
      " unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[])",
      runs, positions, upstreams, upstream_runs, states);
}

Async<std::map<TaskId, std::string>> RunEndings::names_of(const std::vector<Round>& rounds) {
  std::vector<TaskId> upstreams;
  for (const auto& it : rounds)
    upstreams.insert(upstreams.end(), it.dependant->upstreams.begin(), it.dependant->upstreams.end());
  CO_TRY(auto rows, tx_.query("SELECT id, name FROM tasks WHERE id = ANY ($1)", upstreams));
  std::map<TaskId, std::string> names;
  const auto read = rows.all([&names](Row& row) {
    TaskId task;
    std::string name;
    row.read(task, name);
    return names.emplace(task, std::move(name)).second;
  });
  if (!read) co_return std::unexpected(read.error());
  co_return names;
}

}  // namespace scheduler::infrastructure::postgres
