#include "infrastructure/sqlite/sqlite_dispatch_repository.hpp"

#include "infrastructure/sqlite/guards.hpp"
#include "infrastructure/sqlite/rows.hpp"
#include "infrastructure/sqlite/run_endings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <tuple>

namespace scheduler::infrastructure {
namespace {

using application::AssignedRun;
using application::Dispatching;
using application::DispatchView;
using application::DueRun;
using application::Ended;
using application::RescueView;
using application::Returned;
using application::RunChange;
using application::RunContexts;
using application::Started;
using domain::Event;
using domain::RunState;

// ---- view: what is due, for whom ------------------------------------------------------------------------------------

SchedulerResult<std::vector<domain::WorkerLoad>> living_workers(Connection& connection) {
  static const auto kSql =
      fmt::format("SELECT {} FROM workers WHERE state = 'alive' AND state IN ('alive', 'draining') ORDER BY worker_id",
                  kWorkerColumns);
  TRY(auto loads, connection.query(kSql).all([](Statement& row) { return domain::WorkerLoad{read_worker(row)}; }));
  for (auto& it : loads) {
    TRY(const auto held, connection
                             .query("SELECT count(*) FROM task_runs WHERE incarnation = ?"
                                    " AND state IN ('dispatched', 'running')",
                                    it.worker.incarnation)
                             .value<int>());
    it.in_flight = *held;
  }
  return loads;
}

// Pending runs of one route and priority, in the order of the index.
struct Band {
  std::string route;
  int priority = -1;
};

// The band after `last`: one or two seeks, however many runs a band holds. (A comparison of row values would read
// through the band: SQLite seeks to its beginning only.)
SchedulerResult<bool> next_band(Connection& connection, Band& last) {
  auto same_route = connection.query(
      "SELECT route, priority FROM task_runs WHERE state = 'pending' AND route = ? AND priority > ?"
      " ORDER BY priority LIMIT 1",
      last.route, last.priority);
  TRY(bool found, same_route.step());
  if (found) {
    same_route.read(last.route, last.priority);
    return true;
  }
  auto next_route = connection.query(
      "SELECT route, priority FROM task_runs WHERE state = 'pending' AND route > ? ORDER BY route, priority LIMIT 1",
      last.route);
  TRY(found, next_route.step());
  if (found) next_route.read(last.route, last.priority);
  return found;
}

SchedulerResult<bool> has_due(Connection& connection, const Band& band, TimePoint now) {
  TRY(const auto due, connection
                          .query("SELECT 1 FROM task_runs WHERE state = 'pending' AND route = ? AND priority = ?"
                                 " AND due_at <= ? LIMIT 1",
                                 band.route, band.priority, now)
                          .value<int>());
  return due.has_value();
}

SchedulerResult<std::optional<TimePoint>> next_due_of(Connection& connection, const Band& band, TimePoint now) {
  return connection
      .query(
          "SELECT due_at FROM task_runs WHERE state = 'pending' AND route = ? AND priority = ? AND due_at > ?"
          " ORDER BY due_at LIMIT 1",
          band.route, band.priority, now)
      .value<TimePoint>();
}

SchedulerResult<DispatchView> dispatch_view(Connection& connection, TimePoint now) {
  DispatchView view{.now = now};
  TRY(view.workers, living_workers(connection));
  Band band;
  for (;;) {
    TRY(const bool found, next_band(connection, band));
    if (!found) return view;
    TRY(const bool due, has_due(connection, band, now));
    if (due && (view.routes.empty() || view.routes.back() != band.route)) view.routes.push_back(band.route);
    TRY(const auto next, next_due_of(connection, band, now));
    if (next && (!view.next_due || *next < *view.next_due)) view.next_due = next;
  }
}

// ---- due: the most urgent runs --------------------------------------------------------------------------------------

struct DueKey {
  TimePoint due_at{};
  RunId run;
  auto operator<=>(const DueKey&) const = default;
};

// The `limit` most urgent due runs of one priority; the index alone answers.
SchedulerResult<std::vector<DueKey>> due_keys(Connection& connection, const std::vector<std::string>& routes,
                                              int priority, TimePoint now, std::size_t limit) {
  std::vector<DueKey> keys;
  for (const auto& route : routes) {
    auto rows = connection.query(
        "SELECT due_at, id FROM task_runs WHERE state = 'pending' AND route = ? AND priority = ? AND due_at <= ?"
        " ORDER BY due_at, id LIMIT ?",
        route, priority, now, limit);
    TRY(const auto found, rows.all([](Statement& row) {
      DueKey key;
      row.read(key.due_at, key.run);
      return key;
    }));
    keys.insert(keys.end(), found.begin(), found.end());
  }
  std::ranges::sort(keys);
  keys.resize(std::min(keys.size(), limit));
  return keys;
}

// What the runs of one task have in common.
struct DueTask {
  std::string name, task_type, parameters;
  Seconds timeout{0};
};

// Reads due runs; each task only once.
class DueReader {
 public:
  explicit DueReader(Connection& connection)
      : connection_(connection),
        runs_(connection.query("SELECT task_id, token, route, parameters, attempt, slot, shard_index, shard_total"
                               " FROM task_runs WHERE id = ?",
                               0)) {}

