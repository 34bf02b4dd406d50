#include "infrastructure/sqlite/run_endings.hpp"

#include "domain/dependencies.hpp"
#include "infrastructure/sqlite/run_insert.hpp"
#include "infrastructure/store/guards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace scheduler::infrastructure {

using database::sqlite::column_of;
using database::sqlite::RowSet;
using database::sqlite::Statement;

// One ended run of each upstream, in the order of Dependant::upstreams.
struct RunEndings::Round {
  std::vector<RunId> runs;
  std::vector<domain::RunState> states;
};

SchedulerResult<void> RunEndings::end_undispatched(TaskId task, domain::Event event, domain::Reason reason,
                                                   std::string_view message, Which which) {
  assert(event == domain::Event::skip || event == domain::Event::cancel);
  const auto state = event == domain::Event::skip ? domain::RunState::skipped : domain::RunState::cancelled;
  const auto sql = fmt::format(
      "UPDATE task_runs SET state = ?1, ended_at = ?2, reason = ?3, message = ?4{}"
      " WHERE task_id = ?5 AND ended_at IS NULL AND {}{} RETURNING id",
      event == domain::Event::cancel ? ", cancel_reason = ?3" : "", may_leave(event, Side::store),
      which == Which::earlier ? " AND (attempt > 0 OR slot IS NOT NULL OR due_at <= ?2)" : "");
  TRY(const auto runs, connection_.query(sql, state, now_, reason, message, task).values<RunId>());
  for (const auto run : runs) note(run, task, state);
  return {};
}

SchedulerResult<void> RunEndings::settle() {
  CHECK(note_tasks_without_dependants());
  // A round may skip its dependant: an ended run more, behind the ones that are there.
  for (std::size_t i = 0; i < ended_.size(); ++i) {
    CHECK(settle_upstream_runs(ended_[i]));
    CHECK(add_to_rounds(ended_[i]));
  }
  std::set<TaskId> tasks(revisited_.begin(), revisited_.end());
  for (const auto& it : ended_) tasks.insert(it.task);
  TRY(const auto waiting, connection_
                              .query("SELECT DISTINCT r.task_id FROM rows(?1) CROSS JOIN task_runs r"
                                     " ON r.task_id = c1 AND r.state = 'waiting' ORDER BY r.task_id",
                                     column_of(tasks))
                              .values<TaskId>());
  for (const auto task : waiting) CHECK(let_next_go(task));
  ended_.clear();
  revisited_.clear();
  return {};
}

// Most tasks have none: one question for all of them.
SchedulerResult<void> RunEndings::note_tasks_without_dependants() {
  std::set<TaskId> tasks;
  for (const auto& it : ended_) tasks.insert(it.task);
  TRY(const auto upstreams, connection_
                                .query("SELECT DISTINCT d.upstream_id FROM rows(?1) CROSS JOIN task_dependencies d"
                                       " ON d.upstream_id = c1",
                                       column_of(tasks))
                                .values<TaskId>());
  for (const auto task : upstreams) tasks.erase(task);
  for (const auto task : tasks) dependants_.try_emplace(task);
  return {};
}

SchedulerResult<void> RunEndings::wait_for(RunId run, std::span<const domain::AwaitedRun> awaited) {
  CHECK(upstream_runs_.add(run, awaited));
  return decide(run);
}

SchedulerResult<void> RunEndings::note_passed(TaskId task) {
  TRY(const auto touched, upstream_runs_.passed(task));
  return decide(touched);
}

SchedulerResult<void> RunEndings::settle_upstream_runs(const EndedRun& ended) {
  TRY(const auto* dependants, dependants_of(ended.task));
  if (dependants->empty()) return {};
  TRY(const auto touched, upstream_runs_.ended(ended.run, ended.task, ended.state));
  return decide(touched);
}

SchedulerResult<void> RunEndings::decide(const std::vector<RunId>& runs) {
  for (const auto run : runs) CHECK(decide(run));
  return {};
}

