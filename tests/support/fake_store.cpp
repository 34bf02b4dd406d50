#include "support/fake_store.hpp"

#include "domain/run_group.hpp"
#include "domain/transitions.hpp"
#include "domain/urgency.hpp"
#include "infrastructure/sqlite/sqlite_store.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <limits>
#include <memory>
#include <ranges>
#include <string_view>
#include <tuple>
#include <utility>
#include <variant>

namespace scheduler::testing_support {

using namespace application;
using domain::Event;
using domain::RunState;

// Runs the given body between the two places where a call can fail. The body must not co_await.
#define FAKE_CALL(name, ...)                                                   \
  do {                                                                         \
    const auto verdict_ = store_.faults_.call(name);                           \
    if (verdict_.fails_before) co_return FaultInjector::error(name);           \
    auto result_ = (__VA_ARGS__)();                                            \
    if (result_ && verdict_.fails_after) co_return FaultInjector::error(name); \
    co_return result_;                                                         \
  } while (0)

namespace {

Event event_of(const Ended& it) {
  if (std::holds_alternative<domain::RetryAt>(it.next))
    return it.attempt_state == domain::AttemptState::lost ? Event::rescue : Event::retry;
  switch (std::get<domain::End>(it.next).state) {
    case RunState::succeeded:
      return Event::succeed;
    case RunState::timed_out:
      return Event::time_out;
    case RunState::cancelled:
      return Event::cancel;
    default:
      return it.attempt_state == domain::AttemptState::lost ? Event::give_up : Event::fail;
  }
}

bool is_held(const domain::TaskRun& run) { return run.state == RunState::dispatched || run.state == RunState::running; }

bool is_active(const domain::TaskRun& run) { return run.state == RunState::pending || is_held(run); }

}  // namespace

class FakeStore::Tasks final : public TaskRepository {
 public:
  explicit Tasks(FakeStore& store) : store_(store) {}

  Async<domain::Task> create(domain::Task task) override {
    FAKE_CALL("create", [&]() -> SchedulerResult<domain::Task> {
      for (const auto& [id, other] : store_.task_rows)
        if (other.spec.name == task.spec.name) return fail(ErrorKind::DuplicateTaskName, "a task of that name exists");
      task.id = TaskId{store_.next_task_++};
      task.version = 1;
      task.created_at = task.updated_at = store_.clock_.now();
      return store_.task_rows.emplace(task.id, task).first->second;
    });
  }
  Async<domain::Task> get(TaskId id) override {
    FAKE_CALL("get", [&]() -> SchedulerResult<domain::Task> {
      const auto found = store_.task_rows.find(id);
      if (found == store_.task_rows.end()) return fail(ErrorKind::TaskNotFound, "there is no such task");
      return found->second;
    });
  }
  Async<domain::Task> find(std::string name) override {
    FAKE_CALL("find", [&]() -> SchedulerResult<domain::Task> {
      for (const auto& [id, task] : store_.task_rows)
        if (task.spec.name == name) return task;
      return fail(ErrorKind::TaskNotFound, "there is no task of that name");
    });
  }
  Async<Page<domain::Task>> list(TaskFilter, Paging) override {
    FAKE_CALL("list", [&]() -> SchedulerResult<Page<domain::Task>> {
      Page<domain::Task> page;
      for (const auto& [id, task] : store_.task_rows) page.items.push_back(task);
      return page;
    });
  }
  Async<domain::Task> update(domain::Task task, std::optional<domain::SlotDecision> skipped) override {
    FAKE_CALL("update", [&]() -> SchedulerResult<domain::Task> {
      const auto found = store_.task_rows.find(task.id);
      if (found == store_.task_rows.end()) return fail(ErrorKind::TaskNotFound, "there is no such task");
      auto& row = found->second;
      if (row.version != task.version) return fail(ErrorKind::Conflict, "the task has changed meanwhile");
      ++task.version;
      task.updated_at = store_.clock_.now();
      const auto watermark = row.watermark;
      row = task;
      const auto left = skipped && watermark ? domain::left_after(*skipped, *watermark) : skipped;
      if (left) store_.slot_rows.push_back({task.id, *left});
      store_.quarantined.erase(task.id);
      return row;
    });
  }
  Async<void> archive(TaskId id) override {
    FAKE_CALL("archive", [&]() -> SchedulerResult<void> {
      store_.task_rows.erase(id);
      return {};
    });
  }
  Async<std::vector<DependencyEdge>> edges(std::vector<TaskId> of, std::size_t limit) override {
    FAKE_CALL("edges", [&]() -> SchedulerResult<std::vector<DependencyEdge>> {
      std::vector<DependencyEdge> all;
      const auto asked = [&](TaskId task) { return std::ranges::find(of, task) != of.end(); };
      for (const auto& [id, task] : store_.task_rows)
        for (const auto upstream : task.spec.dependencies)
          if (all.size() < limit && (asked(id) || asked(upstream))) all.push_back({id, upstream});
      return all;
    });
  }
  Async<std::vector<TaskStanding>> standings(std::vector<TaskId> ids) override {
    FAKE_CALL("standings", [&]() -> SchedulerResult<std::vector<TaskStanding>> {
      std::vector<TaskStanding> all;
      for (const auto& [id, task] : store_.task_rows) {
        if (std::ranges::find(ids, id) == ids.end()) continue;
        all.push_back({.id = id, .name = task.spec.name, .status = task.spec.status, .schedule = task.spec.schedule});
        for (const auto& [run, row] : store_.run_rows)
          if (row.task == id) all.back().last_run = run, all.back().last_state = row.state;
      }
      return all;
    });
  }
  Async<std::vector<TaskId>> dependants(TaskId id) override {
    FAKE_CALL("dependants", [&]() -> SchedulerResult<std::vector<TaskId>> {
      std::vector<TaskId> all;
      for (const auto& [other, task] : store_.task_rows)
        if (std::ranges::count(task.spec.dependencies, id) > 0) all.push_back(other);
      return all;
    });
  }

