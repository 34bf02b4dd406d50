#include "infrastructure/postgres/postgres_dispatch_repository.hpp"

#include "domain/urgency.hpp"
#include "infrastructure/postgres/rows.hpp"
#include "infrastructure/postgres/run_endings.hpp"
#include "infrastructure/store/guards.hpp"
#include "infrastructure/store/report_rules.hpp"
#include "infrastructure/store/upstream_json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <set>

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
using database::postgres::Access;
using domain::Event;
using domain::RunState;
using postgres::instant_of;
using postgres::kRunTables;
using postgres::lock_tasks_of;
using postgres::Row;
using postgres::Rows;
using postgres::RunEndings;
using postgres::Transaction;

// ---- view: what is due, for whom ------------------------------------------------------------------------------------

constexpr auto kHeldCounts =
    "SELECT incarnation, count(*) FROM task_runs WHERE state IN ('dispatched', 'running') GROUP BY incarnation";

// Every (route, priority) that has a pending run and the first instant at which one is due, by jumping from one to the
// next in the index: as many seeks as there are pairs, however many runs each holds. Each seek says ORDER BY and LIMIT
// 1: asked whether there is such a row, the server would rather read them all.
constexpr auto kBands =
    "WITH RECURSIVE band (route, priority, due_at) AS ("
    " (SELECT route, priority, due_at FROM task_runs WHERE state = 'pending' ORDER BY route, priority, due_at LIMIT 1)"
    " UNION ALL SELECT n.route, n.priority, n.due_at FROM band b CROSS JOIN LATERAL"
    " (SELECT r.route, r.priority, r.due_at FROM task_runs r"
    " WHERE r.state = 'pending' AND (r.route, r.priority) > (b.route, b.priority)"
    " ORDER BY r.route, r.priority, r.due_at LIMIT 1) n)"
    " SELECT b.route, b.due_at <= " SCHEDULER_NOW ", CASE WHEN b.due_at > " SCHEDULER_NOW
    " THEN b.due_at ELSE (SELECT r.due_at FROM task_runs r WHERE r.state = 'pending' AND r.route = b.route"
    " AND r.priority = b.priority AND r.due_at > " SCHEDULER_NOW
    " ORDER BY r.due_at LIMIT 1) END FROM band b ORDER BY b.route, b.priority";

struct Band {
  std::string route;
  bool due = false;
  std::optional<TimePoint> next_due;
};

SchedulerResult<void> add_bands(Rows& rows, DispatchView& view) {
  TRY(const auto bands, rows.all([](Row& row) {
    Band it;
    row.read(it.route, it.due, it.next_due);
    return it;
  }));
  for (const auto& it : bands) {
    if (it.due && (view.routes.empty() || view.routes.back() != it.route)) view.routes.push_back(it.route);
    if (it.next_due && (!view.next_due || *it.next_due < *view.next_due)) view.next_due = it.next_due;
  }
  return {};
}

SchedulerResult<void> add_workers(Rows& workers, Rows& held, DispatchView& view) {
  std::unordered_map<IncarnationId, int> in_flight;
  TRY(const auto counts, held.all([&](Row& row) {
    IncarnationId incarnation;
    int count = 0;
    row.read(incarnation, count);
    return in_flight[incarnation] = count;
  }));
  TRY(view.workers, workers.all([&](Row& row) {
    domain::WorkerLoad it{read_worker(row)};
    it.in_flight = in_flight[it.worker.incarnation];
    return it;
  }));
  return {};
}

// Runs that wait for nothing but their time.
constexpr auto kFirstInTime =
    "SELECT due_at FROM task_runs WHERE state = 'waiting' AND waits_for = 'time' ORDER BY due_at LIMIT 1";

SchedulerResult<void> add_timely(Rows& rows, DispatchView& view) {
  TRY(const auto due_at, rows.value<TimePoint>());
  if (!due_at) return {};
  view.has_timely = *due_at <= view.now;
  if (!view.has_timely && (!view.next_due || *due_at < *view.next_due)) view.next_due = due_at;
  return {};
}

// ---- due: the most urgent runs --------------------------------------------------------------------------------------

