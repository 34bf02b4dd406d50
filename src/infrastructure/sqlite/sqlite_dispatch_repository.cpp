#include "infrastructure/sqlite/sqlite_dispatch_repository.hpp"

#include "domain/urgency.hpp"
#include "infrastructure/sqlite/rows.hpp"
#include "infrastructure/sqlite/run_endings.hpp"
#include "infrastructure/store/guards.hpp"
#include "infrastructure/store/report_rules.hpp"
#include "infrastructure/store/upstream_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <deque>
#include <memory>
#include <set>
#include <unordered_map>

namespace scheduler::infrastructure {
namespace {

using application::Applied;
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
using application::UpstreamOutput;
using database::sqlite::column_of;
using domain::Event;
using domain::RunState;

// ---- view: what is due, for whom ------------------------------------------------------------------------------------

SchedulerResult<std::vector<domain::WorkerLoad>> living_workers(Connection& connection) {
  // Without the hint SQLite walks every worker that ever was, in the order of the names, to save itself a sort.
  static const auto kSql = fmt::format(
      "SELECT {} FROM workers INDEXED BY workers_living WHERE state = 'alive' AND state IN ('alive', 'draining')"
      " ORDER BY worker_id",
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

// Runs that wait for nothing but their time.
SchedulerResult<void> view_timely(Connection& connection, DispatchView& view) {
  TRY(const auto first,
      connection.query("SELECT min(due_at) FROM task_runs WHERE state = 'waiting' AND waits_for = 'time'")
          .value<std::optional<TimePoint>>());
  const auto due_at = first.value_or(std::nullopt);
  if (!due_at) return {};
  view.has_timely = *due_at <= view.now;
  if (!view.has_timely && (!view.next_due || *due_at < *view.next_due)) view.next_due = due_at;
  return {};
}

SchedulerResult<DispatchView> dispatch_view(Connection& connection, TimePoint now) {
  DispatchView view{.now = now};
  TRY(view.workers, living_workers(connection));
  Band band;
  for (;;) {
    TRY(const bool found, next_band(connection, band));
    if (!found) break;
    TRY(const bool due, has_due(connection, band, now));
    if (due && (view.routes.empty() || view.routes.back() != band.route)) view.routes.push_back(band.route);
    TRY(const auto next, next_due_of(connection, band, now));
    if (next && (!view.next_due || *next < *view.next_due)) view.next_due = next;
  }
  CHECK(view_timely(connection, view));
  return view;
}

// ---- due: the most urgent runs --------------------------------------------------------------------------------------

// The due runs of one route and priority, the longest due first; the index alone answers.
class DueBand {
 public:
  DueBand(Connection& connection, const std::string& route, int priority, TimePoint now, Seconds ageing)
      : rows_(connection.query("SELECT due_at, id FROM task_runs WHERE state = 'pending' AND route = ? AND priority = ?"
                               " AND due_at <= ? ORDER BY due_at, id",
                               route, priority, now)),
        priority_(priority),
        ageing_(ageing) {}

  // False: there are no more.
  SchedulerResult<bool> next() {
    TRY(const bool found, rows_.step());
    if (!found) return false;
    TimePoint due_at;
    rows_.read(due_at, run_);
    urgency_ = domain::urgency(priority_, due_at, ageing_);
    return true;
  }
  [[nodiscard]] RunId run() const { return run_; }
  [[nodiscard]] bool goes_after(const DueBand& other) const {
    return std::pair(urgency_, run_) > std::pair(other.urgency_, other.run_);
  }

 private:
  Statement rows_;
  int priority_;
  Seconds ageing_;
  TimePoint urgency_{};
  RunId run_;
};

constexpr int kPriorityMax = 9;

// The heads of the bands are merged: no more is read than is returned, and one run of each band.
SchedulerResult<std::vector<RunId>> most_urgent(Connection& connection, const std::vector<std::string>& routes,
                                                std::size_t limit, TimePoint now, Seconds ageing) {
  std::vector<std::unique_ptr<DueBand>> heads;
  for (const auto& route : routes) {
    for (int priority = 0; priority <= kPriorityMax; ++priority) {
      auto band = std::make_unique<DueBand>(connection, route, priority, now, ageing);
      TRY(const bool found, band->next());
      if (found) heads.push_back(std::move(band));
    }
  }
  const auto less_urgent = [](const auto& a, const auto& b) { return a->goes_after(*b); };
  std::ranges::make_heap(heads, less_urgent);
  std::vector<RunId> runs;
  while (!heads.empty() && runs.size() < limit) {
    std::ranges::pop_heap(heads, less_urgent);
    runs.push_back(heads.back()->run());
    TRY(const bool found, heads.back()->next());
    if (found)
      std::ranges::push_heap(heads, less_urgent);
    else
      heads.pop_back();
  }
  return runs;
}

// What the runs of one task have in common.
struct DueTask {
  std::string name, task_type, parameters;
  Seconds timeout{0};
};

using DueTasks = std::unordered_map<TaskId, DueTask>;

SchedulerResult<DueTasks> due_tasks(Connection& connection, const std::vector<DueRun>& due) {
  std::set<TaskId> ids;
  for (const auto& it : due) ids.insert(it.execution.task);
  const auto keys = column_of(ids);
  auto rows = connection.query(
      "SELECT t.id, t.name, t.task_type, t.parameters, t.timeout_seconds FROM rows(?1) CROSS JOIN tasks t ON t.id = c1",
      keys);
  DueTasks tasks;
  for (;;) {
    TRY(const bool found, rows.step());
    if (!found) return tasks;
    TaskId id;
    DueTask task;
    rows.read(id, task.name, task.task_type, task.parameters, task.timeout);
    tasks.emplace(id, std::move(task));
  }
}

// The runs in the order of their keys.
SchedulerResult<std::vector<DueRun>> read_due(Connection& connection, const std::vector<RunId>& runs) {
  const auto keys = column_of(runs);
  auto rows = connection.query(
      "SELECT r.id, r.task_id, r.token, r.route, r.parameters, r.attempt, r.slot, r.shard_index, r.shard_total,"
      " EXISTS (SELECT 1 FROM run_upstreams u WHERE u.run_id = r.id)"
      " FROM rows(?1) CROSS JOIN task_runs r ON r.id = c1",
      keys);
  std::vector<std::optional<std::string>> parameters;
  TRY(auto due, rows.all([&](Statement& row) {
    DueRun it;
    auto& work = it.execution;
    row.read(work.run, work.task, it.candidate.token, it.candidate.route, parameters.emplace_back(), work.attempt,
             work.slot, work.shard_index, work.shard_total, it.has_upstreams);
    it.candidate.run = work.run;
    work.attempt += 1;
    work.token = it.candidate.token + 1;
    return it;
  }));
  assert(std::ranges::equal(due, runs, {}, [](const DueRun& it) { return it.candidate.run; }) &&
         "a join that is told its order keeps it, and the runs were read in this snapshot");
  TRY(const auto tasks, due_tasks(connection, due));
  for (std::size_t i = 0; i < due.size(); ++i) {
    auto& work = due[i].execution;
    const auto& task = tasks.at(work.task);
    work.task_name = task.name;
    work.task_type = task.task_type;
    work.timeout = task.timeout;
    work.parameters = parameters[i] ? *std::move(parameters[i]) : task.parameters;
  }
  return due;
}

SchedulerResult<std::vector<DueRun>> due_runs(Connection& connection, std::vector<std::string> routes,
                                              std::size_t limit, TimePoint now, Seconds ageing) {
  std::ranges::sort(routes);
  routes.erase(std::ranges::unique(routes).begin(), routes.end());
  TRY(const auto due, most_urgent(connection, routes, limit, now, ageing));
  return read_due(connection, due);
}

// ---- what upstream runs left
// ------------------------------------------------------------------------------------------

// The runs that these runs waited for: the one that was bound, and all shards of a fire time, unless the one that was
// bound took its place.
constexpr std::string_view kBound =
    "WITH bound (run_id, position, upstream_id, id) AS ("
    " SELECT u.run_id, u.position, u.upstream_id, u.upstream_run_id FROM rows(?1) CROSS JOIN run_upstreams u"
    " ON u.run_id = c1 UNION"
    " SELECT u.run_id, u.position, u.upstream_id, s.run_id FROM rows(?1) CROSS JOIN run_upstreams u ON u.run_id = c1"
    " CROSS JOIN schedule_slots s ON s.slot = u.slot AND s.task_id = u.upstream_id AND s.run_id IS NOT NULL"
    " WHERE NOT EXISTS (SELECT 1 FROM task_runs r WHERE r.id = u.upstream_run_id AND r.slot IS NULL)) ";

SchedulerResult<std::unordered_map<RunId, UpstreamOutput>> read_upstreams(Connection& connection,
                                                                          const std::vector<RunId>& runs,
                                                                          std::size_t bytes_max) {
  static const auto kSizes = fmt::format(
      "{}SELECT b.run_id, sum(length(CAST(o.output AS BLOB))) FROM bound b CROSS JOIN run_outputs o ON o.run_id = b.id"
      " GROUP BY b.run_id",
      kBound);
  static const auto kRows = fmt::format(
      "{}SELECT {} FROM bound b CROSS JOIN tasks t ON t.id = b.upstream_id LEFT JOIN task_runs r ON r.id = b.id"
      " LEFT JOIN run_outputs o ON o.run_id = r.id"
      " ORDER BY b.run_id, t.name, b.position, r.slot, r.shard_index, r.id",
      kBound, kUpstreamColumns);
  const auto all = column_of(runs);
  TRY(const auto sizes, connection.query(kSizes, all).all([](Statement& row) {
    UpstreamSize it;
    row.read(it.run, it.bytes);
    return it;
  }));
  auto choice = choose_upstreams(runs, sizes, bytes_max);
  const auto chosen = column_of(choice.to_read);
  TRY(const auto rows, connection.query(kRows, chosen).all(read_upstream));
  return upstream_outputs_of(std::move(choice), rows);
}

// ---- whose time has come --------------------------------------------------------------------------------------------

SchedulerResult<std::size_t> join_all_in_time(Connection& connection, TimePoint now) {
  TRY(const auto tasks, connection
                            .query("UPDATE task_runs SET waits_for = 'limit' WHERE id IN (SELECT id FROM task_runs"
                                   " WHERE state = 'waiting' AND waits_for = 'time' AND due_at <= ?1 ORDER BY due_at"
                                   " LIMIT ?2) RETURNING task_id",
                                   now, application::kJoinMax)
                            .values<TaskId>());
  RunEndings endings(connection, now);
  for (const auto task : tasks) endings.revisit(task);
  CHECK(endings.settle());
  return tasks.size();
}

// ---- writes ---------------------------------------------------------------------------------------------------------
// They say OR FAIL because that halves their cost; the reason stands beside the trigger in the first migration.

// Of the incarnations in the batch, those that take nothing any more: a handful of workers, asked once each.
SchedulerResult<std::set<IncarnationId>> gone_of(Connection& connection, const std::vector<Dispatching>& batch) {
  std::set<IncarnationId> asked, gone;
  for (const auto& it : batch) {
    if (!asked.insert(it.incarnation).second) continue;
    TRY(const auto row,
        connection.query("SELECT 1 FROM workers WHERE incarnation = ? AND state <> 'alive'", it.incarnation)
            .value<int>());
    if (row) gone.insert(it.incarnation);
  }
  return gone;
}

SchedulerResult<std::vector<bool>> mark_all_dispatched(Connection& connection, const std::vector<Dispatching>& batch,
                                                       TimePoint now) {
  static const auto kSql = fmt::format(
      "UPDATE OR FAIL task_runs SET state = 'dispatched', token = token + 1, attempt = attempt + 1, worker = c3,"
      " incarnation = c4, dispatched_at = ?2, started_at = NULL, missing_since = NULL"
      " FROM rows(?1) WHERE id = c1 AND token = c2 AND {} RETURNING id, token",
      may_leave(Event::dispatch, Side::store));
  RowSet rows;
  TRY(const auto gone, gone_of(connection, batch));
  for (const auto& it : batch)
    if (!gone.contains(it.incarnation)) rows.add(it.run, it.token_seen, it.worker, it.incarnation);
  TRY(const auto marked, connection.query(kSql, rows, now).all([](Statement& row) {
    std::pair<RunId, Token> it;
    row.read(it.first, it.second);
    return it;
  }));
  std::set<std::pair<RunId, Token>> left(marked.begin(), marked.end());
  std::vector<bool> won;
  for (const auto& it : batch) won.push_back(left.erase({it.run, it.token_seen + 1}) == 1);
  return won;
}

// One batch of reports: the runs are read, each change is decided on what the changes before it have left, and each
// kind of change is written by one statement. A run is begun at most once here and ended, retried or handed back at
// most once.
class Reports {
 public:
  Reports(Connection& connection, TimePoint now) : connection_(connection), now_(now), endings_(connection, now) {}

  SchedulerResult<std::vector<Applied>> apply(const std::vector<RunChange>& batch) {
    CHECK(read(batch));
    std::vector<Applied> applied;
    for (const auto& change : batch)
      applied.push_back(std::visit([this](const auto& it) { return decide_one(it); }, change));
    CHECK(write());
    CHECK(endings_.settle());
    return applied;
  }

 private:
  struct Current {
    Token token = 0;
    RunState state = RunState::dispatched;
    TaskId task;
    int attempt = 0;
    std::optional<WorkerId> worker;
    std::optional<IncarnationId> incarnation;
    std::optional<TimePoint> dispatched_at, started_at;
    TimePoint due_at{};
    domain::Reason cancel_reason = domain::Reason::none;
  };

  Applied decide_one(const auto& change) {
    const bool won = decide(change);  // its guard held
    return {won, won ? runs_.at(change.run).due_at : TimePoint{}};
  }

  SchedulerResult<void> read(const std::vector<RunChange>& batch) {
    RowSet ids;
    for (const auto& change : batch) ids.add(std::visit([](const auto& it) { return it.run; }, change));
    auto rows = connection_.query(
        "SELECT r.id, r.token, r.state, r.task_id, r.attempt, r.worker, r.incarnation, r.dispatched_at, r.started_at,"
        " r.due_at, r.cancel_reason FROM rows(?1) CROSS JOIN task_runs r ON r.id = c1",
        ids);
    for (;;) {
      TRY(const bool found, rows.step());
      if (!found) return {};
      RunId run;
      Current it;
      rows.read(run, it.token, it.state, it.task, it.attempt, it.worker, it.incarnation, it.dispatched_at,
                it.started_at, it.due_at, it.cancel_reason);
      runs_.emplace(run, std::move(it));
    }
  }

  // The run as it is now, where the report is about its current attempt.
  Current* find(RunId run, Token token) {
    const auto found = runs_.find(run);
    return found != runs_.end() && found->second.token == token ? &found->second : nullptr;
  }

  bool decide(const Started& it) {
    auto* current = find(it.run, it.token);
    if (current == nullptr || !domain::may_leave(current->state, Event::start)) return false;
    started_.add(it.run, it.token, it.started_at);
    current->state = RunState::running;
    current->started_at = it.started_at;
    return true;
  }

  bool decide(const Returned& it) {
    auto* current = find(it.run, it.token);
    if (current == nullptr || !domain::may_leave(current->state, Event::hand_back)) return false;
    if (current->cancel_reason != domain::Reason::none) {
      end(it.run, *current, cancelled(current->cancel_reason), now_, false, false);
      return true;
    }
    returned_.add(it.run, it.token);
    current->state = RunState::pending;
    current->token += 1;
    return true;
  }

  bool decide(const Ended& it) {
    auto* current = find(it.run, it.token);
    if (current == nullptr) return false;
    const auto step = next_step(it, current->cancel_reason);
    const auto allowed = transition(current->state, step.event);
    if (!allowed || side_of(*allowed) != Side::attempt) return false;
    const bool revoke = it.revoke || allowed->guard == domain::Guard::token_seen;
    const bool lost = it.attempt_state == domain::AttemptState::lost;
    if (it.started_at) current->started_at = it.started_at;
    add_attempt(it, *current);
    if (step.retry_at) {
      retried_.add(it.run, it.token, revoke, lost, current->started_at, *step.retry_at);
      current->state = RunState::pending;
      current->token += revoke ? 1 : 0;
      return true;
    }
    end(it.run, *current, end_of(it, allowed->to, current->cancel_reason), it.ended_at, revoke, lost);
    if (current->state == RunState::succeeded && it.outcome.output)
      outputs_.add(it.run, std::string_view{*it.outcome.output});
    return true;
  }

  void add_attempt(const Ended& it, const Current& current) {
    const auto& outcome = it.outcome;
    attempts_.add(it.run, current.attempt, it.token, it.attempt_state, current.worker, current.incarnation,
                  current.dispatched_at, current.started_at, it.ended_at, outcome.reason,
                  std::string_view{outcome.message}, outcome.exit_code, outcome.http_status, it.log_lines);
  }

  void end(RunId run, Current& current, RunEnd how, TimePoint ended_at, bool revoke, bool lost) {
    const auto& kept = ends_.emplace_back(std::move(how));
    ended_.add(run, current.token, kept.state, revoke, lost, current.started_at, ended_at, kept.reason,
               std::string_view{kept.message}, kept.exit_code, kept.http_status);
    current.state = kept.state;
    endings_.note(run, current.task, kept.state);
  }

  SchedulerResult<void> write() {
    static const auto kStart = fmt::format(
        "UPDATE OR FAIL task_runs SET state = 'running', started_at = c3 FROM rows(?1) WHERE id = c1 AND token = c2"
        " AND {}",
        may_leave(Event::start, Side::attempt));
    static const auto kHandBack = fmt::format(
        "UPDATE OR FAIL task_runs SET state = 'pending', token = token + 1, attempt = attempt - 1, worker = NULL,"
        " incarnation = NULL, dispatched_at = NULL, started_at = NULL, due_at = ?2, missing_since = NULL"
        " FROM rows(?1) WHERE id = c1 AND token = c2 AND {}",
        may_leave(Event::hand_back, Side::attempt));
    static const auto kRetry = fmt::format(
        "UPDATE OR FAIL task_runs SET state = 'pending', token = token + c3, lost_attempts = lost_attempts + c4,"
        " started_at = c5, due_at = c6, missing_since = NULL FROM rows(?1) WHERE id = c1 AND token = c2 AND {}",
        may_leave(Event::retry, Side::attempt));
    static const auto kEnd = fmt::format(
        "UPDATE OR FAIL task_runs SET state = c3, token = token + c4, lost_attempts = lost_attempts + c5,"
        " started_at = c6, ended_at = c7, reason = c8, message = c9, exit_code = c10, http_status = c11,"
        " missing_since = NULL FROM rows(?1) WHERE id = c1 AND token = c2 AND {}",
        may_leave(Event::succeed, Side::attempt));
    CHECK(write(kStart, started_));
    CHECK(
        write("INSERT INTO task_attempts (run_id, number, token, state, worker, incarnation, dispatched_at, started_at,"
              " ended_at, reason, message, exit_code, http_status, log_lines)"
              " SELECT c1, c2, c3, c4, c5, c6, c7, c8, c9, c10, c11, c12, c13, c14 FROM rows(?1)",
              attempts_));
    CHECK(write("INSERT INTO run_outputs (run_id, output) SELECT c1, c2 FROM rows(?1)", outputs_));
    CHECK(write(kHandBack, returned_, now_));
    CHECK(write(kRetry, retried_));
    return write(kEnd, ended_);
  }

  template <class... Values>
  SchedulerResult<void> write(std::string_view sql, const RowSet& rows, const Values&... values) {
    if (rows.empty()) return {};
    TRY([[maybe_unused]] const auto changed, connection_.execute(sql, rows, values...));
    assert(changed == static_cast<std::int64_t>(rows.size()) && "the runs were read in this transaction");
    return {};
  }

  Connection& connection_;
  TimePoint now_;
  RunEndings endings_;
  std::unordered_map<RunId, Current> runs_;
  std::deque<RunEnd> ends_;  // `ended_` looks at their texts
  RowSet started_, attempts_, returned_, retried_, ended_, outputs_;
};

SchedulerResult<void> mark_all_missing(Connection& connection, const std::vector<RunId>& missing,
                                       const std::vector<RunId>& found, TimePoint now) {
  CHECK(
      connection.execute("UPDATE OR FAIL task_runs SET missing_since = ?2 FROM rows(?1) WHERE id = c1"
                         " AND missing_since IS NULL AND state IN ('dispatched', 'running')",
                         column_of(missing), now));
  CHECK(
      connection.execute("UPDATE OR FAIL task_runs SET missing_since = NULL FROM rows(?1) WHERE id = c1"
                         " AND missing_since IS NOT NULL",
                         column_of(found)));
  return {};
}

// ---- what was decided on --------------------------------------------------------------------------------------------

constexpr std::string_view kLostWorkers =
    "CASE WHEN r.lost_attempts > 0 THEN (SELECT group_concat(worker, ', ') FROM (SELECT worker FROM task_attempts"
    " WHERE run_id = r.id AND state = 'lost' ORDER BY number)) END";

SchedulerResult<RunContexts> run_contexts(Connection& connection, const std::vector<RunId>& runs, TimePoint now) {
  static const auto kSql = fmt::format(
      "SELECT {}, {}, {} FROM rows(?1) CROSS JOIN task_runs r ON r.id = c1 CROSS JOIN tasks t ON t.id = r.task_id",
      kPolicyColumns, kLostWorkers, kRunColumns);
  TRY(auto rows, connection.query(kSql, column_of(runs)).all(read_run_context));
  RunContexts contexts{.now = now};
  contexts.runs.reserve(rows.size());
  for (auto& it : rows) {
    const auto id = it.run.id;
    contexts.runs.emplace(id, std::move(it));
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
      "SELECT {}, {}, {}{}WHERE r.state IN ('dispatched', 'running') AND (r.missing_since <= ?1 OR r.incarnation NOT IN"
      " (SELECT incarnation FROM workers WHERE state IN ('alive', 'draining'))) ORDER BY r.id LIMIT ?2",
      kPolicyColumns, kLostWorkers, kRunColumns, kHeldRunTables);
  TRY(view.orphaned, connection.query(kOrphaned, now - application::kMissingGrace, limit).all(read_run_context));
  static const auto kOverdue = fmt::format(
      "SELECT {}, {}, {}{}WHERE r.state = 'running' AND r.state IN ('dispatched', 'running')"
      " AND r.started_at + t.timeout_seconds * 1000000 <= ?1 ORDER BY r.id LIMIT ?2",
      kPolicyColumns, kLostWorkers, kRunColumns, kHeldRunTables);
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

Async<std::vector<DueRun>> SqliteDispatchRepository::due(std::vector<std::string> routes, std::size_t limit,
                                                         Seconds ageing) {
  return database_.read([this, routes = std::move(routes), limit, ageing](Connection& connection) {
    return due_runs(connection, routes, limit, clock_.now(), ageing);
  });
}

Async<std::unordered_map<RunId, UpstreamOutput>> SqliteDispatchRepository::upstream_outputs(std::vector<RunId> runs,
                                                                                            std::size_t bytes_max) {
  return database_.read([runs = std::move(runs), bytes_max](Connection& connection) {
    return read_upstreams(connection, runs, bytes_max);
  });
}

Async<std::size_t> SqliteDispatchRepository::join_line() {
  return database_.write([this](Connection& connection) { return join_all_in_time(connection, clock_.now()); });
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

Async<std::vector<Applied>> SqliteDispatchRepository::apply(std::vector<RunChange> batch) {
  return database_.write(
      [this, batch = std::move(batch)](Connection& connection) {
        return Reports(connection, clock_.now()).apply(batch);
      },
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
