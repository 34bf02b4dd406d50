#include "simulation/checker.hpp"

#include "application/task_schedule.hpp"
#include "domain/limits.hpp"
#include "infrastructure/sqlite/rows.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <tuple>

namespace scheduler::simulation {

using namespace application;
using domain::AttemptState;
using domain::Event;
using domain::Reason;
using domain::RunState;
using domain::Task;
using domain::TaskRun;

namespace {

// Which rows a transaction touches. Notes are part of the transaction: what is undone was never noted.
enum class Note { worker, task, attempt, run, round, slot, deleted };

const char* const kTriggers = R"sql(
CREATE TEMP TABLE notes (seq INTEGER PRIMARY KEY, what INTEGER NOT NULL, a INTEGER, b INTEGER, c INTEGER, word TEXT);
CREATE TEMP TRIGGER note_new_worker AFTER INSERT ON main.workers BEGIN
  INSERT INTO notes (what, a) VALUES (0, NEW.incarnation); END;
CREATE TEMP TRIGGER note_worker AFTER UPDATE ON main.workers
  WHEN OLD.state <> NEW.state OR OLD.capacity <> NEW.capacity BEGIN
  INSERT INTO notes (what, a) VALUES (0, NEW.incarnation); END;
CREATE TEMP TRIGGER note_new_task AFTER INSERT ON main.tasks BEGIN
  INSERT INTO notes (what, a) VALUES (1, NEW.id); END;
CREATE TEMP TRIGGER note_task AFTER UPDATE ON main.tasks BEGIN
  INSERT INTO notes (what, a) VALUES (1, NEW.id); END;
CREATE TEMP TRIGGER note_attempt AFTER INSERT ON main.task_attempts BEGIN
  INSERT INTO notes (what, a, b) VALUES (2, NEW.run_id, NEW.number); END;
CREATE TEMP TRIGGER note_new_run AFTER INSERT ON main.task_runs BEGIN
  INSERT INTO notes (what, a) VALUES (3, NEW.id); END;
CREATE TEMP TRIGGER note_run AFTER UPDATE ON main.task_runs BEGIN
  INSERT INTO notes (what, a) VALUES (3, NEW.id); END;
CREATE TEMP TRIGGER note_round AFTER INSERT ON main.dependency_rounds BEGIN
  INSERT INTO notes (what, a, b, c, word) VALUES (4, NEW.task_id, NEW.upstream_id, NEW.upstream_run_id, NEW.state); END;
CREATE TEMP TRIGGER note_slot AFTER INSERT ON main.schedule_slots BEGIN
  INSERT INTO notes (what, a, b, c) VALUES (5, NEW.task_id, NEW.slot, NEW.shard); END;
CREATE TEMP TRIGGER note_lost_run AFTER DELETE ON main.task_runs BEGIN
  INSERT INTO notes (what, a, word) VALUES (6, OLD.id, 'run'); END;
CREATE TEMP TRIGGER note_lost_attempt AFTER DELETE ON main.task_attempts BEGIN
  INSERT INTO notes (what, a, word) VALUES (6, OLD.run_id, 'attempt of run'); END;
CREATE TEMP TRIGGER note_lost_slot AFTER DELETE ON main.schedule_slots BEGIN
  INSERT INTO notes (what, a, word) VALUES (6, OLD.task_id, 'slot of task'); END;
CREATE TEMP TRIGGER note_new_attempt AFTER UPDATE ON main.task_attempts BEGIN
  INSERT INTO notes (what, a, word) VALUES (6, OLD.run_id, 'attempt of run'); END;
)sql";

// As the policies are written down for people, not as they are programmed.
bool should_run(domain::TriggerRule rule, const std::vector<RunState>& upstreams) {
  int well = 0, badly = 0;
  for (const auto state : upstreams) {
    well += state == RunState::succeeded;
    badly += state == RunState::failed || state == RunState::timed_out || state == RunState::cancelled;
  }
  switch (rule) {
    case domain::TriggerRule::all_success:
      return well == static_cast<int>(upstreams.size());
    case domain::TriggerRule::all_done:
      return true;
    case domain::TriggerRule::any_success:
      return well > 0;
    case domain::TriggerRule::none_failed:
      return badly == 0;
  }
  return false;
}

bool is_held(RunState state) { return state == RunState::dispatched || state == RunState::running; }

std::string named(RunState state) { return std::string(name_of(state)); }

class Utc final : public domain::TimeZones {
 public:
  SchedulerResult<const domain::TimeZone*> find(std::string_view) const override { return &domain::utc(); }
};

}  // namespace

// --- looking ---------------------------------------------------------------------------------------------------------

asio::awaitable<void> Checker::attach(database::sqlite::Database& database) {
  database_ = &database;
  const auto installed = co_await database.write(
      [](database::sqlite::Connection& connection) { return connection.execute_script(kTriggers); });
  if (!installed) broken("the checker cannot look: " + installed.error().message);
}