// The heads of the bands, merged by urgency (domain/urgency.hpp; $4 is what a level of priority is worth). The index
// alone answers for each route and priority; rows are read of those alone that are returned.
constexpr auto kDue =
    "WITH urgent AS (SELECT k.id, k.due_at - p.priority * $4 * interval '1 second' AS urgency"
    " FROM unnest($2::text[]) AS wanted (route)"
    " CROSS JOIN generate_series(0, 9) AS p (priority) CROSS JOIN LATERAL (SELECT r.id, r.due_at"
    " FROM task_runs r WHERE r.state = 'pending' AND r.route = wanted.route AND r.priority = p.priority"
    " AND r.due_at <= " SCHEDULER_NOW
    " ORDER BY r.due_at, r.id LIMIT $3) k ORDER BY urgency, k.id LIMIT $3)"
    " SELECT r.id, r.token, r.route, r.task_id, t.name, t.task_type, coalesce(r.parameters, t.parameters), r.attempt,"
    " t.timeout_seconds, r.slot, r.shard_index, r.shard_total,"
    " EXISTS (SELECT 1 FROM run_upstreams d WHERE d.run_id = r.id)"
    " FROM urgent u JOIN task_runs r ON r.id = u.id JOIN tasks t ON t.id = r.task_id"
    " ORDER BY u.urgency, u.id";

DueRun read_due(Row& row) {
  DueRun due;
  auto& it = due.execution;
  row.read(it.run, due.candidate.token, due.candidate.route, it.task, it.task_name, it.task_type, it.parameters,
           it.attempt, it.timeout, it.slot, it.shard_index, it.shard_total, due.has_upstreams);
  due.candidate.run = it.run;
  it.attempt += 1;
  it.token = due.candidate.token + 1;
  return due;
}

// ---- what upstream runs left
// ------------------------------------------------------------------------------------------

// The runs that these runs waited for: the one that was bound, and all shards of a fire time.
constexpr std::string_view kBound =
    "WITH bound (run_id, position, upstream_id, id) AS ("
    " SELECT u.run_id, u.position, u.upstream_id, u.upstream_run_id FROM run_upstreams u WHERE u.run_id = ANY ($1)"
    " UNION SELECT u.run_id, u.position, u.upstream_id, s.run_id FROM run_upstreams u JOIN schedule_slots s"
    " ON s.slot = u.slot AND s.task_id = u.upstream_id AND s.run_id IS NOT NULL WHERE u.run_id = ANY ($1)"
    " AND NOT EXISTS (SELECT 1 FROM task_runs r WHERE r.id = u.upstream_run_id AND r.slot IS NULL)) ";

// ---- apply ----------------------------------------------------------------------------------------------------------

// What runs that ended well left, of one transaction.
class Outputs {
 public:
  // Where the run has ended in `state` by this report.
  void add(const Ended& it, RunState state) {
    if (state != RunState::succeeded || !it.outcome.output) return;
    runs_.push_back(it.run);
    outputs_.push_back(*it.outcome.output);
  }
  void send(Transaction& tx) const {
    if (runs_.empty()) return;
    tx.send("INSERT INTO run_outputs (run_id, output) SELECT * FROM unnest($1::bigint[], $2::text[])", runs_, outputs_);
  }

 private:
  std::vector<RunId> runs_;
  std::vector<std::string_view> outputs_;
};

// The runs of one batch of reports: read and locked together, changed here one report after another, written together.
class Reports {
 public:
  explicit Reports(TimePoint now) : now_(now) {}

  static constexpr auto kLock =
      "SELECT id, state, task_id, attempt, lost_attempts, token, worker, incarnation, dispatched_at, started_at, "
      "due_at,"
      " missing_since, cancel_reason FROM task_runs WHERE id = ANY ($1) AND (ended_at IS NULL) IS TRUE ORDER BY id"
      " FOR NO KEY UPDATE";

  SchedulerResult<void> load(Rows& rows) {
    TRY(const auto read, rows.all([this](Row& row) {
      Current it;
      row.read(it.run, it.state, it.task, it.attempt, it.lost_attempts, it.token, it.worker, it.incarnation,
               it.dispatched_at, it.started_at, it.due_at, it.missing_since, it.cancel_reason);
      return runs_.emplace(it.run, it).second;
    }));
    return {};
  }

  // Not won: the guard did not hold, nothing was changed.
  Applied apply(const RunChange& change) {
    return std::visit(
        [this](const auto& it) -> Applied {
          const auto found = runs_.find(it.run);
          const auto due_at = found == runs_.end() ? TimePoint{} : found->second.due_at;
          return {apply(it), due_at};
        },
        change);
  }

  // Queues what was changed.
  void send(Transaction& tx) const {
    send_runs(tx);
    send_attempts(tx);
    outputs_.send(tx);
  }

  void note_ends(RunEndings& endings) const {
    for (const auto id : ended_) endings.note(id, runs_.at(id).task, runs_.at(id).state);
  }
  [[nodiscard]] bool any_end() const { return !ended_.empty(); }