  SchedulerResult<DueRun> read(RunId id) {
    DueRun due;
    auto& execution = due.execution;
    std::optional<std::string> parameters;
    TRY(const bool found, runs_.bind(id).step());
    assert(found && "the run was read in this snapshot");
    runs_.read(execution.task, due.candidate.token, due.candidate.route, parameters, execution.attempt, execution.slot,
               execution.shard_index, execution.shard_total);
    TRY(const auto* task, task_of(execution.task));
    due.candidate.run = execution.run = id;
    execution.task_name = task->name;
    execution.task_type = task->task_type;
    execution.parameters = std::move(parameters).value_or(task->parameters);
    execution.attempt += 1;
    execution.token = due.candidate.token + 1;
    execution.timeout = task->timeout;
    return due;
  }

 private:
  SchedulerResult<const DueTask*> task_of(TaskId id) {
    const auto [found, added] = tasks_.try_emplace(id);
    auto& task = found->second;
    if (added) {
      auto row = connection_.query("SELECT name, task_type, parameters, timeout_seconds FROM tasks WHERE id = ?", id);
      CHECK(row.step());
      row.read(task.name, task.task_type, task.parameters, task.timeout);
    }
    return &task;
  }

  Connection& connection_;
  Statement runs_;
  std::unordered_map<TaskId, DueTask> tasks_;
};

constexpr int kPriorityMax = 9;

SchedulerResult<std::vector<DueRun>> due_runs(Connection& connection, std::vector<std::string> routes,
                                              std::size_t limit, TimePoint now) {
  std::ranges::sort(routes);
  routes.erase(std::ranges::unique(routes).begin(), routes.end());
  std::vector<DueRun> due;
  DueReader reader(connection);
  for (int priority = kPriorityMax; priority >= 0 && due.size() < limit; --priority) {
    TRY(const auto keys, due_keys(connection, routes, priority, now, limit - due.size()));
    for (const auto& key : keys) {
      TRY(due.emplace_back(), reader.read(key.run));
    }
  }
  return due;
}

// ---- writes ---------------------------------------------------------------------------------------------------------
// They say OR FAIL because that halves their cost; the reason stands beside the trigger in the first migration.

SchedulerResult<std::vector<bool>> mark_all_dispatched(Connection& connection, const std::vector<Dispatching>& batch,
                                                       TimePoint now) {
  static const auto kSql = fmt::format(
      "UPDATE OR FAIL task_runs SET state = 'dispatched', token = token + 1, attempt = attempt + 1, worker = ?3,"
      " incarnation = ?4, dispatched_at = ?5, started_at = NULL, missing_since = NULL"
      " WHERE id = ?1 AND token = ?2 AND {}",
      may_leave(Event::dispatch, Side::store));
  auto update = connection.query(kSql);
  std::vector<bool> won;
  for (const auto& it : batch) {
    TRY(const auto changed, update.bind(it.run, it.token_seen, it.worker, it.incarnation, now).run());
    won.push_back(changed == 1);
  }
  return won;
}

// What happens to the run when its attempt has ended so.
struct NextStep {
  Event event = Event::succeed;
  std::optional<TimePoint> retry_at;  // nothing: the run ends
};

NextStep next_step(const Ended& it, domain::Reason cancel_reason) {
  const bool lost = it.attempt_state == domain::AttemptState::lost;
  if (const auto* retry = std::get_if<domain::RetryAt>(&it.next)) {
    // The mark came after the decision to retry: a cancelled run is not tried again.
    if (cancel_reason != domain::Reason::none) return {Event::cancel, std::nullopt};
    return {lost ? Event::rescue : Event::retry, retry->due};
  }
  switch (std::get<domain::End>(it.next).state) {
    case RunState::succeeded:
      return {Event::succeed, std::nullopt};
    case RunState::timed_out:
      return {Event::time_out, std::nullopt};
    case RunState::cancelled:
      return {Event::cancel, std::nullopt};
    case RunState::failed:
      return {lost ? Event::give_up : Event::fail, std::nullopt};
    default:
      assert(false && "an attempt ends its run succeeded, failed, timed_out or cancelled");
      return {};
  }
}

// How a run ends, where it ends.
struct RunEnd {
  RunState state = RunState::succeeded;
  domain::Reason reason = domain::Reason::none;
  std::string message;
  std::optional<int> exit_code, http_status;
};

// The mark won over what would have followed.
RunEnd cancelled(domain::Reason why) {
  return {RunState::cancelled, why, domain::cancel_message(why, "before another attempt")};
}

// The statements of one batch of reports, prepared once.
class Reports {
 public:
  Reports(Connection& connection, TimePoint now)
      : start_(connection.query(fmt::format(
            "UPDATE OR FAIL task_runs SET state = 'running', started_at = ?3 WHERE id = ?1 AND token = ?2 AND {}",
            may_leave(Event::start, Side::attempt)))),
        find_(connection.query("SELECT state, task_id, attempt, worker, incarnation, dispatched_at, started_at,"
                               " cancel_reason FROM task_runs WHERE id = ?1 AND token = ?2")),
        insert_attempt_(connection.query(
            "INSERT INTO task_attempts (run_id, number, token, state, worker, incarnation, dispatched_at, started_at,"
            " ended_at, reason, message, exit_code, http_status, log_lines)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)")),
        end_(connection.query(fmt::format(
            "UPDATE OR FAIL task_runs SET state = ?3, token = token + ?4, lost_attempts = lost_attempts + ?5, "
            "started_at = ?6,"
            " ended_at = ?7, reason = ?8, message = ?9, exit_code = ?10, http_status = ?11, missing_since = NULL"
            " WHERE id = ?1 AND token = ?2 AND {}",
            may_leave(Event::succeed, Side::attempt)))),
        retry_(connection.query(fmt::format(
            "UPDATE OR FAIL task_runs SET state = 'pending', token = token + ?3, lost_attempts = lost_attempts + ?4,"
            " started_at = ?5, due_at = ?6, missing_since = NULL WHERE id = ?1 AND token = ?2 AND {}",
            may_leave(Event::retry, Side::attempt)))),
        hand_back_(connection.query(fmt::format(
            "UPDATE OR FAIL task_runs SET state = 'pending', token = token + 1, attempt = attempt - 1, worker = NULL,"
            " incarnation = NULL, dispatched_at = NULL, started_at = NULL, due_at = ?3, missing_since = NULL"
            " WHERE id = ?1 AND token = ?2 AND {}",
            may_leave(Event::hand_back, Side::attempt)))),
        endings_(connection, now),
        now_(now) {}