 private:
  FakeStore& store_;
};

class FakeStore::Slots final : public SlotRepository {
 public:
  explicit Slots(FakeStore& store) : store_(store) {}

  Async<FireView> due(std::size_t limit) override {
    FAKE_CALL("slots.due", [&]() -> SchedulerResult<FireView> {
      FireView view{.now = store_.clock_.now()};
      for (const auto& [id, task] : store_.task_rows) {
        if (!task.next_fire_at || task.spec.status != domain::TaskStatus::active || store_.quarantined.contains(id))
          continue;
        if (*task.next_fire_at > view.now)
          view.next_fire_at = std::min(view.next_fire_at.value_or(*task.next_fire_at), *task.next_fire_at);
        else if (view.due.size() < limit)
          view.due.push_back(task);
      }
      std::ranges::sort(view.due, {}, [](const auto& it) { return std::pair(it.next_fire_at, it.id); });
      return view;
    });
  }

  Async<FireReport> commit(std::vector<Fire> fires) override {
    FAKE_CALL("slots.commit", [&]() -> SchedulerResult<FireReport> {
      FireReport report;
      for (const auto& fire : fires) commit_one(fire, report);
      return report;
    });
  }

  Async<void> quarantine(TaskId task, std::int64_t version) override {
    FAKE_CALL("quarantine", [&]() -> SchedulerResult<void> {
      if (store_.task_rows.at(task).version == version) store_.quarantined.insert(task);
      return {};
    });
  }

  Async<std::vector<domain::SlotRecord>> recorded(TaskId task, std::vector<TimePoint> slots) override {
    FAKE_CALL("recorded", [&]() -> SchedulerResult<std::vector<domain::SlotRecord>> {
      std::vector<domain::SlotRecord> records;
      for (const auto& row : store_.slot_rows) {
        const auto& it = row.decision;
        const auto first = std::ranges::lower_bound(slots, it.first);
        if (row.task != task || first == slots.end() || *first > it.last) continue;
        records.push_back({.first = it.first,
                           .last = it.last,
                           .fired = it.fire,
                           .reason = it.fire && row.cause ? domain::Reason::overlap : it.reason,
                           .runs = it.fire ? 1 : 0,
                           .shards = it.fire ? 1 : 0,
                           .run = row.run,
                           .cause = row.cause,
                           .decided_at = store_.clock_.now()});
      }
      return records;
    });
  }

 private:
  void commit_one(const Fire& fire, FireReport& report) {
    auto& task = store_.task_rows.at(fire.task.id);
    if (task.version != fire.task.version || task.watermark != fire.task.watermark) {
      ++report.lost_races;
      return;
    }
    for (const auto& slot : fire.plan.slots) {
      if (slot.fire) {
        start(task, slot, report);
      } else {
        store_.slot_rows.push_back({task.id, slot});
        ++report.skipped;
      }
    }
    task.watermark = fire.plan.watermark;
    task.next_fire_at = fire.plan.next_fire_at;
  }

  void start(const domain::Task& task, const domain::SlotDecision& slot, FireReport& report) {
    int active = 0, queued = 0;
    std::optional<RunId> first_active, first_queued;
    for (const auto& [id, run] : store_.run_rows) {
      if (run.task != task.id) continue;
      if (is_active(run) && active++ == 0) first_active = id;
      if (run.state == RunState::waiting && queued++ == 0) first_queued = id;
    }
    const auto action = domain::on_overlap(task.spec.overlap_policy, active, queued);
    const auto cause = domain::overlap_cause(action, first_active, first_queued);
    auto run = store_.new_run(task, domain::Trigger::schedule);
    run.slot = slot.first;
    run.due_at = slot.due_at.value_or(slot.first);
    if (action == domain::OverlapAction::skip) {
      store_.slot_rows.push_back(
          {task.id, {slot.first, slot.last, false, domain::Reason::overlap}, std::nullopt, cause});
      ++report.skipped;
      return;
    }
    if (action == domain::OverlapAction::replace_then_wait) replace(task.id, report);
    if (action != domain::OverlapAction::start) run.state = RunState::waiting;
    ++report.runs;
    store_.slot_rows.push_back({task.id, slot, store_.insert(run), cause});
  }