 private:
  struct Current {
    RunId run;
    RunState state = RunState::dispatched;
    TaskId task;
    int attempt = 0, lost_attempts = 0;
    Token token = 0;
    std::optional<WorkerId> worker;
    std::optional<IncarnationId> incarnation;
    std::optional<TimePoint> dispatched_at, started_at, ended_at;
    TimePoint due_at{};
    std::optional<TimePoint> missing_since;
    domain::Reason cancel_reason = domain::Reason::none;
    RunEnd end;
    bool changed = false;
  };
  struct Attempt {
    const Ended* report;
    int number;
    Token token;
    WorkerId worker;
    IncarnationId incarnation;
    std::optional<TimePoint> dispatched_at, started_at;
  };

  Current* find(RunId run, Token token) {
    const auto found = runs_.find(run);
    return found != runs_.end() && found->second.token == token ? &found->second : nullptr;
  }

  bool apply(const Started& it) {
    auto* run = find(it.run, it.token);
    if (!run || !domain::may_leave(run->state, Event::start)) return false;
    run->state = RunState::running;
    run->started_at = it.started_at;
    return run->changed = true;
  }

  bool apply(const Returned& it) {
    auto* run = find(it.run, it.token);
    if (!run || !domain::may_leave(run->state, Event::hand_back)) return false;
    if (run->cancel_reason != domain::Reason::none) {
      end(*run, cancelled(run->cancel_reason), now_);
      run->started_at.reset();
      return true;
    }
    run->state = RunState::pending;
    run->token += 1;
    run->attempt -= 1;
    run->worker.reset();
    run->incarnation.reset();
    run->dispatched_at.reset();
    run->started_at.reset();
    run->missing_since.reset();
    run->due_at = now_;
    return run->changed = true;
  }

  bool apply(const Ended& it) {
    auto* run = find(it.run, it.token);
    if (!run) return false;
    const auto step = next_step(it, run->cancel_reason);
    const auto allowed = transition(run->state, step.event);
    if (!allowed || side_of(*allowed) != Side::attempt) return false;
    if (it.started_at) run->started_at = it.started_at;
    attempts_.push_back({&it, run->attempt, run->token, run->worker.value_or(WorkerId{}),
                         run->incarnation.value_or(IncarnationId{}), run->dispatched_at, run->started_at});
    run->token += it.revoke || allowed->guard == domain::Guard::token_seen;
    run->lost_attempts += it.attempt_state == domain::AttemptState::lost;
    if (!step.retry_at) {
      end(*run, end_of(it, allowed->to, run->cancel_reason), it.ended_at);
      outputs_.add(it, run->state);
      return true;
    }
    run->state = RunState::pending;
    run->due_at = *step.retry_at;
    run->missing_since.reset();
    return run->changed = true;
  }

  void end(Current& run, RunEnd how, TimePoint ended_at) {
    run.state = how.state;
    run.end = std::move(how);
    run.ended_at = ended_at;
    run.missing_since.reset();
    run.changed = true;
    ended_.push_back(run.run);
  }

  void send_runs(Transaction& tx) const {
    std::vector<RunId> id;
    std::vector<RunState> state;
    std::vector<Token> token;
    std::vector<int> attempt, lost_attempts;
    std::vector<std::optional<WorkerId>> worker;
    std::vector<std::optional<IncarnationId>> incarnation;
    std::vector<std::optional<TimePoint>> dispatched_at, started_at, ended_at, missing_since;
    std::vector<TimePoint> due_at;
    std::vector<domain::Reason> reason;
    std::vector<std::string_view> message;
    std::vector<std::optional<int>> exit_code, http_status;
    for (const auto& [run, it] : runs_) {
      if (!it.changed) continue;
      id.push_back(run);
      state.push_back(it.state);
      token.push_back(it.token);
      attempt.push_back(it.attempt);
      lost_attempts.push_back(it.lost_attempts);
      worker.push_back(it.worker);
      incarnation.push_back(it.incarnation);
      dispatched_at.push_back(it.dispatched_at);
      started_at.push_back(it.started_at);
      ended_at.push_back(it.ended_at);
      missing_since.push_back(it.missing_since);
      due_at.push_back(it.due_at);
      reason.push_back(it.end.reason);
      message.push_back(it.end.message);
      exit_code.push_back(it.end.exit_code);
      http_status.push_back(it.end.http_status);
    }
    if (id.empty()) return;
    tx.send(
        "UPDATE task_runs r SET state = n.state, token = n.token, attempt = n.attempt, lost_attempts = n.lost_attempts,"
        " worker = n.worker, incarnation = n.incarnation, dispatched_at = n.dispatched_at, started_at = n.started_at,"
        " ended_at = n.ended_at, missing_since = n.missing_since, due_at = n.due_at, reason = n.reason,"
        " message = n.message, exit_code = n.exit_code, http_status = n.http_status"
        " FROM unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::text[], $7::bigint[],"
        " $8::timestamptz[], $9::timestamptz[], $10::timestamptz[], $11::timestamptz[], $12::timestamptz[],"
        " $13::text[], $14::text[], $15::bigint[], $16::bigint[]) AS n (id, state, token, attempt, lost_attempts,"
        " worker, incarnation, dispatched_at, started_at, ended_at, missing_since, due_at, reason, message, exit_code,"
        " http_status) WHERE r.id = n.id",
        id, state, token, attempt, lost_attempts, worker, incarnation, dispatched_at, started_at, ended_at,
        missing_since, due_at, reason, message, exit_code, http_status);
  }