  // False: the guard did not hold, nothing was changed.
  SchedulerResult<bool> apply(const RunChange& change) {
    return std::visit([this](const auto& it) { return apply(it); }, change);
  }

  SchedulerResult<void> settle() { return endings_.settle(); }

 private:
  struct Current {
    RunState state = RunState::dispatched;
    TaskId task;
    int attempt = 0;
    std::optional<WorkerId> worker;
    std::optional<IncarnationId> incarnation;
    std::optional<TimePoint> dispatched_at, started_at;
    domain::Reason cancel_reason = domain::Reason::none;
  };

  SchedulerResult<bool> apply(const Started& it) {
    TRY(const auto changed, start_.bind(it.run, it.token, it.started_at).run());
    return changed == 1;
  }

  SchedulerResult<bool> apply(const Returned& it) {
    TRY(const auto current, find(it.run, it.token));
    if (!current || !domain::may_leave(current->state, Event::hand_back)) return false;
    if (current->cancel_reason != domain::Reason::none) {
      CHECK(end(it.run, it.token, *current, cancelled(current->cancel_reason), std::nullopt, now_, false, false));
      return true;
    }
    CHECK(hand_back_.bind(it.run, it.token, now_).run());
    return true;
  }

  SchedulerResult<bool> apply(const Ended& it) {
    TRY(const auto current, find(it.run, it.token));
    if (!current) return false;
    const auto step = next_step(it, current->cancel_reason);
    const auto allowed = transition(current->state, step.event);
    if (!allowed || side_of(*allowed) != Side::attempt) return false;
    const bool revoke = it.revoke || allowed->guard == domain::Guard::token_seen;
    const bool lost = it.attempt_state == domain::AttemptState::lost;
    const auto started_at = it.started_at ? it.started_at : current->started_at;
    CHECK(insert_attempt(it, *current, started_at));
    if (step.retry_at) {
      CHECK(retry_.bind(it.run, it.token, revoke, lost, started_at, *step.retry_at).run());
      return true;
    }
    const auto& outcome = it.outcome;
    // Whatever its attempt met (an exit code, a lost worker): that the run ends here is the cancel's doing.
    const bool overruled = allowed->to == RunState::cancelled && it.attempt_state != domain::AttemptState::cancelled;
    const RunEnd as_reported{allowed->to, outcome.reason, outcome.message, outcome.exit_code, outcome.http_status};
    CHECK(end(it.run, it.token, *current, overruled ? cancelled(current->cancel_reason) : as_reported, started_at,
              it.ended_at, revoke, lost));
    return true;
  }