  void replace(TaskId task, FireReport& report) {
    for (auto& [id, run] : store_.run_rows) {
      if (run.task != task || domain::is_terminal(run.state)) continue;
      if (run.state == RunState::waiting) {
        store_.move(run, Event::skip);
        run.reason = domain::Reason::overlap;
        run.message = "a later fire took its place";
      } else if (run.state == RunState::pending) {
        store_.move(run, Event::cancel);
        run.reason = domain::Reason::overlap;
        run.message = "a later fire took its place";
      } else {
        if (!run.cancel_requested()) run.cancel_reason = domain::Reason::overlap;
        report.to_cancel.push_back({.run = id, .token = run.token, .incarnation = *run.incarnation});
      }
    }
  }

  FakeStore& store_;
};

class FakeStore::Dispatch final : public DispatchRepository {
 public:
  explicit Dispatch(FakeStore& store) : store_(store) {}

  Async<DispatchView> view() override {
    FAKE_CALL("view", [&]() -> SchedulerResult<DispatchView> {
      DispatchView view{.now = store_.clock_.now()};
      for (const auto& [id, row] : store_.worker_rows) {
        if (row.info.state != domain::WorkerState::alive) continue;
        const auto held = std::ranges::count_if(
            store_.run_rows, [&](const auto& it) { return is_held(it.second) && it.second.incarnation == id; });
        view.workers.push_back({row.info, static_cast<int>(held)});
      }
      std::ranges::sort(view.workers, {}, [](const auto& it) { return it.worker.id; });
      std::set<std::string> routes;
      for (const auto& [id, run] : store_.run_rows) {
        if (run.state != RunState::pending) continue;
        if (run.due_at <= view.now)
          routes.insert(route(run));
        else
          view.next_due = std::min(view.next_due.value_or(run.due_at), run.due_at);
      }
      view.routes.assign(routes.begin(), routes.end());
      return view;
    });
  }

  Async<std::vector<DueRun>> due(std::vector<std::string> routes, std::size_t limit, Seconds ageing) override {
    FAKE_CALL("due", [&]() -> SchedulerResult<std::vector<DueRun>> {
      std::vector<const domain::TaskRun*> rows;
      for (const auto& [id, run] : store_.run_rows)
        if (run.state == RunState::pending && run.due_at <= store_.clock_.now() &&
            std::ranges::find(routes, route(run)) != routes.end())
          rows.push_back(&run);
      std::ranges::sort(rows, {}, [ageing](const auto* it) {
        return std::tuple(domain::urgency(it->priority, it->due_at, ageing), it->id);
      });
      std::vector<DueRun> due;
      for (const auto* run : rows | std::views::take(limit))
        due.push_back({{run->id, run->token, route(*run)}, work(*run), store_.upstream_rows.contains(run->id)});
      return due;
    });
  }

  Async<std::unordered_map<RunId, UpstreamOutput>> upstream_outputs(std::vector<RunId> runs,
                                                                    std::size_t bytes_max) override {
    using Outputs = std::unordered_map<RunId, UpstreamOutput>;
    FAKE_CALL("upstream_outputs", [&]() -> SchedulerResult<Outputs> {
      Outputs outputs;
      for (const auto id : runs | std::views::take(std::min(bytes_max, store_.upstream_runs_max)))
        outputs.emplace(id, store_.upstream_rows.at(id));
      return outputs;
    });
  }
  Async<std::size_t> join_line() override { co_return 0; }

  Async<std::vector<bool>> mark_dispatched(std::vector<Dispatching> batch) override {
    FAKE_CALL("mark_dispatched", [&]() -> SchedulerResult<std::vector<bool>> {
      std::vector<bool> won;
      for (const auto& it : batch) {
        auto& run = store_.run_rows.at(it.run);
        const auto worker = store_.worker_rows.find(it.incarnation);
        const bool gone = worker != store_.worker_rows.end() && worker->second.info.state != domain::WorkerState::alive;
        won.push_back(run.token == it.token_seen && !gone && store_.move(run, Event::dispatch));
        if (!won.back()) continue;
        if (run.due_at > store_.clock_.now()) store_.violations.push_back("a run was dispatched before it was due");
        store_.set_token(run, run.token + 1);
        ++run.attempt;
        run.worker = it.worker;
        run.incarnation = it.incarnation;
        run.dispatched_at = store_.clock_.now();
        run.started_at.reset();
      }
      return won;
    });
  }

  Async<RunContexts> contexts(std::vector<RunId> runs) override {
    FAKE_CALL("contexts", [&]() -> SchedulerResult<RunContexts> {
      RunContexts all{.now = store_.clock_.now()};
      for (const auto id : runs)
        if (const auto found = store_.run_rows.find(id); found != store_.run_rows.end())
          all.runs.emplace(id, context(found->second));
      return all;
    });
  }