  void send_attempts(Transaction& tx) const {
    std::vector<RunId> run;
    std::vector<int> number;
    std::vector<Token> token;
    std::vector<domain::AttemptState> state;
    std::vector<WorkerId> worker;
    std::vector<IncarnationId> incarnation;
    std::vector<std::optional<TimePoint>> dispatched_at, started_at;
    std::vector<TimePoint> ended_at;
    std::vector<domain::Reason> reason;
    std::vector<std::string_view> message;
    std::vector<std::optional<int>> exit_code, http_status;
    std::vector<std::int64_t> log_lines;
    for (const auto& it : attempts_) {
      const auto& outcome = it.report->outcome;
      run.push_back(it.report->run);
      number.push_back(it.number);
      token.push_back(it.token);
      state.push_back(it.report->attempt_state);
      worker.push_back(it.worker);
      incarnation.push_back(it.incarnation);
      dispatched_at.push_back(it.dispatched_at);
      started_at.push_back(it.started_at);
      ended_at.push_back(it.report->ended_at);
      reason.push_back(outcome.reason);
      message.push_back(outcome.message);
      exit_code.push_back(outcome.exit_code);
      http_status.push_back(outcome.http_status);
      log_lines.push_back(it.report->log_lines);
    }
    if (run.empty()) return;
    tx.send(
        "INSERT INTO task_attempts (run_id, number, token, state, worker, incarnation, dispatched_at, started_at,"
        " ended_at, reason, message, exit_code, http_status, log_lines)"
        " SELECT * FROM unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::bigint[],"
        " $7::timestamptz[], $8::timestamptz[], $9::timestamptz[], $10::text[], $11::text[], $12::bigint[],"
        " $13::bigint[], $14::bigint[])",
        run, number, token, state, worker, incarnation, dispatched_at, started_at, ended_at, reason, message, exit_code,
        http_status, log_lines);
  }

  TimePoint now_;
  std::map<RunId, Current> runs_;  // by id, so that they are written in the order in which they were locked
  std::vector<Attempt> attempts_;
  Outputs outputs_;
  std::vector<RunId> ended_;
};

// Reports whose effect depends on nothing that has to be read first: that an attempt began, or how it ended its run.
// They are written by one statement, guarded like all; where a run is marked for cancel, it is left to Reports.
class PlainReports {
 public:
  // False: it is for Reports.
  bool add(std::size_t place, const RunChange& change) {
    if (const auto* it = std::get_if<Started>(&change)) {
      rows_.emplace(it->run, Plain{place, it->token, RunState::running, it->started_at, nullptr});
      return true;
    }
    const auto* it = std::get_if<Ended>(&change);
    if (!it || it->revoke) return false;
    const auto step = next_step(*it, domain::Reason::none);
    const auto to = transition(RunState::dispatched, step.event),
               from_running = transition(RunState::running, step.event);
    if (step.retry_at || !to || to->guard != domain::Guard::token || !from_running || from_running->to != to->to ||
        (to->to == RunState::cancelled && it->attempt_state != domain::AttemptState::cancelled))
      return false;
    rows_.emplace(it->run, Plain{place, it->token, to->to, it->started_at, it});
    return true;
  }
  [[nodiscard]] bool empty() const { return rows_.empty(); }
  [[nodiscard]] std::vector<RunId> ending() const {
    std::vector<RunId> runs;
    for (const auto& [run, it] : rows_)
      if (it.end) runs.push_back(run);
    return runs;
  }