// Whoever goes now waits for no more than the others of its task, or for room: settle() lets it go, if it is its turn.
SchedulerResult<void> RunEndings::decide(RunId run) {
  TRY(const auto waiting, upstream_runs_.judge(run));
  if (!waiting || waiting->verdict == domain::Verdict::wait) return {};
  if (waiting->verdict == domain::Verdict::skip) {
    TRY(const auto why, upstream_runs_.why_skipped(*waiting));
    static const auto kSkip = fmt::format(
        "UPDATE task_runs SET state = 'skipped', ended_at = ?2, reason = 'dependency_failed', message = ?3"
        " WHERE id = ?1 AND {}",
        may_leave(domain::Event::skip, Side::store));
    CHECK(connection_.execute(kSkip, run, now_, why));
    note(run, waiting->task, domain::RunState::skipped);
    return {};
  }
  const auto next = waiting->beside_others ? domain::Wait::limit : domain::Wait::overlap;
  CHECK(connection_.execute("UPDATE task_runs SET waits_for = ?2 WHERE id = ?1", run, next));
  revisit(waiting->task);
  return {};
}

SchedulerResult<void> RunEndings::add_to_rounds(EndedRun ended) {
  TRY(const auto* dependants, dependants_of(ended.task));
  if (dependants->empty()) return {};
  TRY(const auto trigger,
      connection_.query("SELECT triggered_by FROM task_runs WHERE id = ?", ended.run).value<domain::Trigger>());
  if (trigger == domain::Trigger::retry) return {};
  for (const auto& it : *dependants) {
    if (it.scheduled) continue;
    CHECK(connection_.execute(
        "INSERT INTO dependency_rounds (task_id, upstream_id, upstream_run_id, state) VALUES (?, ?, ?, ?)", it.task,
        ended.task, ended.run, ended.state));
    // At most one round can be complete: none was before this row.
    TRY(const auto round, take_complete_round(it));
    if (round && it.status == domain::TaskStatus::active) CHECK(run_dependant(it, *round));
  }
  return {};
}

SchedulerResult<const std::vector<RunEndings::Dependant>*> RunEndings::dependants_of(TaskId upstream) {
  if (const auto known = dependants_.find(upstream); known != dependants_.end()) return &known->second;
  TRY(auto dependants,
      connection_
          .query("SELECT t.id, t.status, t.trigger_rule, t.route, t.priority, t.shard_count,"
                 " t.max_concurrent_runs, t.schedule IS NOT NULL FROM task_dependencies d JOIN tasks t"
                 " ON t.id = d.task_id WHERE d.upstream_id = ? AND t.archived_at IS NULL ORDER BY t.id",
                 upstream)
          .all([](Statement& row) {
            Dependant it;
            row.read(it.task, it.status, it.rule, it.route, it.priority, it.shard_count, it.limit, it.scheduled);
            return it;
          }));
  for (auto& it : dependants) {
    TRY(it.upstreams,
        connection_.query("SELECT upstream_id FROM task_dependencies WHERE task_id = ? ORDER BY position", it.task)
            .values<TaskId>());
  }
  return &dependants_.emplace(upstream, std::move(dependants)).first->second;
}

SchedulerResult<std::optional<RunEndings::Round>> RunEndings::take_complete_round(const Dependant& dependant) {
  Round round;
  std::vector<std::int64_t> rows;
  for (const auto upstream : dependant.upstreams) {
    auto oldest = connection_.query(
        "SELECT id, upstream_run_id, state FROM dependency_rounds WHERE task_id = ? AND upstream_id = ?"
        " ORDER BY id LIMIT 1",
        dependant.task, upstream);
    TRY(const bool found, oldest.step());
    if (!found) return std::nullopt;
    oldest.read(rows.emplace_back(), round.runs.emplace_back(), round.states.emplace_back());
  }
  for (const auto row : rows) CHECK(connection_.execute("DELETE FROM dependency_rounds WHERE id = ?", row));
  return round;
}