  Async<std::vector<Applied>> apply(std::vector<RunChange> batch) override {
    FAKE_CALL("apply", [&]() -> SchedulerResult<std::vector<Applied>> {
      std::vector<Applied> applied;
      for (const auto& change : batch)
        applied.push_back(std::visit([this](const auto& it) { return apply_or_not(it); }, change));
      return applied;
    });
  }

  Async<std::vector<AssignedRun>> assigned(IncarnationId incarnation, TimePoint before) override {
    FAKE_CALL("assigned", [&]() -> SchedulerResult<std::vector<AssignedRun>> {
      std::vector<AssignedRun> all;
      for (const auto& [id, run] : store_.run_rows)
        if (is_held(run) && run.incarnation == incarnation && run.dispatched_at < before)
          all.push_back({id, run.token, incarnation, run.state, *run.dispatched_at,
                         store_.missing_since[id].has_value(), run.cancel_reason});
      return all;
    });
  }

  Async<void> mark_missing(std::vector<RunId> missing, std::vector<RunId> found) override {
    FAKE_CALL("mark_missing", [&]() -> SchedulerResult<void> {
      for (const auto id : missing) store_.missing_since[id] = store_.clock_.now();
      for (const auto id : found) store_.missing_since[id].reset();
      return {};
    });
  }

  Async<RescueView> to_rescue(std::size_t limit) override {
    FAKE_CALL("to_rescue", [&]() -> SchedulerResult<RescueView> {
      RescueView view{.now = store_.clock_.now()};
      for (const auto& [id, run] : store_.run_rows) {
        if (!is_held(run) || view.orphaned.size() + view.overdue.size() >= limit) continue;
        const auto worker = store_.worker_rows.find(*run.incarnation);
        const bool dead = worker == store_.worker_rows.end() || worker->second.info.state == domain::WorkerState::dead;
        const auto missing = store_.missing_since[id];
        const auto timeout = store_.task_rows.at(run.task).spec.timeout;
        if (dead || (missing && *missing + kMissingGrace <= view.now))
          view.orphaned.push_back(context(run));
        else if (run.state == RunState::running && *run.started_at + timeout + kOverdueGrace < view.now)
          view.overdue.push_back(context(run));
      }
      return view;
    });
  }

 private:
  [[nodiscard]] std::string route(const domain::TaskRun& run) const {
    return domain::route_of(store_.task_rows.at(run.task).spec);
  }
  [[nodiscard]] TaskExecution work(const domain::TaskRun& run) const {
    const auto& spec = store_.task_rows.at(run.task).spec;
    return {.run = run.id,
            .task = run.task,
            .task_name = spec.name,
            .task_type = spec.task_type,
            .parameters = run.parameters.value_or(spec.parameters),
            .attempt = run.attempt + 1,
            .token = run.token + 1,
            .timeout = spec.timeout};
  }
  [[nodiscard]] RunContext context(const domain::TaskRun& run) const {
    const auto& spec = store_.task_rows.at(run.task).spec;
    RunContext it{run, {spec.max_retries, spec.retry_backoff, spec.retry_on, spec.max_lost_attempts, spec.delivery}};
    for (const auto& attempt : store_.attempt_rows)
      if (attempt.run == run.id && attempt.state == domain::AttemptState::lost)
        it.run.lost_workers += (it.run.lost_workers.empty() ? "" : ", ") + attempt.worker.value;
    return it;
  }

  Applied apply_or_not(const auto& it) {
    const auto found = store_.run_rows.find(it.run);
    const auto due_at = found == store_.run_rows.end() ? TimePoint{} : found->second.due_at;
    return {apply_one(it), due_at};
  }

  bool apply_one(const Started& it) {
    const auto found = store_.run_rows.find(it.run);
    if (found == store_.run_rows.end() || found->second.token != it.token) return false;
    if (!store_.move(found->second, Event::start)) return false;
    found->second.started_at = it.started_at;
    return true;
  }

  bool apply_one(const Ended& it) {
    const auto found = store_.run_rows.find(it.run);
    if (found == store_.run_rows.end() || found->second.token != it.token) return false;
    auto& run = found->second;
    if (!store_.move(run, event_of(it))) return false;
    if (it.started_at) run.started_at = it.started_at;
    store_.attempt_rows.push_back({.run = run.id,
                                   .number = run.attempt,
                                   .token = run.token,
                                   .state = it.attempt_state,
                                   .worker = *run.worker,
                                   .incarnation = *run.incarnation,
                                   .dispatched_at = run.dispatched_at,
                                   .started_at = run.started_at,
                                   .ended_at = it.ended_at,
                                   .reason = it.outcome.reason,
                                   .message = it.outcome.message});
    store_.line_counts[{run.id, run.attempt}] = it.log_lines;
    store_.missing_since.erase(run.id);
    if (it.revoke) store_.set_token(run, run.token + 1);
    if (it.attempt_state == domain::AttemptState::lost) ++run.lost_attempts;
    if (const auto* retry = std::get_if<domain::RetryAt>(&it.next)) {
      run.due_at = retry->due;
      run.worker.reset();
      run.incarnation.reset();
    } else {
      run.ended_at = it.ended_at;
      run.reason = it.outcome.reason;
      run.message = it.outcome.message;
      if (run.state == RunState::cancelled && run.reason == domain::Reason::none) run.reason = run.cancel_reason;
      if (run.state == RunState::succeeded && it.outcome.output) store_.output_rows[run.id] = *it.outcome.output;
      store_.let_waiting_go(run.task);
    }
    return true;
  }