  // Queues the statement; its Rows are for note_won().
  void send(Transaction& tx) const {
    // In the order of the ids. The guard is a CASE for the same reason as in mark_dispatched.
    static const auto kSql = fmt::format(
        "WITH told AS (UPDATE task_runs r SET state = n.state, started_at = coalesce(n.started_at, r.started_at),"
        " ended_at = n.ended_at, missing_since = CASE WHEN n.ended_at IS NULL THEN r.missing_since END,"
        " reason = n.reason, message = n.message, exit_code = n.exit_code, http_status = n.http_status"
        " FROM (SELECT unnest($1::bigint[]) AS id, unnest($2::bigint[]) AS token, unnest($3::text[]) AS state,"
        " unnest($4::timestamptz[]) AS started_at, unnest($5::timestamptz[]) AS ended_at, unnest($6::text[]) AS reason,"
        " unnest($7::text[]) AS message, unnest($8::bigint[]) AS exit_code, unnest($9::bigint[]) AS http_status,"
        " unnest($10::text[]) AS attempt_state, unnest($11::bigint[]) AS log_lines) n WHERE r.id = n.id"
        " AND CASE WHEN r.token <> n.token OR r.cancel_reason <> 'none' THEN false"
        " WHEN n.ended_at IS NULL THEN r.{} ELSE r.{} END RETURNING r.*, n.attempt_state, n.log_lines),"
        " kept AS (INSERT INTO task_attempts (run_id, number, token, state, worker, incarnation, dispatched_at, "
        "started_at,"
        " ended_at, reason, message, exit_code, http_status, log_lines) SELECT id, attempt, token, attempt_state,"
        " coalesce(worker, ''), coalesce(incarnation, 0), dispatched_at, started_at, ended_at, reason, message, "
        "exit_code,"
        " http_status, log_lines FROM told WHERE ended_at IS NOT NULL) SELECT id, task_id, due_at FROM told",
        may_leave(Event::start, Side::attempt), may_leave(Event::succeed, Side::attempt));
    std::vector<RunId> id;
    std::vector<Token> token;
    std::vector<RunState> state;
    std::vector<std::optional<TimePoint>> started_at, ended_at;
    std::vector<domain::Reason> reason;
    std::vector<std::string_view> message;
    std::vector<std::optional<int>> exit_code, http_status;
    std::vector<std::optional<domain::AttemptState>> attempt_state;
    std::vector<std::int64_t> log_lines;
    for (const auto& [run, it] : rows_) {
      static const domain::Outcome kNone;
      const auto& outcome = it.end ? it.end->outcome : kNone;
      id.push_back(run);
      token.push_back(it.token);
      state.push_back(it.to);
      started_at.push_back(it.started_at);
      ended_at.push_back(it.end ? std::optional(it.end->ended_at) : std::nullopt);
      reason.push_back(outcome.reason);
      message.push_back(outcome.message);
      exit_code.push_back(outcome.exit_code);
      http_status.push_back(outcome.http_status);
      attempt_state.push_back(it.end ? std::optional(it.end->attempt_state) : std::nullopt);
      log_lines.push_back(it.end ? it.end->log_lines : 0);
    }
    tx.send(kSql, id, token, state, started_at, ended_at, reason, message, exit_code, http_status, attempt_state,
            log_lines);
  }

  SchedulerResult<void> note_won(Rows& rows, std::vector<Applied>& applied, Outputs& outputs,
                                 RunEndings& endings) const {
    TRY(const auto read, rows.all([&](Row& row) {
      RunId run;
      TaskId task;
      TimePoint due_at;
      row.read(run, task, due_at);
      const auto& it = rows_.at(run);
      applied[it.place] = {true, due_at};
      if (it.end) outputs.add(*it.end, it.to);
      if (it.end) endings.note(run, task, it.to);
      return run;
    }));
    return {};
  }

 private:
  struct Plain {
    std::size_t place;  // in the batch
    Token token;
    RunState to;
    std::optional<TimePoint> started_at;
    const Ended* end;  // null: it began
  };
  std::map<RunId, Plain> rows_;
};

RunId run_of(const RunChange& change) {
  return std::visit([](const auto& it) { return it.run; }, change);
}

std::vector<RunId> runs_of(const std::vector<RunChange>& batch) {
  std::set<RunId> runs;
  for (const auto& change : batch) runs.insert(run_of(change));
  return {runs.begin(), runs.end()};
}

// Those that the batch may end.
std::vector<RunId> ending_runs_of(const std::vector<RunChange>& batch) {
  std::vector<RunId> runs;
  for (const auto& change : batch) {
    if (const auto* it = std::get_if<Ended>(&change)) runs.push_back(it->run);
    if (const auto* it = std::get_if<Returned>(&change)) runs.push_back(it->run);
  }
  return runs;
}