  SchedulerResult<std::optional<Current>> find(RunId run, Token token) {
    return find_.bind(run, token).first([](Statement& row) {
      Current current;
      row.read(current.state, current.task, current.attempt, current.worker, current.incarnation, current.dispatched_at,
               current.started_at, current.cancel_reason);
      return current;
    });
  }

  SchedulerResult<void> insert_attempt(const Ended& it, const Current& current, std::optional<TimePoint> started_at) {
    const auto& outcome = it.outcome;
    CHECK(insert_attempt_
              .bind(it.run, current.attempt, it.token, it.attempt_state, current.worker, current.incarnation,
                    current.dispatched_at, started_at, it.ended_at, outcome.reason, outcome.message, outcome.exit_code,
                    outcome.http_status, it.log_lines)
              .run());
    return {};
  }

  SchedulerResult<void> end(RunId run, Token token, const Current& current, const RunEnd& how,
                            std::optional<TimePoint> started_at, TimePoint ended_at, bool revoke, bool lost) {
    TRY(const auto changed, end_.bind(run, token, how.state, revoke, lost, started_at, ended_at, how.reason,
                                      how.message, how.exit_code, how.http_status)
                                .run());
    assert(changed == 1 && "the run was read in this transaction");
    endings_.note(run, current.task, how.state);
    return {};
  }