  bool apply_one(const Returned& it) {
    const auto found = store_.run_rows.find(it.run);
    if (found == store_.run_rows.end() || found->second.token != it.token) return false;
    auto& run = found->second;
    if (!store_.move(run, Event::hand_back)) return false;
    store_.set_token(run, run.token + 1);
    store_.missing_since.erase(run.id);
    --run.attempt;
    run.due_at = store_.clock_.now();
    run.worker.reset();
    run.incarnation.reset();
    return true;
  }

  FakeStore& store_;
};

class FakeStore::Runs final : public RunRepository {
 public:
  explicit Runs(FakeStore& store) : store_(store) {}

  Async<std::vector<NewRuns>> insert_all(std::vector<NewRun> batch) override {
    if (!batch.empty()) store_.last_insert = batch.back();
    FAKE_CALL("insert", [&]() -> SchedulerResult<std::vector<NewRuns>> {
      for (const auto& wanted : batch)
        if (!store_.task_rows.contains(wanted.task)) return fail(ErrorKind::TaskNotFound, "there is no such task");
      std::vector<NewRuns> all;
      for (const auto& wanted : batch) {
        TRY(all.emplace_back(), insert_one(wanted));
      }
      return all;
    });
  }
  Async<std::vector<domain::TaskRun>> group(RunId any) override {
    FAKE_CALL("runs.group", [&]() -> SchedulerResult<std::vector<domain::TaskRun>> {
      if (!store_.run_rows.contains(any)) return fail(ErrorKind::RunNotFound, "there is no such run");
      return newest_of_group(any);
    });
  }
  Async<NewRuns> retry_group(RunId any) override {
    FAKE_CALL("retry_group", [&]() -> SchedulerResult<NewRuns> {
      NewRuns again;
      for (const auto& run : newest_of_group(any)) {
        if (!domain::is_run_again(run.state)) continue;
        auto next = store_.new_run(store_.task_rows.at(run.task), domain::Trigger::retry);
        next.retry_of = run.id;
        next.group = run.group;
        next.parameters = run.parameters;
        next.shard_index = run.shard_index;
        next.shard_total = run.shard_total;
        again.runs.push_back(store_.run_rows.at(store_.insert(next)));
      }
      if (again.runs.empty()) return fail(ErrorKind::Conflict, "nothing to run again");
      return again;
    });
  }
  Async<domain::TaskRun> get(RunId id) override {
    FAKE_CALL("runs.get", [&]() -> SchedulerResult<domain::TaskRun> {
      const auto found = store_.run_rows.find(id);
      if (found == store_.run_rows.end()) return fail(ErrorKind::RunNotFound, "there is no such run");
      return found->second;
    });
  }
  Async<Page<domain::TaskRun>> list(RunFilter filter, Paging) override {
    FAKE_CALL("runs.list", [&]() -> SchedulerResult<Page<domain::TaskRun>> {
      Page<domain::TaskRun> page;
      for (const auto& [id, run] : store_.run_rows)
        if ((!filter.task || run.task == *filter.task) && (!filter.state || run.state == *filter.state))
          page.items.push_back(run);
      return page;
    });
  }
  Async<std::vector<domain::Attempt>> attempts(RunId id) override {
    FAKE_CALL("attempts", [&]() -> SchedulerResult<std::vector<domain::Attempt>> {
      std::vector<domain::Attempt> all;
      for (const auto& it : store_.attempt_rows)
        if (it.run == id) all.push_back(it);
      return all;
    });
  }
  Async<std::optional<std::string>> output(RunId id) override {
    FAKE_CALL("output", [&]() -> SchedulerResult<std::optional<std::string>> {
      const auto found = store_.output_rows.find(id);
      return found == store_.output_rows.end() ? std::nullopt : std::optional(found->second);
    });
  }
  Async<std::vector<domain::UpstreamRun>> upstreams(RunId) override { co_return std::vector<domain::UpstreamRun>{}; }
  Async<std::optional<std::int64_t>> log_lines(RunId id, int attempt) override {
    FAKE_CALL("log_lines", [&]() -> SchedulerResult<std::optional<std::int64_t>> {
      const auto found = store_.line_counts.find({id, attempt});
      if (found == store_.line_counts.end()) return std::optional<std::int64_t>{};
      return std::optional(found->second);
    });
  }
  Async<Cancelled> cancel(RunId id) override {
    FAKE_CALL("cancel", [&]() -> SchedulerResult<Cancelled> {
      const auto found = store_.run_rows.find(id);
      if (found == store_.run_rows.end()) return fail(ErrorKind::RunNotFound, "there is no such run");
      auto& run = found->second;
      if (domain::is_terminal(run.state)) return fail(ErrorKind::Conflict, "the run has ended");
      if (is_held(run)) {
        if (!run.cancel_requested()) run.cancel_reason = domain::Reason::cancelled_by_user;
        return Cancelled{run, AssignedRun{.run = id, .token = run.token, .incarnation = *run.incarnation}};
      }
      store_.move(run, Event::cancel);
      run.cancel_reason = run.reason = domain::Reason::cancelled_by_user;
      run.message = "cancelled before it was dispatched";
      run.ended_at = store_.clock_.now();
      return Cancelled{run, std::nullopt};
    });
  }
  Async<TaskStats> stats(TaskId) override { co_return TaskStats{}; }