Async<void> apply_plain(Transaction tx, std::optional<TimePoint> own_now, const PlainReports& reports,
                        std::vector<Applied>& applied) {
  tx.send(kSelectNow, own_now);
  lock_tasks_of(tx, reports.ending());
  reports.send(tx);
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results[0]));
  RunEndings endings(tx, now);
  Outputs outputs;
  CO_ENSURE(reports.note_won(results[2], applied, outputs, endings));
  outputs.send(tx);
  const bool something_follows = results[1].size() > 0;
  if (something_follows) CO_CHECK(endings.settle());
  co_return co_await tx.commit();
}

// Reads, decides and writes, one report after the other.
Async<std::vector<Applied>> apply_each(Transaction tx, std::optional<TimePoint> own_now, std::vector<RunChange> batch) {
  tx.send(kSelectNow, own_now);
  lock_tasks_of(tx, ending_runs_of(batch));
  tx.send(Reports::kLock, runs_of(batch));
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results[0]));
  const bool something_follows = results[1].size() > 0;
  Reports reports(now);
  CO_ENSURE(reports.load(results[2]));
  std::vector<Applied> applied;
  for (const auto& change : batch) applied.push_back(reports.apply(change));
  reports.send(tx);
  if (something_follows && reports.any_end()) {
    RunEndings endings(tx, now);
    reports.note_ends(endings);
    CO_CHECK(endings.settle());
  }
  CO_CHECK(tx.commit());
  co_return applied;
}

constexpr std::string_view kLostWorkers =
    "CASE WHEN r.lost_attempts > 0 THEN (SELECT string_agg(worker, ', ' ORDER BY number) FROM task_attempts"
    " WHERE run_id = r.id AND state = 'lost') END";

}  // namespace

Async<DispatchView> PostgresDispatchRepository::view() {
  CO_TRY(auto tx, database_.begin(Access::read));
  static const auto kWorkers =
      fmt::format("SELECT {} FROM workers WHERE state = 'alive' ORDER BY worker_id", kWorkerColumns);
  tx.send(kSelectNow, clock_.own());
  tx.send(kWorkers);
  tx.send(kHeldCounts);
  tx.send(kBands, clock_.own());
  tx.send(kFirstInTime);
  CO_TRY(auto results, tx.finish());
  DispatchView view;
  CO_UNWRAP(view.now, instant_of(results[0]));
  CO_ENSURE(add_workers(results[1], results[2], view));
  CO_ENSURE(add_bands(results[3], view));
  CO_ENSURE(add_timely(results[4], view));
  co_return view;
}

Async<std::vector<DueRun>> PostgresDispatchRepository::due(std::vector<std::string> routes, std::size_t limit,
                                                           Seconds ageing) {
  std::ranges::sort(routes);
  routes.erase(std::ranges::unique(routes).begin(), routes.end());
  CO_TRY(auto rows, database_.query(kDue, clock_.own(), std::move(routes), limit, domain::worth_of_a_level(ageing)));
  co_return rows.all(read_due);
}

Async<std::unordered_map<RunId, UpstreamOutput>> PostgresDispatchRepository::upstream_outputs(std::vector<RunId> runs,
                                                                                              std::size_t bytes_max) {
  static const auto kSizes = fmt::format(
      "{}SELECT b.run_id, sum(octet_length(o.output))::bigint FROM bound b JOIN run_outputs o ON o.run_id = b.id"
      " GROUP BY b.run_id",
      kBound);
  static const auto kRows = fmt::format(
      "{}SELECT {} FROM bound b JOIN tasks t ON t.id = b.upstream_id LEFT JOIN task_runs r ON r.id = b.id"
      " LEFT JOIN run_outputs o ON o.run_id = r.id"
      " ORDER BY b.run_id, t.name, b.position, r.slot, r.shard_index, r.id",
      kBound, kUpstreamColumns);
  CO_TRY(auto sized, database_.query(kSizes, runs));
  CO_UNWRAP(const auto sizes, sized.all([](Row& row) {
    UpstreamSize it;
    row.read(it.run, it.bytes);
    return it;
  }));
  auto choice = choose_upstreams(runs, sizes, bytes_max);
  CO_TRY(auto found, database_.query(kRows, choice.to_read));
  CO_UNWRAP(const auto rows, found.all(read_upstream));
  co_return upstream_outputs_of(std::move(choice), rows);
}