SchedulerResult<Checker::Touched> Checker::read(database::sqlite::Connection& connection) {
  Touched touched;
  auto notes = connection.query("SELECT seq, what, a, b, c, word FROM notes WHERE seq > ? ORDER BY seq", seen_);
  for (;;) {
    TRY(const bool found, notes.step());
    if (!found) return touched;
    int what = 0;
    std::optional<std::int64_t> a, b, c;
    std::optional<std::string> word;
    notes.read(seen_, what, a, b, c, word);
    switch (static_cast<Note>(what)) {
      case Note::worker: {
        static const auto kSql =
            fmt::format("SELECT {} FROM workers WHERE incarnation = ?", infrastructure::kWorkerColumns);
        TRY(auto worker, connection.query(kSql, *a).first(infrastructure::read_worker));
        if (worker) touched.workers.push_back(*std::move(worker));
        break;
      }
      case Note::task: {
        static const auto kSql = fmt::format("SELECT {} FROM tasks t WHERE t.id = ?", infrastructure::kTaskColumns);
        TRY(auto tasks, infrastructure::read_tasks(connection, connection.query(kSql, *a)));
        if (!tasks.empty()) touched.tasks.push_back(std::move(tasks.front()));
        break;
      }
      case Note::attempt: {
        static const auto kSql = fmt::format("SELECT {} FROM task_attempts WHERE run_id = ? AND number = ?",
                                             infrastructure::kAttemptColumns);
        TRY(auto attempt, connection.query(kSql, *a, *b).first(infrastructure::read_attempt));
        if (attempt) touched.attempts.push_back(*std::move(attempt));
        break;
      }
      case Note::run: {
        TRY(auto run, infrastructure::find_run(connection, RunId{*a}));
        TRY(const auto missing,
            connection.query("SELECT missing_since FROM task_runs WHERE id = ?", *a).value<std::optional<TimePoint>>());
        if (run) touched.runs.emplace_back(*std::move(run), missing.value_or(std::nullopt));
        break;
      }
      case Note::round:
        touched.rounds.push_back({TaskId{*a}, TaskId{*b}, RunId{*c}, *parse_enum<RunState>(*word)});
        break;
      case Note::slot: {
        TRY(auto slot, connection
                           .query("SELECT task_id, first_slot, slot, shard, disposition = 'fired', run_id, decided_at"
                                  " FROM schedule_slots WHERE task_id = ? AND slot = ? AND shard = ?",
                                  *a, *b, *c)
                           .first([](database::sqlite::Statement& row) {
                             SlotRow it;
                             row.read(it.task, it.first, it.last, it.shard, it.fired, it.run, it.decided_at);
                             return it;
                           }));
        if (slot) touched.slots.push_back(*slot);
        break;
      }
      case Note::deleted:
        touched.deleted.push_back(fmt::format("{} {} was deleted or rewritten", *word, *a));
        break;
    }
  }
}

asio::awaitable<Passages> Checker::observe() {
  const auto touched =
      co_await database_->read([this](database::sqlite::Connection& connection) { return read(connection); });
  if (!touched) {
    broken("the checker cannot look: " + touched.error().message);
    co_return Passages{};
  }
  for (const auto& sentence : touched->deleted) broken(sentence);
  for (const auto& it : touched->workers) judge(it);
  for (const auto& it : touched->tasks) judge(it);
  for (const auto& it : touched->attempts) judge(it);
  for (const auto& [run, missing_since] : touched->runs) {
    const auto known = runs_.find(run.id);
    if (known == runs_.end()) {
      judge_new(run);
    } else {
      const auto before = std::exchange(known->second, run);
      judge_change(before, run);
      if (before.token != run.token) missing_.erase(run.id);
    }
    if (missing_since) {
      auto& earliest = missing_.try_emplace(run.id, *missing_since).first->second;
      earliest = std::min(earliest, *missing_since);
    }
  }
  for (const auto& it : touched->slots) judge(it);
  judge_rounds(touched->rounds);
  co_return std::exchange(passages_, {});
}

const TaskRun* Checker::find(RunId run) const {
  const auto found = runs_.find(run);
  return found == runs_.end() ? nullptr : &found->second;
}

const domain::Attempt* Checker::attempt_of(const TaskRun& run) const {
  const auto found = attempts_.find({run.id, run.attempt});
  return found == attempts_.end() ? nullptr : &found->second;
}

void Checker::broken(std::string sentence) {
  trace_.note("BROKEN: " + sentence);
  broken_.push_back(fmt::format("{}: {}", format_rfc3339(time_.now()), sentence));
}

// --- workers ---------------------------------------------------------------------------------------------------------