 private:
  SchedulerResult<NewRuns> insert_one(const NewRun& wanted) {
    const auto& task = store_.task_rows.at(wanted.task);
    NewRuns made;
    if (wanted.idempotency_key) {
      const auto known = store_.keys_.find({wanted.task, *wanted.idempotency_key});
      made.existed = known != store_.keys_.end();
      if (made.existed)
        for (const auto id : known->second) made.runs.push_back(store_.run_rows.at(id));
    }
    if (made.existed && made.runs.front().parameters != wanted.parameters)
      return fail(ErrorKind::Conflict, "the key was used with other parameters");
    if (made.existed) return made;
    for (int i = 0; i < task.spec.shard_count; ++i) {
      auto run = store_.new_run(task, wanted.trigger);
      run.retry_of = wanted.retry_of;
      run.parameters = wanted.parameters;
      run.due_at = std::max(run.due_at, wanted.run_at.value_or(run.due_at));
      run.shard_index = i;
      run.shard_total = task.spec.shard_count;
      const auto id = store_.insert(run);
      auto& row = store_.run_rows.at(id);
      if (run.shard_total > 1) row.group = made.runs.empty() ? id : made.runs.front().id;
      made.runs.push_back(row);
      if (wanted.idempotency_key) store_.keys_[{wanted.task, *wanted.idempotency_key}].push_back(id);
    }
    return made;
  }

  std::vector<domain::TaskRun> newest_of_group(RunId any) const {
    const auto& run = store_.run_rows.at(any);
    if (!run.group) return {run};
    std::map<int, domain::TaskRun> newest;
    for (const auto& [id, it] : store_.run_rows)
      if (it.group == run.group) newest[it.shard_index] = it;
    std::vector<domain::TaskRun> runs;
    for (const auto& [shard, it] : newest) runs.push_back(it);
    return runs;
  }

  FakeStore& store_;
};

class FakeStore::Logs final : public RunLogRepository {
 public:
  explicit Logs(FakeStore& store) : store_(store) {}

  Async<void> append(std::vector<LogChunk> chunks) override {
    FAKE_CALL("append", [&]() -> SchedulerResult<void> {
      for (auto& it : chunks) {
        const bool known = std::ranges::any_of(store_.log_rows, [&](const auto& row) {
          return row.run == it.run && row.attempt == it.attempt && row.first_line == it.first_line;
        });
        if (!known) store_.log_rows.push_back(std::move(it));
      }
      return {};
    });
  }
  Async<std::vector<LogChunk>> read(RunId run, int attempt, std::int64_t after_line, std::size_t) override {
    FAKE_CALL("read", [&]() -> SchedulerResult<std::vector<LogChunk>> {
      std::vector<LogChunk> found;
      for (const auto& it : store_.log_rows)
        if (it.run == run && it.attempt == attempt && it.first_line + it.lines - 1 > after_line) found.push_back(it);
      std::ranges::sort(found, {}, &LogChunk::first_line);
      return found;
    });
  }

 private:
  FakeStore& store_;
};

class FakeStore::Workers final : public WorkerRepository {
 public:
  explicit Workers(FakeStore& store) : store_(store) {}