// The tasks are locked before their runs, and found without a lock: who joined meanwhile is no longer in time.
Async<std::size_t> PostgresDispatchRepository::join_line() {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send(kSelectNow, clock_.own());
  tx.send("SELECT id FROM task_runs WHERE state = 'waiting' AND waits_for = 'time' AND due_at <= " SCHEDULER_NOW
          " ORDER BY due_at LIMIT $2",
          clock_.own(), application::kJoinMax);
  CO_TRY(auto found, tx.flush());
  CO_UNWRAP(const auto now, instant_of(found[0]));
  CO_UNWRAP(const auto runs, found[1].values<RunId>());
  lock_tasks_of(tx, runs);
  CO_TRY(auto joined, tx.query("UPDATE task_runs SET waits_for = 'limit' WHERE id = ANY ($1) AND state = 'waiting'"
                               " AND waits_for = 'time' RETURNING task_id",
                               runs));
  CO_UNWRAP(const auto tasks, joined.values<TaskId>());
  RunEndings endings(tx, now);
  for (const auto task : std::set(tasks.begin(), tasks.end())) endings.revisit(task);
  CO_CHECK(endings.settle());
  CO_CHECK(tx.commit());
  co_return tasks.size();
}

// Rows are updated in the order of their ids, which is that of the arrays. The guard stands in a CASE because it says
// what a row must still be, not how to find it: the server is not to look through all that is pending.
Async<std::vector<bool>> PostgresDispatchRepository::mark_dispatched(std::vector<Dispatching> batch) {
  static const auto kSql = fmt::format(
      "UPDATE task_runs r SET state = 'dispatched', token = r.token + 1, attempt = r.attempt + 1, worker = n.worker,"
      " incarnation = n.incarnation, dispatched_at = " SCHEDULER_NOW
      ", started_at = NULL, missing_since = NULL FROM (SELECT unnest($2::bigint[]) AS id, unnest($3::bigint[]) AS "
      "token,"
      " unnest($4::text[]) AS worker, unnest($5::bigint[]) AS incarnation) n"
      " WHERE r.id = n.id AND CASE WHEN r.token = n.token THEN r.{} ELSE false END"
      // Looked up once for the statement: the few workers in it that take nothing any more, mostly none.
      " AND n.incarnation <> ALL (ARRAY(SELECT incarnation FROM workers WHERE incarnation = ANY ($6)"
      " AND state <> 'alive')) RETURNING r.id, r.token - 1",
      may_leave(Event::dispatch, Side::store));
  std::map<std::pair<RunId, Token>, std::size_t> wanted;  // each once: the first one of the batch
  std::vector<RunId> runs;
  std::vector<Token> tokens;
  std::vector<WorkerId> workers;
  std::vector<IncarnationId> incarnations;
  std::set<IncarnationId> lives;
  for (std::size_t i = 0; i < batch.size(); ++i) wanted.emplace(std::pair(batch[i].run, batch[i].token_seen), i);
  for (const auto& [key, i] : wanted) {
    const auto& it = batch[i];
    runs.push_back(it.run);
    tokens.push_back(it.token_seen);
    workers.push_back(it.worker);
    incarnations.push_back(it.incarnation);
    lives.insert(it.incarnation);
  }
  CO_TRY(auto rows, database_.query(kSql, clock_.own(), runs, tokens, workers, incarnations,
                                    std::vector(lives.begin(), lives.end())));
  std::vector<bool> won(batch.size(), false);
  const auto read = rows.all([&](Row& row) {
    RunId run;
    Token token = 0;
    row.read(run, token);
    won[wanted.at({run, token})] = true;
    return run;
  });
  if (!read) co_return std::unexpected(read.error());
  co_return won;
}

Async<RunContexts> PostgresDispatchRepository::contexts(std::vector<RunId> runs) {
  static const auto kSql =
      fmt::format("SELECT {}, {}, {}{}WHERE r.id = ANY ($1)", kPolicyColumns, kLostWorkers, kRunColumns, kRunTables);
  CO_TRY(auto tx, database_.begin(Access::read));
  tx.send(kSelectNow, clock_.own());
  tx.send(kSql, runs);
  CO_TRY(auto results, tx.finish());
  RunContexts contexts;
  CO_UNWRAP(contexts.now, instant_of(results[0]));
  CO_UNWRAP(auto found, results[1].all(read_run_context));
  contexts.runs.reserve(found.size());
  for (auto& it : found) contexts.runs.emplace(it.run.id, std::move(it));
  co_return contexts;
}