SchedulerResult<void> RunEndings::run_dependant(const Dependant& dependant, const Round& round) {
  NewFire fire{.task = dependant.task,
               .route = dependant.route,
               .priority = dependant.priority,
               .trigger = domain::Trigger::dependency,
               .created_at = now_,
               .due_at = now_};
  std::string why;
  if (!domain::runs_after(dependant.rule, round.states)) {
    TRY(why, why_skipped(dependant, round));
    fire.state = domain::RunState::skipped;
    fire.reason = domain::Reason::dependency_failed;
    fire.message = why;
  } else if (dependant.limit) {
    // Behind those that wait already: which of them go is decided once, at the end.
    fire.state = domain::RunState::waiting;
    fire.waits_for = domain::Wait::limit;
    revisit(dependant.task);
  }
  TRY(const auto next, next_run_id(connection_));
  RunInserts inserts(next);
  RowSet waited_for;
  for (int shard = 0; shard < dependant.shard_count; ++shard) {
    const auto run = inserts.add(fire, shard, dependant.shard_count);
    for (std::size_t i = 0; i < round.runs.size(); ++i)
      waited_for.add(run, i, dependant.upstreams[i], round.runs[i], round.states[i]);
    if (fire.state == domain::RunState::skipped) note(run, dependant.task, fire.state);
  }
  CHECK(inserts.write(connection_));
  CHECK(
      connection_.execute("INSERT INTO run_upstreams (run_id, position, upstream_id, upstream_run_id, state)"
                          " SELECT c1, c2, c3, c4, c5 FROM rows(?1)",
                          waited_for));
  return {};
}

// "run 12 of upstream task 'extract' ended failed": the first one that the rule does not accept.
SchedulerResult<std::string> RunEndings::why_skipped(const Dependant& dependant, const Round& round) {
  const auto refused = std::ranges::find_if(
      round.states, [&](domain::RunState state) { return !domain::runs_after(dependant.rule, {&state, 1}); });
  const auto i = static_cast<std::size_t>(refused - round.states.begin());
  TRY(const auto name,
      connection_.query("SELECT name FROM tasks WHERE id = ?", dependant.upstreams[i]).value<std::string>());
  return domain::why_refused({dependant.upstreams[i], name.value_or("?"), {}, round.runs[i], round.states[i]});
}

SchedulerResult<domain::Line> RunEndings::line_of(TaskId task) {
  domain::Line line;
  TRY(const auto limit,
      connection_.query("SELECT max_concurrent_runs FROM tasks WHERE id = ?", task).value<std::optional<int>>());
  line.limit = limit.value_or(std::nullopt);
  const auto any = [&](domain::Wait wait) {
    return connection_
        .query("SELECT 1 FROM task_runs WHERE task_id = ? AND state = 'waiting' AND waits_for = ? LIMIT 1", task, wait)
        .value<int>();
  };
  TRY(const auto in_line, any(domain::Wait::limit));
  TRY(const auto queued, any(domain::Wait::overlap));
  line.has_line = in_line.has_value();
  line.has_queue = queued.has_value();
  if (line.limit) {
    TRY(line.going, room_taken(connection_, task));
  }
  if (line.going > 0 || line.has_line || !line.has_queue) return line;
  // Runs that were let go before there was a limit hold no room, and go all the same.
  static const auto kGoing = fmt::format(
      "SELECT 1 FROM task_runs r WHERE r.task_id = ?1 AND r.ended_at IS NULL AND {} LIMIT 1", run_goes("?2"));
  TRY(const auto going, connection_.query(kGoing, task, now_).value<int>());
  line.going = going.value_or(0);
  return line;
}

SchedulerResult<void> RunEndings::let_next_go(TaskId task) {
  TRY(const auto line, line_of(task));
  const auto next = domain::next_in_line(line);
  if (next.queue_joins)
    CHECK(connection_.execute(
        "UPDATE task_runs SET waits_for = 'limit' WHERE task_id = ?1 AND state = 'waiting' AND waits_for = 'overlap'"
        " AND slot IS (SELECT slot FROM task_runs WHERE task_id = ?1 AND state = 'waiting' AND waits_for = 'overlap'"
        " ORDER BY due_at, id LIMIT 1)",
        task));
  if (next.room == 0) return {};
  static const auto kSql = fmt::format(
      "UPDATE task_runs SET state = 'pending', holds_room = ?2 WHERE id IN (SELECT id FROM task_runs WHERE task_id = ?1"
      " AND {} AND waits_for = 'limit' ORDER BY due_at, id LIMIT ?3)",
      may_leave(domain::Event::promote, Side::store));
  constexpr int kAll = -1;
  CHECK(connection_.execute(kSql, task, line.limit ? std::optional(1) : std::nullopt, next.room.value_or(kAll)));
  return {};
}

}  // namespace scheduler::infrastructure