  Async<HeartbeatReply> heartbeat(WorkerHeartbeat beat, Seconds timeout) override {
    FAKE_CALL("heartbeat", [&]() -> SchedulerResult<HeartbeatReply> {
      HeartbeatReply reply;
      const auto now = store_.clock_.now();
      auto [it, added] = store_.worker_rows.try_emplace(beat.worker.incarnation);
      auto& row = it->second;
      if (!added && row.info.state == domain::WorkerState::dead) {
        reply.dead = true;
        reply.replaced = row.replaced;
        return reply;
      }
      const auto registered_at = added ? now : row.info.registered_at;
      if (added) row.order = store_.next_worker_++;
      const bool draining = !added && row.info.state == domain::WorkerState::draining;
      row.info = beat.worker;
      if (draining) row.info.state = domain::WorkerState::draining;
      row.info.registered_at = registered_at;
      row.info.heartbeat_at = now;
      row.info.heartbeat_due = now + timeout;
      reply.registered = added;
      reply.draining = draining;
      for (auto& [id, other] : store_.worker_rows) {
        if (added || other.order >= row.order || other.info.id != beat.worker.id ||
            other.info.state == domain::WorkerState::dead)
          continue;
        other.replaced = true;
        die(other, "replaced by a new start");
        reply.declared_dead.push_back(id);
      }
      if (beat.leaving) die(row, "left");
      return reply;
    });
  }
  Async<std::vector<domain::WorkerInfo>> expire() override {
    FAKE_CALL("expire", [&]() -> SchedulerResult<std::vector<domain::WorkerInfo>> {
      std::vector<domain::WorkerInfo> dead;
      for (auto& [id, row] : store_.worker_rows) {
        if (row.info.state == domain::WorkerState::dead || !is_silent(row.info, store_.clock_.now())) continue;
        die(row, "its heartbeats stopped");
        dead.push_back(row.info);
      }
      return dead;
    });
  }
  Async<void> extend_deadlines(Seconds timeout) override {
    FAKE_CALL("extend_deadlines", [&]() -> SchedulerResult<void> {
      for (auto& [id, row] : store_.worker_rows)
        row.info.heartbeat_due = std::max(row.info.heartbeat_due, store_.clock_.now() + timeout);
      return {};
    });
  }
  Async<std::vector<domain::WorkerInfo>> list() override {
    FAKE_CALL("workers.list", [&]() -> SchedulerResult<std::vector<domain::WorkerInfo>> {
      std::vector<domain::WorkerInfo> all;
      for (const auto& [id, row] : store_.worker_rows) all.push_back(row.info);
      return all;
    });
  }
  Async<domain::WorkerInfo> get(WorkerId id) override {
    FAKE_CALL("workers.get", [&]() -> SchedulerResult<domain::WorkerInfo> {
      auto* row = newest(id);
      if (!row) return fail(ErrorKind::WorkerNotFound, "there is no such worker");
      return row->info;
    });
  }
  Async<domain::WorkerInfo> set_draining(WorkerId id, bool draining) override {
    FAKE_CALL("set_draining", [&]() -> SchedulerResult<domain::WorkerInfo> {
      auto* row = newest(id);
      if (!row) return fail(ErrorKind::WorkerNotFound, "there is no such worker");
      if (row->info.state == domain::WorkerState::dead) return fail(ErrorKind::Conflict, "the worker is dead");
      row->info.state = draining ? domain::WorkerState::draining : domain::WorkerState::alive;
      return row->info;
    });
  }

 private:
  void die(WorkerRow& row, std::string why) {
    row.info.state = domain::WorkerState::dead;
    row.info.state_reason = std::move(why);
  }
  WorkerRow* newest(const WorkerId& id) {
    WorkerRow* found = nullptr;
    for (auto& [incarnation, row] : store_.worker_rows)
      if (row.info.id == id && (!found || row.info.registered_at >= found->info.registered_at)) found = &row;
    return found;
  }