void Checker::judge(const domain::WorkerInfo& worker) {
  auto& most = capacity_[worker.incarnation];  // who asks for less later may still be sent what it had asked for
  most = std::max(most, static_cast<std::size_t>(worker.capacity));
  const auto [known, is_new] = workers_.try_emplace(worker.incarnation, worker);
  const auto before = std::exchange(known->second, worker);
  if (!is_new && before.state == worker.state) return;
  trace_.note(fmt::format("worker {} {} is {} {}", worker.id.value, worker.incarnation.value, name_of(worker.state),
                          worker.state_reason));
  if (!is_new && before.state == domain::WorkerState::dead)
    broken(fmt::format("incarnation {} was dead and is {}", worker.incarnation.value, name_of(worker.state)));
  if (worker.state == domain::WorkerState::dead && worker.state_reason.starts_with("no heartbeat") &&
      worker.heartbeat_due > time_.now())
    broken(fmt::format("incarnation {} was declared dead {} ms before its deadline", worker.incarnation.value,
                       std::chrono::duration_cast<Millis>(worker.heartbeat_due - time_.now()).count()));
}

// --- tasks -----------------------------------------------------------------------------------------------------------

void Checker::judge(const Task& task) {
  const auto [known, is_new] = tasks_.try_emplace(task.id, task);
  const auto before = std::exchange(known->second, task);
  auto& rules = rules_[task.id];
  if (is_new) {
    if (task.spec.schedule) rules.push_back({task.spec, task.watermark.value_or(task.created_at), {}});
    return;
  }
  if (before.watermark && task.watermark && *task.watermark < *before.watermark)
    broken(fmt::format("task {}: its watermark went back", task.spec.name));
  if (task.version < before.version) broken(fmt::format("task {}: its version went back", task.spec.name));
  if (task.version != before.version)
    trace_.note(fmt::format("task {} is {} version {} schedule '{}'", task.id.value, name_of(task.spec.status),
                            task.version, task.spec.schedule.value_or("-")));
  if (task.spec.dependencies != before.spec.dependencies) rounds_.erase(task.id);
  const auto rule = [](const Task& it) { return std::tie(it.spec.schedule, it.spec.timezone, it.spec.name); };
  if (rule(task) == rule(before)) return;
  if (!rules.empty() && !rules.back().until)
    // A rule that nobody can read names no slots any more.
    rules.back().until = is_readable(before.spec) ? task.watermark : before.watermark;
  if (task.spec.schedule) rules.push_back({task.spec, *task.watermark, {}});
}

bool Checker::caught_up() const {
  return std::ranges::all_of(tasks_, [this](const auto& entry) {
    const auto& task = entry.second;
    if (!task.spec.schedule || task.spec.status != domain::TaskStatus::active || !is_readable(task.spec)) return true;
    return !task.next_fire_at || *task.next_fire_at > time_.now() - std::chrono::seconds{3};
  });
}

// Nobody looks after it any more.
bool Checker::has_overdue_run() const {
  constexpr std::chrono::seconds kSlack{20};
  return std::ranges::any_of(open_, [&](RunId id) {
    const auto& run = runs_.at(id);
    return run.state == RunState::running && run.started_at &&
           *run.started_at + spec_of(run.task).timeout + kOverdueGrace + kSlack < time_.now();
  });
}

// --- slots -----------------------------------------------------------------------------------------------------------

void Checker::judge(const SlotRow& slot) {
  const auto& task = tasks_.at(slot.task);
  const auto say = [&](std::string_view what) {
    broken(fmt::format("task {}: slot {} {}", task.spec.name, format_rfc3339(slot.last), what));
  };
  trace_.note(fmt::format("task {} slot {} {}", task.id.value, format_rfc3339(slot.last),
                          slot.fired ? fmt::format("is run {}", slot.run.value_or(RunId{}).value) : "is skipped"));
  if (!task.watermark || slot.last > *task.watermark) say("was decided, and the watermark is before it");
  if (slot.fired && task.spec.status != domain::TaskStatus::active) say("fired while the task was paused");
  if (slot.fired && slot.last > time_.latest()) say("fired before its time");
  auto& all = slots_[slot.task];
  for (auto it = all.lower_bound(slot.first); it != all.end(); ++it) {
    const auto& other = it->second.front();
    if (other.first > slot.last) break;
    const bool sibling = other.last == slot.last && other.fired && slot.fired;
    if (!sibling) say(fmt::format("has two dispositions, the other one until {}", format_rfc3339(other.last)));
  }
  all[slot.last].push_back(slot);
}