// Most reports are plain, each about a run of its own: written first, by two round trips and one statement. What is
// not, or was not won, comes in a transaction after that, in the order of the batch: one may follow from the other.
Async<std::vector<Applied>> PostgresDispatchRepository::apply(std::vector<RunChange> batch) {
  std::unordered_map<RunId, int> reports;
  for (const auto& change : batch) ++reports[run_of(change)];
  PlainReports plain;
  std::vector<Applied> applied(batch.size());
  bool all_plain = true;
  for (std::size_t i = 0; i < batch.size(); ++i)
    if (reports[run_of(batch[i])] > 1 || !plain.add(i, batch[i])) all_plain = false;
  if (!plain.empty()) {
    CO_TRY(auto tx, database_.begin(Access::write));
    CO_CHECK(apply_plain(std::move(tx), clock_.own(), plain, applied));
  }
  if (all_plain && std::ranges::all_of(applied, &Applied::won)) co_return applied;
  std::vector<RunChange> rest;
  std::vector<std::size_t> places;
  for (std::size_t i = 0; i < batch.size(); ++i) {
    if (applied[i].won) continue;
    rest.push_back(std::move(batch[i]));
    places.push_back(i);
  }
  CO_TRY(auto tx, database_.begin(Access::write));
  CO_TRY(const auto rest_applied, apply_each(std::move(tx), clock_.own(), std::move(rest)));
  for (std::size_t i = 0; i < places.size(); ++i) applied[places[i]] = rest_applied[i];
  co_return applied;
}

Async<std::vector<AssignedRun>> PostgresDispatchRepository::assigned(IncarnationId incarnation, TimePoint before) {
  static const auto kSql = fmt::format(
      "SELECT {} FROM task_runs WHERE incarnation = $1 AND state IN ('dispatched', 'running') AND dispatched_at < $2"
      " ORDER BY id",
      kAssignedColumns);
  CO_TRY(auto rows, database_.query(kSql, incarnation, before));
  co_return rows.all(read_assigned);
}

Async<void> PostgresDispatchRepository::mark_missing(std::vector<RunId> missing, std::vector<RunId> found) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send("SELECT id FROM task_runs WHERE id = ANY ($1) OR id = ANY ($2) ORDER BY id FOR NO KEY UPDATE", missing,
          found);
  tx.send("UPDATE task_runs SET missing_since = " SCHEDULER_NOW
          " WHERE id = ANY ($2) AND missing_since IS NULL AND state IN ('dispatched', 'running')",
          clock_.own(), missing);
  tx.send("UPDATE task_runs SET missing_since = NULL WHERE id = ANY ($1) AND missing_since IS NOT NULL", found);
  co_return co_await tx.commit();
}

Async<RescueView> PostgresDispatchRepository::to_rescue(std::size_t limit) {
  // An incarnation that nobody knows is as good as dead. By id + 0: by id alone, the server might walk the whole
  // history in the order of the ids to save itself a sort of a few rows.
  static const auto kOrphaned = fmt::format(
      "SELECT {}, {}, {}{}WHERE r.state IN ('dispatched', 'running')"
      " AND (r.missing_since <= " SCHEDULER_NOW
      " - $2 * interval '1 second' OR NOT EXISTS (SELECT 1 FROM workers w WHERE w.incarnation = r.incarnation"
      " AND w.state IN ('alive', 'draining'))) ORDER BY r.id + 0 LIMIT $3",
      kPolicyColumns, kLostWorkers, kRunColumns, kRunTables);
  static const auto kOverdue = fmt::format(
      "SELECT {}, {}, {}{}WHERE r.state = 'running' AND r.state IN ('dispatched', 'running')"
      " AND r.started_at + t.timeout_seconds * interval '1 second' <= " SCHEDULER_NOW
      " - $2 * interval '1 second' ORDER BY r.id + 0 LIMIT $3",
      kPolicyColumns, kLostWorkers, kRunColumns, kRunTables);
  CO_TRY(auto tx, database_.begin(Access::read));
  tx.send(kSelectNow, clock_.own());
  tx.send(kOrphaned, clock_.own(), application::kMissingGrace, limit);
  tx.send(kOverdue, clock_.own(), application::kOverdueGrace, limit);
  CO_TRY(auto results, tx.finish());
  RescueView view;
  CO_UNWRAP(view.now, instant_of(results[0]));
  CO_UNWRAP(view.orphaned, results[1].all(read_run_context));
  CO_UNWRAP(view.overdue, results[2].all(read_run_context));
  const auto is_orphaned = [&](const application::RunContext& it) {
    return std::ranges::any_of(view.orphaned, [&](const auto& orphan) { return orphan.run.id == it.run.id; });
  };
  std::erase_if(view.overdue, is_orphaned);
  co_return view;
}

}  // namespace scheduler::infrastructure