  FakeStore& store_;
};

FakeStore::FakeStore(const Clock& clock, FaultInjector& faults)
    : clock_(clock),
      faults_(faults),
      tasks_(std::make_unique<Tasks>(*this)),
      slots_(std::make_unique<Slots>(*this)),
      dispatch_(std::make_unique<Dispatch>(*this)),
      runs_(std::make_unique<Runs>(*this)),
      logs_(std::make_unique<Logs>(*this)),
      workers_(std::make_unique<Workers>(*this)) {}
FakeStore::~FakeStore() = default;

TaskRepository& FakeStore::tasks() { return *tasks_; }
SlotRepository& FakeStore::slots() { return *slots_; }
DispatchRepository& FakeStore::dispatch() { return *dispatch_; }
RunRepository& FakeStore::runs() { return *runs_; }
RunLogRepository& FakeStore::logs() { return *logs_; }
WorkerRepository& FakeStore::workers() { return *workers_; }
AccountStore& FakeStore::accounts() {
  if (!account_rows_)
    account_rows_ =
        *infrastructure::SqliteStore::open(clock_, {.path = ":memory:", .mode = database::sqlite::Mode::inline_});
  return account_rows_->accounts();
}

Async<TimePoint> FakeStore::now() {
  if (faults_.call("now").fails_before) co_return FaultInjector::error("now");
  co_return clock_.now();
}

Async<StoreStats> FakeStore::stats() {
  if (faults_.call("stats").fails_before) co_return FaultInjector::error("stats");
  StoreStats stats;
  for (const auto& [id, task] : task_rows)
    ++(task.spec.status == domain::TaskStatus::active ? stats.tasks_active : stats.tasks_paused);
  for (const auto& [id, run] : run_rows)
    if (!domain::is_terminal(run.state)) ++stats.active_runs[std::string(name_of(run.state))];
  co_return stats;
}

Async<void> FakeStore::check_writable() {
  if (faults_.call("check_writable").fails_before) co_return FaultInjector::error("check_writable");
  co_return SchedulerResult<void>{};
}

Async<void> FakeStore::note_dispatcher(IncarnationId life, Seconds silence) {
  const auto verdict = faults_.call("note_dispatcher");
  if (verdict.fails_before) co_return FaultInjector::error("note_dispatcher");
  dispatcher_rows[life] = {clock_.now(), clock_.now() + silence};
  if (verdict.fails_after) co_return FaultInjector::error("note_dispatcher");
  co_return SchedulerResult<void>{};
}

Async<DispatchersSeen> FakeStore::dispatchers() {
  if (faults_.call("dispatchers").fails_before) co_return FaultInjector::error("dispatchers");
  DispatchersSeen seen;
  for (const auto& [life, it] : dispatcher_rows) {
    seen.alive += it.due > clock_.now();
    seen.last_seen = std::max(seen.last_seen.value_or(it.seen_at), it.seen_at);
  }
  co_return seen;
}

TaskId FakeStore::add_task(domain::TaskSpec spec, std::optional<TimePoint> watermark,
                           std::optional<TimePoint> next_fire_at) {
  const TaskId id{next_task_++};
  if (spec.name.empty()) spec.name = fmt::format("task {}", id.value);
  if (spec.task_type.empty()) spec.task_type = "noop";
  task_rows.emplace(id, domain::Task{.id = id,
                                     .spec = std::move(spec),
                                     .created_at = clock_.now(),
                                     .updated_at = clock_.now(),
                                     .watermark = watermark,
                                     .next_fire_at = next_fire_at});
  return id;
}

RunId FakeStore::add_run(TaskId task, RunState state) {
  auto run = new_run(task_rows.at(task), domain::Trigger::manual);
  run.state = state;
  return insert(std::move(run));
}

RunId FakeStore::add_held_run(TaskId task, WorkerId worker, IncarnationId incarnation, RunState state) {
  auto run = new_run(task_rows.at(task), domain::Trigger::manual);
  run.state = state;
  run.token = 1;
  run.attempt = 1;
  run.worker = std::move(worker);
  run.incarnation = incarnation;
  run.dispatched_at = clock_.now();
  if (state == RunState::running) run.started_at = clock_.now();
  return insert(std::move(run));
}

void FakeStore::add_worker(domain::WorkerInfo info) {
  const auto id = info.incarnation;
  worker_rows.insert_or_assign(id, WorkerRow{std::move(info), false, next_worker_++});
}

std::vector<std::string> FakeStore::faults_of_rows() const {
  auto faults = violations;
  for (const auto& [id, run] : run_rows) {
    const auto is = [&](std::string_view what) {
      faults.push_back(fmt::format("run {} ({}) {}", id.value, name_of(run.state), what));
    };
    if (is_held(run) && (!run.worker || !run.incarnation || !run.dispatched_at)) is("is held by nobody");
    if (is_held(run) && run.attempt < 1) is("is held without an attempt");
    if (run.state == RunState::running && !run.started_at) is("runs without a start");
    if (run.attempt < 0 || run.lost_attempts > run.attempt) is("has lost more attempts than it had");
    if (run.token < run.attempt) is("had more attempts than tokens");
    const auto& spec = task_rows.at(run.task).spec;
    if (run.attempt - run.lost_attempts > spec.max_retries + 1) is("had more attempts than it may");
    if (run.lost_attempts > spec.max_lost_attempts) is("lost more workers than it may");
    if (domain::is_terminal(run.state) && run.state != RunState::succeeded && run.reason == domain::Reason::none)
      is("ended without a reason");
    const auto good = std::ranges::count_if(
        attempt_rows, [&](const auto& it) { return it.run == id && it.state == domain::AttemptState::succeeded; });
    if (good > 1) is("has two committed results");
  }
  std::map<std::pair<TaskId, TimePoint>, int> fired;
  for (const auto& row : slot_rows)
    if (++fired[{row.task, row.decision.first}] > 1)
      faults.push_back(fmt::format("task {} has a slot with two dispositions", row.task.value));
  return faults;
}

bool FakeStore::move(domain::TaskRun& run, Event event) {
  const auto next = domain::after(run.state, event);
  if (!next) return false;
  run.state = *next;
  return true;
}

void FakeStore::set_token(domain::TaskRun& run, Token token) {
  if (token <= run.token) violations.push_back(fmt::format("the token of run {} does not grow", run.id.value));
  run.token = token;
}

void FakeStore::let_waiting_go(TaskId task) {
  for (const auto& [id, run] : run_rows)
    if (run.task == task && is_active(run)) return;
  for (auto& [id, run] : run_rows)
    if (run.task == task && run.state == RunState::waiting) {
      move(run, Event::promote);
      run.due_at = clock_.now();
      return;
    }
}

domain::TaskRun FakeStore::new_run(const domain::Task& task, domain::Trigger trigger) const {
  return {.task = task.id,
          .task_name = task.spec.name,
          .trigger = trigger,
          .priority = task.spec.priority,
          .created_at = clock_.now(),
          .due_at = clock_.now()};
}

RunId FakeStore::insert(domain::TaskRun run) {
  const RunId id{next_run_++};
  run.id = id;
  run_rows.emplace(id, std::move(run));
  return id;
}

}  // namespace scheduler::testing_support