void Checker::judge_slots_of(const Task& task, const std::vector<Rule>& rules) {
  static const Utc kZones;
  const auto& rows = slots_[task.id];
  for (const auto& rule : rules) {
    const auto schedule = schedule_of(rule.spec, task.created_at, kZones);
    if (!schedule) return broken(fmt::format("task {}: {}", task.spec.name, schedule.error().message));
    const auto until = rule.until.value_or(task.watermark.value_or(rule.from));
    for (const auto slot : domain::slots(*schedule, rule.from, until, 100'000)) {
      ++ends_["slots"];
      const auto row = rows.lower_bound(slot);
      if (row == rows.end() || row->second.front().first > slot) {
        broken(fmt::format("task {}: slot {} was never decided", task.spec.name, format_rfc3339(slot)));
      } else if (row->second.front().fired && row->second.size() != static_cast<std::size_t>(task.spec.shard_count)) {
        broken(fmt::format("task {}: slot {} made {} runs of {}", task.spec.name, format_rfc3339(slot),
                           row->second.size(), task.spec.shard_count));
      }
    }
  }
}

// --- runs ------------------------------------------------------------------------------------------------------------

// Others of the same task that go (domain/limits.hpp) or wait, and are not shards of the same fire.
int Checker::active_besides(const TaskRun& run, bool waiting) const {
  const auto open = open_of_.find(run.task);
  if (open == open_of_.end()) return 0;
  return static_cast<int>(std::ranges::count_if(open->second, [&](RunId id) {
    const auto& it = runs_.at(id);
    const bool sibling = it.id == run.id || (it.slot && it.slot == run.slot);
    return !sibling && (waiting ? it.state == RunState::waiting : domain::goes(it, time_.now()));
  }));
}

void Checker::judge_becoming_due(const TaskRun& run) {
  if (!run.slot || spec_of(run.task).overlap_policy == domain::OverlapPolicy::allow) return;
  if (const int others = active_besides(run, false); others > 0)
    broken(fmt::format("run {} may start beside {} others of its task, which allows no overlap", run.id.value, others));
}

void Checker::judge_new(const TaskRun& run) {
  trace_.note(fmt::format("run {} of task {} is made by {}: {}", run.id.value, run.task.value, name_of(run.trigger),
                          name_of(run.state)));
  passages_.push_back(made_by(run.trigger));
  coverage_.made(passages_.back());
  runs_.emplace(run.id, run);
  if (run.token != 0 || run.attempt != 0) broken(fmt::format("run {} was not new", run.id.value));
  if (run.slot && !slot_runs_.emplace(run.task, *run.slot, run.shard_index).second)
    broken(fmt::format("run {}: its slot has another run", run.id.value));
  if (run.trigger == domain::Trigger::dependency)
    ++(run.state == RunState::skipped ? made_now_[run.task].skipped : made_now_[run.task].run);
  if (domain::is_terminal(run.state)) {
    ended_now_.push_back({run.id, run.task});
    ++ends_[named(run.state)];
    return;
  }
  open_.insert(run.id);
  open_of_[run.task].insert(run.id);
  if (run.state == RunState::pending) judge_becoming_due(run);
  if (run.state == RunState::waiting && active_besides(run, true) > 0)
    broken(fmt::format("run {} waits, and so does another fire of its task", run.id.value));
}

Passage Checker::passage_of(const TaskRun& before, const TaskRun& after) const {
  const auto* attempt = attempt_of(before);
  const bool lost = attempt != nullptr && attempt->state == AttemptState::lost;
  for (const auto event : {Event::promote, Event::skip, Event::dispatch, Event::start, Event::succeed, Event::time_out,
                           Event::cancel, lost ? Event::give_up : Event::fail,
                           attempt == nullptr ? Event::hand_back
                           : lost             ? Event::rescue
                                              : Event::retry})
    if (domain::after(before.state, event) == after.state) return passage(before.state, event);
  return kPassages;
}

void Checker::judge_change(const TaskRun& before, const TaskRun& after) {
  const auto id = after.id.value;
  if (after.token < before.token) broken(fmt::format("run {}: its token went back", id));
  if (domain::is_terminal(before.state)) {
    if (std::tie(before.state, before.token, before.message, before.reason, before.ended_at) !=
        std::tie(after.state, after.token, after.message, after.reason, after.ended_at))
      broken(fmt::format("run {} had ended {} and became {}", id, name_of(before.state), name_of(after.state)));
    return;
  }
  if (before.cancel_requested() && after.cancel_reason != before.cancel_reason)
    broken(fmt::format("run {} was to be cancelled, and that was forgotten", id));
  if (before.state == after.state) {
    if (std::tie(before.token, before.attempt, before.due_at) != std::tie(after.token, after.attempt, after.due_at))
      broken(fmt::format("run {} is still {}, but not the same", id, name_of(after.state)));
    return;
  }
  const auto made = passage_of(before, after);
  trace_.note(fmt::format("run {} {} -> {} attempt {} token {} {}", id, name_of(before.state), name_of(after.state),
                          after.attempt, after.token, after.worker.value_or(WorkerId{}).value));
  if (made == kPassages)
    return broken(fmt::format("run {} was {} and became {}", id, name_of(before.state), name_of(after.state)));
  passages_.push_back(made);
  coverage_.made(made);

  const auto event = domain::kTransitions[made].event;
  const auto* attempt = is_held(before.state) ? attempt_of(before) : nullptr;
  if (event == Event::promote) judge_becoming_due(after);
  if (event == Event::dispatch) judge_dispatch(before, after);
  if (event == Event::hand_back && (after.token <= before.token || after.attempt != before.attempt - 1))
    broken(fmt::format("run {} was handed back, and its attempt may still be reported", id));
  if (event == Event::retry) judge_retry(after, *attempt);
  if (attempt != nullptr && attempt->state == AttemptState::lost) judge_loss(before, after, *attempt);
  if (domain::is_terminal(after.state)) judge_end_of(before, after, attempt);
}

void Checker::judge_dispatch(const TaskRun& before, const TaskRun& after) {
  const auto id = after.id.value;
  if (after.token != before.token + 1 || after.attempt != before.attempt + 1)
    broken(fmt::format("run {} was dispatched with token {} after {}", id, after.token, before.token));
  if (before.due_at > time_.latest()) broken(fmt::format("run {} was dispatched before it was due", id));
  if (before.slot && *before.slot > time_.latest()) broken(fmt::format("run {} was dispatched before its slot", id));
  if (before.cancel_requested()) broken(fmt::format("run {} was cancelled and is dispatched", id));
  const auto worker = workers_.find(after.incarnation.value_or(IncarnationId{}));
  if (worker == workers_.end()) return broken(fmt::format("run {} was dispatched to nobody", id));
  const auto held = static_cast<std::size_t>(std::ranges::count_if(open_, [&](RunId other) {
    const auto& it = runs_.at(other);
    return is_held(it.state) && it.incarnation == after.incarnation;
  }));
  // Dispatchers may look at the same room at the same moment; each alone keeps within it.
  if (const auto most = settings_.dispatchers * capacity_[worker->first]; held > most)
    broken(fmt::format("worker {} was given {} runs, {} dispatchers could give it {}", worker->second.id.value, held,
                       settings_.dispatchers, most));
}

void Checker::judge_retry(const TaskRun& after, const domain::Attempt& attempt) {
  const auto& policy = spec_of(after.task).retry_backoff;
  const double wait = std::min(policy.cap_seconds, policy.base_seconds * std::pow(policy.factor, after.attempt - 1));
  const auto from = attempt.ended_at.value_or(TimePoint{}) + Micros{static_cast<std::int64_t>(wait * 1e6)};
  if (after.due_at < from)
    broken(fmt::format("run {} is tried again {} ms too early", after.id.value,
                       std::chrono::duration_cast<Millis>(from - after.due_at).count()));
}

// Nobody loses a worker that is alive, unless the worker itself does not know the run.
void Checker::judge_loss(const TaskRun& before, const TaskRun& after, const domain::Attempt& attempt) {
  const auto id = after.id.value;
  if (after.lost_attempts > spec_of(after.task).max_lost_attempts)
    broken(fmt::format("run {} has lost {} workers", id, after.lost_attempts));
  if (after.token <= before.token && after.state == RunState::pending)
    broken(fmt::format("run {} was taken back, and its token is still good", id));
  if (spec_of(after.task).delivery == domain::Delivery::at_most_once && after.state == RunState::pending)
    broken(fmt::format("run {} is at_most_once, was lost and goes on", id));
  if (attempt.reason != Reason::worker_lost) return;
  const auto worker = workers_.find(attempt.incarnation);
  const bool dead = worker == workers_.end() || worker->second.state == domain::WorkerState::dead;
  const auto missing = missing_.find(after.id);
  const bool forgotten = missing != missing_.end() && missing->second + kMissingGrace <= time_.latest();
  if (!dead && !forgotten)
    broken(fmt::format("run {} was taken from worker {}, which lives and knows it", id, attempt.worker.value));
}

void Checker::judge_end_of(const TaskRun& before, const TaskRun& after, const domain::Attempt* attempt) {
  const auto id = after.id.value;
  open_.erase(after.id);
  open_of_[after.task].erase(after.id);
  ended_now_.push_back({after.id, after.task});
  ++ends_[named(after.state)];
  const auto& spec = spec_of(after.task);
  if (after.state != RunState::succeeded && (after.reason == Reason::none || after.message.empty()))
    broken(fmt::format("run {} is {} and nobody says why", id, name_of(after.state)));
  if (after.state == RunState::cancelled) {
    const bool asked = after.reason == Reason::overlap ? spec.overlap_policy == domain::OverlapPolicy::replace
                                                       : cancels_.contains(after.id);
    if (!asked) broken(fmt::format("run {} was cancelled, and nobody asked for it", id));
    return;
  }
  if (!is_held(before.state)) return;
  if (attempt == nullptr) return broken(fmt::format("run {} ended {} without an attempt", id, name_of(after.state)));
  if (attempt->token != before.token)
    broken(fmt::format("run {} ended by token {}, its token was {}", id, attempt->token, before.token));
  if (after.message != attempt->message || after.exit_code != attempt->exit_code)
    broken(fmt::format("run {} ended '{}', its attempt '{}'", id, after.message, attempt->message));
  if (after.state == RunState::succeeded && attempt->state != AttemptState::succeeded)
    broken(fmt::format("run {} succeeded, its attempt {}", id, name_of(attempt->state)));
  const bool failed = after.state == RunState::failed || after.state == RunState::timed_out;
  if (failed && attempt->state != AttemptState::lost && after.attempt - after.lost_attempts <= spec.max_retries)
    broken(fmt::format("run {} gave up after {} attempts of {}", id, after.attempt - after.lost_attempts,
                       spec.max_retries + 1));
}

// --- attempts --------------------------------------------------------------------------------------------------------

void Checker::judge(const domain::Attempt& attempt) {
  const auto id = attempt.run.value;
  attempts_.insert_or_assign({attempt.run, attempt.number}, attempt);
  const auto* run = find(attempt.run);
  if (run == nullptr) return broken(fmt::format("there is an attempt of run {} and no run", id));
  const auto& spec = spec_of(run->task);
  int counted = 0;
  for (auto it = attempts_.lower_bound({attempt.run, 0}); it != attempts_.end() && it->first.first == attempt.run; ++it)
    counted += it->second.state != AttemptState::lost;
  if (counted > spec.max_retries + 1)
    broken(fmt::format("run {} was tried {} times, {} are allowed", id, counted, spec.max_retries + 1));
  const bool by_executor = attempt.state == AttemptState::succeeded ||
                           (attempt.state == AttemptState::failed && attempt.reason == Reason::exit_code);
  if (by_executor) {
    const auto said = outcomes_.find({attempt.run, attempt.token});
    if (said == outcomes_.end())
      broken(fmt::format("run {} token {} is said to have {}, and never ended", id, attempt.token,
                         name_of(attempt.state)));
    else if (std::tie(said->second.state, said->second.message) != std::tie(attempt.state, attempt.message))
      broken(fmt::format("run {} token {} ended '{}', the store says '{}'", id, attempt.token, said->second.message,
                         attempt.message));
  }
  const bool stopped_by_us = attempt.state == AttemptState::timed_out && attempt.message.starts_with("ran past");
  if (stopped_by_us && attempt.started_at && *attempt.started_at + spec.timeout + kOverdueGrace > time_.latest())
    broken(fmt::format("run {} was called overdue too early", id));
}

void Checker::began(const TaskExecution& work, const std::string& worker) {
  const auto id = work.run.value;
  trace_.note(fmt::format("{} begins run {} token {}", worker, id, work.token));
  if (++begun_[{work.run, work.token}] > 1) broken(fmt::format("run {} token {} was begun twice", id, work.token));
  const auto* run = find(work.run);
  if (run == nullptr || run->token < work.token)
    return broken(fmt::format("run {} token {} was begun, and the store knows nothing of it", id, work.token));
  if (run->token == work.token && domain::is_terminal(run->state))
    broken(fmt::format("run {} had ended {} and was begun with its last token", id, name_of(run->state)));
  const auto& spec = spec_of(work.task);
  if (spec.delivery == domain::Delivery::at_most_once && ++begun_of_[work.run] > spec.max_retries + 1)
    broken(fmt::format("run {} is at_most_once and was begun {} times", id, begun_of_[work.run]));
}

void Checker::ended(const TaskExecution& work, const domain::Outcome& outcome, std::optional<Micros> took) {
  trace_.note(fmt::format("run {} token {} ends: {}", work.run.value, work.token, name_of(outcome.state)));
  outcomes_[{work.run, work.token}] = outcome;
  const auto timeout = spec_of(work.task).timeout;
  if (took && *took > timeout + Millis{500})
    broken(fmt::format("run {} ran for {} ms, its timeout is {} s", work.run.value, took->count() / 1000,
                       timeout.count()));
}

// --- messages and clients --------------------------------------------------------------------------------------------

void Checker::acknowledged(const Message& message) {
  const auto* reports = std::get_if<std::vector<StatusUpdate>>(&message.payload);
  if (reports == nullptr) return;
  for (const auto& it : *reports) {
    const auto* run = find(it.run);
    if (it.outcome && run != nullptr && run->token == it.token && is_held(run->state))
      broken(fmt::format("the report of run {} token {} was acknowledged, and the store has not got it", it.run.value,
                         it.token));
  }
}

void Checker::told(const NewRuns& made, TaskId task, const std::optional<std::string>& key) {
  std::vector<RunId> ids;
  for (const auto& run : made.runs) {
    ids.push_back(run.id);
    if (find(run.id) == nullptr) broken(fmt::format("run {} was acknowledged and is lost", run.id.value));
  }
  if (ids.empty()) broken(fmt::format("task {} was triggered, and no run was made", task.value));
  if (!key) return;
  const auto [known, fresh] = keys_.try_emplace({task, *key}, ids);
  if (!fresh && known->second != ids) broken(fmt::format("one Idempotency-Key made two runs of task {}", task.value));
}

void Checker::told_cancelled(RunId id) {
  trace_.note(fmt::format("client: run {} is cancelled", id.value));
  const auto* run = find(id);
  if (run != nullptr && !domain::is_terminal(run->state) && !run->cancel_requested())
    broken(fmt::format("the cancel of run {} was acknowledged, and the run is {} all the same", id.value,
                       name_of(run->state)));
}

// --- dependants ------------------------------------------------------------------------------------------------------

std::vector<TaskId> Checker::dependants_of(TaskId upstream) const {
  std::vector<TaskId> all;
  for (const auto& [id, task] : tasks_)
    if (!task.spec.schedule && std::ranges::count(task.spec.dependencies, upstream) > 0) all.push_back(id);
  return all;
}

// Every ended run of an upstream counts once for each dependant; each complete round makes the dependant's runs once,
// with the right verdict, in the transaction that completed it.
void Checker::judge_rounds(const std::vector<Round>& rounds) {
  std::map<TaskId, Expected> expected;
  for (const auto& it : rounds) {
    const auto* run = find(it.run);
    if (run == nullptr || run->task != it.upstream || run->state != it.state)
      broken(fmt::format("run {} counts as {} for task {}", it.run.value, name_of(it.state), it.task.value));
    if (!counted_.emplace(it.task, it.run).second)
      broken(fmt::format("run {} was counted twice for task {}", it.run.value, it.task.value));
    auto& waiting = rounds_[it.task];
    waiting[it.upstream].push_back(it.state);
    const auto& spec = spec_of(it.task);
    std::vector<RunState> round;
    for (const auto upstream : spec.dependencies)
      if (!waiting[upstream].empty()) round.push_back(waiting[upstream].front());
    if (round.size() < spec.dependencies.size()) continue;
    for (const auto upstream : spec.dependencies) waiting[upstream].pop_front();
    if (spec.status != domain::TaskStatus::active) continue;
    auto& made = expected[it.task];
    (should_run(spec.trigger_rule, round) ? made.run : made.skipped) += spec.shard_count;
  }
  for (const auto& it : std::exchange(ended_now_, {})) {
    // Its round is over: a run that was asked for again is no news for those behind it.
    const bool again = find(it.run) != nullptr && find(it.run)->trigger == domain::Trigger::retry;
    for (const auto dependant : dependants_of(it.task))
      if (counted_.contains({dependant, it.run}) == again)
        broken(fmt::format("run {} has ended, and its dependant task {} was {}", it.run.value, dependant.value,
                           again ? "told of a run that was asked for again" : "not told"));
  }
  const auto made_now = std::exchange(made_now_, {});
  for (const auto& [id, task] : tasks_) {
    const auto want = expected.contains(id) ? expected.at(id) : Expected{};
    const auto made = made_now.contains(id) ? made_now.at(id) : Expected{};
    if (std::tie(want.run, want.skipped) != std::tie(made.run, made.skipped))
      broken(fmt::format("task {}: its rounds should make {} runs and skip {}, they made {} and skipped {}",
                         task.spec.name, want.run, want.skipped, made.run, made.skipped));
  }
}

// --- what a call is about --------------------------------------------------------------------------------------------

Passages Checker::about(const std::vector<Dispatching>& batch) const {
  Passages all;
  for (const auto& it : batch) {
    const auto* run = find(it.run);
    if (run != nullptr && run->state == RunState::pending && run->token == it.token_seen)
      all.push_back(passage(RunState::pending, Event::dispatch));
  }
  return all;
}

// The end of a run, and what comes with it: waiting runs go on, dependants follow.
Passages Checker::about_end(const TaskRun& run, const domain::AfterAttempt& next, AttemptState how) const {
  const bool lost = how == AttemptState::lost;
  const auto* end = std::get_if<domain::End>(&next);
  if (end == nullptr || run.cancel_requested())
    return {passage(run.state,
                    end == nullptr && !run.cancel_requested() ? (lost ? Event::rescue : Event::retry) : Event::cancel)};
  Passages all;
  switch (end->state) {
    case RunState::succeeded:
      all.push_back(passage(run.state, Event::succeed));
      break;
    case RunState::timed_out:
      all.push_back(passage(run.state, Event::time_out));
      break;
    case RunState::cancelled:
      all.push_back(passage(run.state, Event::cancel));
      break;
    default:
      all.push_back(passage(run.state, lost ? Event::give_up : Event::fail));
      break;
  }
  if (active_besides(run, false) == 0 && active_besides(run, true) > 0)
    all.push_back(passage(RunState::waiting, Event::promote));
  if (run.trigger == domain::Trigger::retry) return all;
  for (const auto dependant : dependants_of(run.task)) {
    const auto waiting = rounds_.find(dependant);
    const bool complete = std::ranges::all_of(spec_of(dependant).dependencies, [&](TaskId upstream) {
      if (upstream == run.task) return true;
      if (waiting == rounds_.end()) return false;
      const auto found = waiting->second.find(upstream);
      return found != waiting->second.end() && !found->second.empty();
    });
    if (complete) all.push_back(made_by(domain::Trigger::dependency));
  }
  return all;
}

Passages Checker::about(const std::vector<RunChange>& batch) const {
  Passages all;
  for (const auto& change : batch) {
    const auto* run = find(std::visit([](const auto& it) { return it.run; }, change));
    const auto token = std::visit([](const auto& it) { return it.token; }, change);
    if (run == nullptr || run->token != token || !is_held(run->state)) continue;
    Passages more;
    if (std::holds_alternative<Started>(change)) more = {passage(run->state, Event::start)};
    if (std::holds_alternative<Returned>(change))
      more = {passage(run->state, run->cancel_requested() ? Event::cancel : Event::hand_back)};
    if (const auto* end = std::get_if<Ended>(&change)) more = about_end(*run, end->next, end->attempt_state);
    all.insert(all.end(), more.begin(), more.end());
  }
  std::erase(all, kPassages);
  return all;
}

Passages Checker::about(const std::vector<Fire>& fires) const {
  Passages all;
  for (const auto& fire : fires) {
    const bool fires_one = std::ranges::any_of(fire.plan.slots, &domain::SlotDecision::fire);
    if (!fires_one) continue;
    const auto open = open_of_.find(fire.task.id);
    const bool free = open == open_of_.end() || open->second.empty();
    const auto policy = fire.task.spec.overlap_policy;
    if (free || policy != domain::OverlapPolicy::forbid) all.push_back(made_by(domain::Trigger::schedule));
    if (free || policy != domain::OverlapPolicy::replace) continue;
    for (const auto id : open->second) {
      const auto state = runs_.at(id).state;
      if (state == RunState::waiting) all.push_back(passage(state, Event::skip));
      if (state == RunState::pending) all.push_back(passage(state, Event::cancel));
    }
  }
  return all;
}

Passages Checker::about(const std::vector<NewRun>& batch) const {
  Passages all;
  for (const auto& run : batch) all.push_back(made_by(run.trigger));
  return all;
}

Passages Checker::about_cancel(RunId id) const {
  const auto* run = find(id);
  if (run == nullptr || domain::is_terminal(run->state)) return {};
  Passages all{passage(run->state, Event::cancel)};
  if (!is_held(run->state) && active_besides(*run, false) == 0 && active_besides(*run, true) > 0)
    all.push_back(passage(RunState::waiting, Event::promote));
  return all;
}

Passages Checker::about(const StatusUpdate& report) const {
  const auto* run = find(report.run);
  if (run == nullptr || run->token != report.token || !is_held(run->state)) return {};
  if (!report.outcome) return {passage(run->state, Event::start)};
  if (report.unstarted) return {passage(run->state, run->cancel_requested() ? Event::cancel : Event::hand_back)};
  const auto& spec = spec_of(run->task);
  const domain::Policy policy{.max_retries = spec.max_retries,
                              .backoff = spec.retry_backoff,
                              .retry_on = spec.retry_on,
                              .max_lost_attempts = spec.max_lost_attempts,
                              .delivery = spec.delivery};
  const auto next = domain::after_attempt(policy, *run, *report.outcome, time_.now());
  return {about_end(*run, next, report.outcome->state).front()};
}

Passages Checker::about(const Message& message) const {
  Passages all;
  if (const auto* work = std::get_if<std::vector<TaskExecution>>(&message.payload))
    all.assign(work->size(), passage(RunState::pending, Event::dispatch));
  if (const auto* controls = std::get_if<std::vector<TaskControl>>(&message.payload))
    for (const auto& it : *controls)
      if (const auto* run = find(it.run); run != nullptr && run->token == it.token && is_held(run->state))
        all.push_back(passage(run->state, Event::cancel));
  if (const auto* reports = std::get_if<std::vector<StatusUpdate>>(&message.payload))
    for (const auto& it : *reports) {
      const auto more = about(it);
      all.insert(all.end(), more.begin(), more.end());
    }
  std::erase(all, kPassages);
  return all;
}

// --- the end ---------------------------------------------------------------------------------------------------------

void Checker::judge_end(bool all_must_have_ended) {
  for (const auto& [id, task] : tasks_) judge_slots_of(task, rules_[id]);
  if (!all_must_have_ended) return;
  for (const auto id : open_)
    broken(fmt::format("run {} never ended: it is {}, and nothing has gone wrong for a long time", id.value,
                       name_of(runs_.at(id).state)));
}

}  // namespace scheduler::simulation