  Statement start_, find_, insert_attempt_, end_, retry_, hand_back_;
  RunEndings endings_;
  TimePoint now_;
};

SchedulerResult<std::vector<bool>> apply_all(Connection& connection, const std::vector<RunChange>& batch,
                                             TimePoint now) {
  Reports reports(connection, now);
  std::vector<bool> won;
  for (const auto& change : batch) {
    TRY(const bool changed, reports.apply(change));
    won.push_back(changed);
  }
  CHECK(reports.settle());
  return won;
}

SchedulerResult<void> mark_all_missing(Connection& connection, const std::vector<RunId>& missing,
                                       const std::vector<RunId>& found, TimePoint now) {
  for (const auto run : missing)
    CHECK(
        connection.execute("UPDATE task_runs SET missing_since = ?2 WHERE id = ?1 AND missing_since IS NULL"
                           " AND state IN ('dispatched', 'running')",
                           run, now));
  for (const auto run : found)
    CHECK(connection.execute("UPDATE task_runs SET missing_since = NULL WHERE id = ? AND missing_since IS NOT NULL",
                             run));
  return {};
}

// ---- what was decided on --------------------------------------------------------------------------------------------

SchedulerResult<RunContexts> run_contexts(Connection& connection, const std::vector<RunId>& runs, TimePoint now) {
  static const auto kSql = fmt::format("SELECT {}, {}{}WHERE r.id = ?", kPolicyColumns, kRunColumns, kRunTables);
  RunContexts contexts{.now = now};
  contexts.runs.reserve(runs.size());
  auto select = connection.query(kSql, 0);
  for (const auto run : runs) {
    TRY(auto context, select.bind(run).first(read_run_context));
    if (context) contexts.runs.emplace(run, *std::move(context));
  }
  return contexts;
}

// Without the hint SQLite walks the whole history in the order of the ids to save itself a sort of a few rows.
constexpr std::string_view kHeldRunTables =
    " FROM task_runs r INDEXED BY task_runs_held CROSS JOIN tasks t ON t.id = r.task_id ";

SchedulerResult<RescueView> rescue_view(Connection& connection, TimePoint now, std::size_t limit) {
  RescueView view{.now = now};
  // An incarnation that nobody knows is as good as dead.
  static const auto kOrphaned = fmt::format(
      "SELECT {}, {}{}WHERE r.state IN ('dispatched', 'running') AND (r.missing_since <= ?1 OR r.incarnation NOT IN"
      " (SELECT incarnation FROM workers WHERE state IN ('alive', 'draining'))) ORDER BY r.id LIMIT ?2",
      kPolicyColumns, kRunColumns, kHeldRunTables);
  TRY(view.orphaned, connection.query(kOrphaned, now - application::kMissingGrace, limit).all(read_run_context));
  static const auto kOverdue = fmt::format(
      "SELECT {}, {}{}WHERE r.state = 'running' AND r.state IN ('dispatched', 'running')"
      " AND r.started_at + t.timeout_seconds * 1000000 <= ?1 ORDER BY r.id LIMIT ?2",
      kPolicyColumns, kRunColumns, kHeldRunTables);
  TRY(view.overdue, connection.query(kOverdue, now - application::kOverdueGrace, limit).all(read_run_context));
  const auto is_orphaned = [&](const application::RunContext& it) {
    return std::ranges::any_of(view.orphaned, [&](const auto& orphan) { return orphan.run.id == it.run.id; });
  };
  std::erase_if(view.overdue, is_orphaned);
  return view;
}

}  // namespace

Async<DispatchView> SqliteDispatchRepository::view() {
  return database_.read([this](Connection& connection) { return dispatch_view(connection, clock_.now()); });
}

Async<std::vector<DueRun>> SqliteDispatchRepository::due(std::vector<std::string> routes, std::size_t limit) {
  return database_.read([this, routes = std::move(routes), limit](Connection& connection) {
    return due_runs(connection, routes, limit, clock_.now());
  });
}

Async<std::vector<bool>> SqliteDispatchRepository::mark_dispatched(std::vector<Dispatching> batch) {
  return database_.write([this, batch = std::move(batch)](Connection& connection) {
    return mark_all_dispatched(connection, batch, clock_.now());
  });
}

Async<RunContexts> SqliteDispatchRepository::contexts(std::vector<RunId> runs) {
  return database_.read(
      [this, runs = std::move(runs)](Connection& connection) { return run_contexts(connection, runs, clock_.now()); });
}

Async<std::vector<bool>> SqliteDispatchRepository::apply(std::vector<RunChange> batch) {
  return database_.write(
      [this, batch = std::move(batch)](Connection& connection) { return apply_all(connection, batch, clock_.now()); },
      database::sqlite::Urgency::patient);  // what starts work goes first: it is what lateness is made of
}

Async<std::vector<AssignedRun>> SqliteDispatchRepository::assigned(IncarnationId incarnation, TimePoint before) {
  return database_.read([incarnation, before](Connection& connection) {
    static const auto kSql = fmt::format(
        "SELECT {} FROM task_runs WHERE incarnation = ? AND state IN ('dispatched', 'running') AND dispatched_at < ?"
        " ORDER BY id",
        kAssignedColumns);
    return connection.query(kSql, incarnation, before).all(read_assigned);
  });
}

Async<void> SqliteDispatchRepository::mark_missing(std::vector<RunId> missing, std::vector<RunId> found) {
  return database_.write([this, missing = std::move(missing), found = std::move(found)](Connection& connection) {
    return mark_all_missing(connection, missing, found, clock_.now());
  });
}

Async<RescueView> SqliteDispatchRepository::to_rescue(std::size_t limit) {
  return database_.read([this, limit](Connection& connection) { return rescue_view(connection, clock_.now(), limit); });
}

}  // namespace scheduler::infrastructure
