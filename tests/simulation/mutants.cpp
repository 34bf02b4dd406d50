#include "simulation/mutants.hpp"

#include "infrastructure/sqlite/rows.hpp"

#include <algorithm>
#include <limits>
#include <map>
#include <utility>

namespace scheduler::simulation {
namespace {

using namespace application;
using database::sqlite::column_of;
using database::sqlite::Connection;
using database::sqlite::Statement;
using domain::AttemptState;

// --- ports that pass everything on; a mutant overrides what it gets wrong ---

class Dispatch : public DispatchRepository {
 public:
  explicit Dispatch(const MutantHost& host) : Dispatch(host, host.store.dispatch()) {}
  Dispatch(const MutantHost& host, DispatchRepository& next) : host_(host), next_(next) {}
  Async<DispatchView> view() override { return next_.view(); }
  Async<std::vector<DueRun>> due(std::vector<std::string> routes, std::size_t limit, Seconds ageing) override {
    return next_.due(std::move(routes), limit, ageing);
  }
  Async<std::size_t> join_line() override { return next_.join_line(); }
  Async<std::unordered_map<RunId, UpstreamOutput>> upstream_outputs(std::vector<RunId> runs,
                                                                    std::size_t bytes_max) override {
    return next_.upstream_outputs(std::move(runs), bytes_max);
  }
  Async<std::vector<bool>> mark_dispatched(std::vector<Dispatching> batch) override {
    return next_.mark_dispatched(std::move(batch));
  }
  Async<RunContexts> contexts(std::vector<RunId> runs) override { return next_.contexts(std::move(runs)); }
  Async<std::vector<Applied>> apply(std::vector<RunChange> batch) override { return next_.apply(std::move(batch)); }
  Async<std::vector<AssignedRun>> assigned(IncarnationId incarnation, TimePoint before) override {
    return next_.assigned(incarnation, before);
  }
  Async<void> mark_missing(std::vector<RunId> missing, std::vector<RunId> found) override {
    return next_.mark_missing(std::move(missing), std::move(found));
  }
  Async<RescueView> to_rescue(std::size_t limit) override { return next_.to_rescue(limit); }

 protected:
  MutantHost host_;
  DispatchRepository& next_;
};

class Slots : public SlotRepository {
 public:
  explicit Slots(const MutantHost& host) : host_(host), next_(host.store.slots()) {}
  Async<FireView> due(std::size_t limit) override { return next_.due(limit); }
  Async<FireReport> commit(std::vector<Fire> fires) override { return next_.commit(std::move(fires)); }
  Async<void> quarantine(TaskId task, std::int64_t version) override { return next_.quarantine(task, version); }
  Async<std::vector<domain::SlotRecord>> recorded(TaskId task, std::vector<TimePoint> slots) override {
    return next_.recorded(task, std::move(slots));
  }

 protected:
  MutantHost host_;
  SlotRepository& next_;
};

class Runs : public RunRepository {
 public:
  explicit Runs(const MutantHost& host) : Runs(host, host.store.runs()) {}
  Runs(const MutantHost& host, RunRepository& next) : host_(host), next_(next) {}
  Async<std::vector<NewRuns>> insert_all(std::vector<NewRun> batch) override {
    return next_.insert_all(std::move(batch));
  }
  Async<std::vector<domain::TaskRun>> group(RunId any) override { return next_.group(any); }
  Async<NewRuns> retry_group(RunId any) override { return next_.retry_group(any); }
  Async<std::optional<std::string>> output(RunId id) override { return next_.output(id); }
  Async<std::vector<domain::UpstreamRun>> upstreams(RunId id) override { return next_.upstreams(id); }
  Async<domain::TaskRun> get(RunId id) override { return next_.get(id); }
  Async<Page<domain::TaskRun>> list(RunFilter filter, Paging paging) override {
    return next_.list(std::move(filter), paging);
  }
  Async<std::vector<domain::Attempt>> attempts(RunId id) override { return next_.attempts(id); }
  Async<std::optional<std::int64_t>> log_lines(RunId id, int attempt) override { return next_.log_lines(id, attempt); }
  Async<Cancelled> cancel(RunId id) override { return next_.cancel(id); }
  Async<TaskStats> stats(TaskId task) override { return next_.stats(task); }

 protected:
  MutantHost host_;
  RunRepository& next_;
};

class Tasks : public TaskRepository {
 public:
  explicit Tasks(const MutantHost& host) : next_(host.store.tasks()) {}
  Async<domain::Task> create(domain::Task task) override { return next_.create(std::move(task)); }
  Async<domain::Task> get(TaskId id) override { return next_.get(id); }
  Async<domain::Task> find(std::string name) override { return next_.find(std::move(name)); }
  Async<Page<domain::Task>> list(TaskFilter filter, Paging paging) override {
    return next_.list(std::move(filter), paging);
  }
  Async<domain::Task> update(domain::Task task, std::optional<domain::SlotDecision> skipped) override {
    return next_.update(std::move(task), skipped);
  }
  Async<void> archive(TaskId id) override { return next_.archive(id); }
  Async<std::vector<TaskId>> dependants(TaskId id) override { return next_.dependants(id); }
  Async<std::vector<DependencyEdge>> edges(std::vector<TaskId> of, std::size_t limit) override {
    return next_.edges(std::move(of), limit);
  }
  Async<std::vector<TaskStanding>> standings(std::vector<TaskId> ids) override {
    return next_.standings(std::move(ids));
  }

 protected:
  TaskRepository& next_;
};

class Workers : public WorkerRepository {
 public:
  explicit Workers(const MutantHost& host) : host_(host), next_(host.store.workers()) {}
  Async<HeartbeatReply> heartbeat(WorkerHeartbeat beat, Seconds timeout) override {
    return next_.heartbeat(std::move(beat), timeout);
  }
  Async<std::vector<domain::WorkerInfo>> expire() override { return next_.expire(); }
  Async<void> extend_deadlines(Seconds timeout) override { return next_.extend_deadlines(timeout); }
  Async<std::vector<domain::WorkerInfo>> list() override { return next_.list(); }
  Async<domain::WorkerInfo> get(WorkerId id) override { return next_.get(std::move(id)); }
  Async<domain::WorkerInfo> set_draining(WorkerId id, bool draining) override {
    return next_.set_draining(std::move(id), draining);
  }

 protected:
  MutantHost host_;
  WorkerRepository& next_;
};

// A store with some of its repositories replaced.
class MutantStore final : public Store {
 public:
  explicit MutantStore(Store& next) : next_(next) {}
  void replace(std::unique_ptr<TaskRepository> it) { tasks_ = std::move(it); }
  void replace(std::unique_ptr<SlotRepository> it) { slots_ = std::move(it); }
  void replace(std::unique_ptr<DispatchRepository> it) { dispatch_ = std::move(it); }
  void replace(std::unique_ptr<RunRepository> it) { runs_ = std::move(it); }
  void replace(std::unique_ptr<WorkerRepository> it) { workers_ = std::move(it); }

  TaskRepository& tasks() override { return tasks_ ? *tasks_ : next_.tasks(); }
  SlotRepository& slots() override { return slots_ ? *slots_ : next_.slots(); }
  DispatchRepository& dispatch() override { return dispatch_ ? *dispatch_ : next_.dispatch(); }
  RunRepository& runs() override { return runs_ ? *runs_ : next_.runs(); }
  RunLogRepository& logs() override { return next_.logs(); }
  WorkerRepository& workers() override { return workers_ ? *workers_ : next_.workers(); }
  AccountStore& accounts() override { return next_.accounts(); }
  Async<TimePoint> now() override { return next_.now(); }
  Async<StoreStats> stats() override { return next_.stats(); }
  Async<void> check_writable() override { return next_.check_writable(); }
  Async<void> note_dispatcher(IncarnationId life, Seconds silence) override {
    return next_.note_dispatcher(life, silence);
  }
  Async<DispatchersSeen> dispatchers() override { return next_.dispatchers(); }
  std::string describe() const override { return next_.describe(); }

 private:
  Store& next_;
  std::unique_ptr<TaskRepository> tasks_;
  std::unique_ptr<SlotRepository> slots_;
  std::unique_ptr<DispatchRepository> dispatch_;
  std::unique_ptr<RunRepository> runs_;
  std::unique_ptr<WorkerRepository> workers_;
};

template <class... Repositories>
std::unique_ptr<Store> at_store(const MutantHost& host) {
  auto store = std::make_unique<MutantStore>(host.store);
  (store->replace(std::make_unique<Repositories>(host)), ...);
  return store;
}

// Behind the guards: what the mutated SQL would have done.
template <class... Values>
Async<void> execute(const MutantHost& host, std::string sql, Values... values) {
  co_return co_await host.store.database().write([&](Connection& connection) -> SchedulerResult<void> {
    CHECK(connection.execute(sql, values...));
    return {};
  });
}

RunId run_of(const RunChange& change) {
  return std::visit([](const auto& it) { return it.run; }, change);
}
std::vector<RunId> runs_of(const std::vector<RunChange>& batch) {
  std::vector<RunId> ids;
  for (const auto& it : batch) ids.push_back(run_of(it));
  return ids;
}

// --- reports ---

struct NoTokenInEndedWrite final : Dispatch {
  using Dispatch::Dispatch;
  Async<std::vector<Applied>> apply(std::vector<RunChange> batch) override {
    CO_TRY(const auto now, next_.contexts(runs_of(batch)));
    for (auto& change : batch)
      if (auto* end = std::get_if<Ended>(&change))
        if (const auto found = now.runs.find(end->run); found != now.runs.end()) end->token = found->second.run.token;
    co_return co_await next_.apply(std::move(batch));
  }
};

struct LateReportRewritesTheEnd final : Dispatch {
  using Dispatch::Dispatch;
  Async<std::vector<Applied>> apply(std::vector<RunChange> batch) override {
    for (const auto& change : batch)
      if (const auto* end = std::get_if<Ended>(&change))
        CO_CHECK(execute(host_, "UPDATE task_runs SET message = ? WHERE id = ? AND ended_at IS NOT NULL",
                         end->outcome.message, end->run));
    co_return co_await next_.apply(std::move(batch));
  }
};

struct ResultsChangePlaces final : Dispatch {
  using Dispatch::Dispatch;
  Async<std::vector<Applied>> apply(std::vector<RunChange> batch) override {
    Ended* first = nullptr;
    for (auto& change : batch) {
      auto* end = std::get_if<Ended>(&change);
      if (end == nullptr || end->attempt_state != AttemptState::succeeded) continue;
      if (first != nullptr) std::swap(first->outcome, end->outcome);
      first = first != nullptr ? nullptr : end;
    }
    co_return co_await next_.apply(std::move(batch));
  }
};

struct BackoffIgnored final : Dispatch {
  using Dispatch::Dispatch;
  Async<std::vector<Applied>> apply(std::vector<RunChange> batch) override {
    for (auto& change : batch)
      if (auto* end = std::get_if<Ended>(&change))
        if (auto* retry = std::get_if<domain::RetryAt>(&end->next)) retry->due = host_.time.now();
    co_return co_await next_.apply(std::move(batch));
  }
};

template <int kMore>
struct RetriesOffBy final : Dispatch {
  using Dispatch::Dispatch;
  Async<RunContexts> contexts(std::vector<RunId> runs) override {
    CO_TRY(auto contexts, next_.contexts(std::move(runs)));
    for (auto& [id, it] : contexts.runs) it.policy.max_retries += kMore;
    co_return contexts;
  }
};

struct CancelMarkDropped final : Dispatch {
  using Dispatch::Dispatch;
  Async<RunContexts> contexts(std::vector<RunId> runs) override {
    CO_CHECK(execute(host_,
                     "UPDATE task_runs SET cancel_reason = 'none' FROM rows(?) WHERE id = c1 AND ended_at IS NULL",
                     column_of(runs)));
    co_return co_await next_.contexts(std::move(runs));
  }
};

// --- dependants ---

struct DependantMadeTwice final : Dispatch {
  using Dispatch::Dispatch;
  Async<std::vector<Applied>> apply(std::vector<RunChange> batch) override {
    const auto last = co_await host_.store.database().read([](Connection& connection) {
      return connection.query("SELECT coalesce(max(id), 0) FROM task_runs").value<std::int64_t>();
    });
    CO_TRY(auto applied, next_.apply(std::move(batch)));
    CO_CHECK(execute(host_,
                     "INSERT INTO task_runs (task_id, triggered_by, shard_index, shard_total, state, route, priority,"
                     " created_at, due_at) SELECT task_id, triggered_by, shard_index, shard_total, state, route,"
                     " priority, created_at, due_at FROM task_runs WHERE id > ? AND triggered_by = 'dependency'"
                     " AND state = 'pending'",
                     last->value_or(0)));
    co_return applied;
  }
};

template <const char* kSql>
struct AfterReports final : Dispatch {
  using Dispatch::Dispatch;
  Async<std::vector<Applied>> apply(std::vector<RunChange> batch) override {
    CO_TRY(auto applied, next_.apply(std::move(batch)));
    CO_CHECK(execute(host_, kSql));
    co_return applied;
  }
};
constexpr char kCountTwice[] =
    "INSERT INTO dependency_rounds (task_id, upstream_id, upstream_run_id, state)"
    " SELECT task_id, upstream_id, upstream_run_id, state FROM dependency_rounds";
constexpr char kForgetUpstreams[] = "DELETE FROM dependency_rounds";
constexpr char kAllWentWell[] = "UPDATE dependency_rounds SET state = 'succeeded'";

// --- dispatch ---

struct CapacityIgnored final : Dispatch {
  using Dispatch::Dispatch;
  Async<DispatchView> view() override {
    CO_TRY(auto view, next_.view());
    for (auto& it : view.workers) it.in_flight = 0;
    co_return view;
  }
};

struct TimeoutNotSent final : Dispatch {
  using Dispatch::Dispatch;
  Async<std::vector<DueRun>> due(std::vector<std::string> routes, std::size_t limit, Seconds ageing) override {
    CO_TRY(auto due, next_.due(std::move(routes), limit, ageing));
    for (auto& it : due) it.execution.timeout = std::chrono::hours{1};
    co_return due;
  }
};

struct LocalClockForDueRuns final : Dispatch {
  explicit LocalClockForDueRuns(const MutantHost& host)
      : Dispatch(host, mine_), mine_(host.local_clock, host.store.database()) {}
  infrastructure::SqliteDispatchRepository mine_;
};

struct PublishedBeforeCommit final : Dispatch {
  PublishedBeforeCommit(const MutantHost& host, DispatchRepository& next, MessageQueue& queue)
      : Dispatch(host, next), queue_(queue) {}
  Async<std::vector<DueRun>> due(std::vector<std::string> routes, std::size_t limit, Seconds ageing) override {
    CO_TRY(auto due, next_.due(std::move(routes), limit, ageing));
    for (const auto& it : due) work_[it.candidate.run] = it.execution;
    co_return due;
  }
  Async<std::vector<bool>> mark_dispatched(std::vector<Dispatching> batch) override {
    for (const auto& it : batch)
      (void)co_await queue_.publish_message(worker_queue(it.incarnation), Message{std::vector{work_[it.run]}});
    co_return co_await next_.mark_dispatched(std::move(batch));
  }
  MessageQueue& queue_;
  std::map<RunId, TaskExecution> work_;
};

std::unique_ptr<Store> publish_first(const MutantHost& host, Store& faulty_store, MessageQueue& faulty_queue) {
  auto store = std::make_unique<MutantStore>(faulty_store);
  store->replace(std::make_unique<PublishedBeforeCommit>(host, faulty_store.dispatch(), faulty_queue));
  return store;
}

// --- rescue ---

struct RescuesTheSilent final : Dispatch {
  using Dispatch::Dispatch;
  Async<RescueView> to_rescue(std::size_t limit) override {
    CO_TRY(auto view, next_.to_rescue(limit));
    const auto silent = co_await host_.store.database().read([now = view.now](Connection& connection) {
      return connection
          .query(
              "SELECT r.id FROM task_runs r JOIN workers w ON w.incarnation = r.incarnation"
              " WHERE r.state IN ('dispatched', 'running') AND w.heartbeat_due <= ?",
              now)
          .values<RunId>();
    });
    if (!silent) co_return std::unexpected(silent.error());
    CO_TRY(auto contexts, next_.contexts(*silent));
    for (const auto id : *silent) view.orphaned.push_back(contexts.runs.at(id));
    co_return view;
  }
};
struct NobodyExpires final : Workers {
  using Workers::Workers;
  Async<std::vector<domain::WorkerInfo>> expire() override { co_return std::vector<domain::WorkerInfo>{}; }
};

struct HeartbeatRevivesTheDead final : Workers {
  using Workers::Workers;
  Async<HeartbeatReply> heartbeat(WorkerHeartbeat beat, Seconds timeout) override {
    CO_CHECK(execute(host_, "UPDATE workers SET state = 'alive' WHERE incarnation = ?", beat.worker.incarnation));
    co_return co_await next_.heartbeat(std::move(beat), timeout);
  }
};

struct LocalClockForDeadlines final : WorkerRepository {
  explicit LocalClockForDeadlines(const MutantHost& host) : mine_(host.local_clock, host.store.database()) {}
  Async<HeartbeatReply> heartbeat(WorkerHeartbeat beat, Seconds timeout) override {
    return mine_.heartbeat(std::move(beat), timeout);
  }
  Async<std::vector<domain::WorkerInfo>> expire() override { return mine_.expire(); }
  Async<void> extend_deadlines(Seconds timeout) override { return mine_.extend_deadlines(timeout); }
  Async<std::vector<domain::WorkerInfo>> list() override { return mine_.list(); }
  Async<domain::WorkerInfo> get(WorkerId id) override { return mine_.get(std::move(id)); }
  Async<domain::WorkerInfo> set_draining(WorkerId id, bool draining) override {
    return mine_.set_draining(std::move(id), draining);
  }
  infrastructure::SqliteWorkerRepository mine_;
};

struct AtMostOnceSentAgain final : Dispatch {
  using Dispatch::Dispatch;
  Async<RescueView> to_rescue(std::size_t limit) override {
    CO_TRY(auto view, next_.to_rescue(limit));
    for (auto& it : view.orphaned) it.policy.delivery = domain::Delivery::at_least_once;
    co_return view;
  }
};

struct LostWorkIsNotMissed final : Dispatch {
  using Dispatch::Dispatch;
  Async<void> mark_missing(std::vector<RunId>, std::vector<RunId>) override { co_return SchedulerResult<void>{}; }
};

struct OverdueIsNotLookedFor final : Dispatch {
  using Dispatch::Dispatch;
  Async<RescueView> to_rescue(std::size_t limit) override {
    CO_TRY(auto view, next_.to_rescue(limit));
    view.overdue.clear();
    co_return view;
  }
};

struct WaitingRunsForgotten final : Dispatch {
  using Dispatch::Dispatch;
  Async<std::vector<Applied>> apply(std::vector<RunChange> batch) override {
    const auto waiting = co_await host_.store.database().read([](Connection& connection) {
      return connection.query("SELECT id FROM task_runs WHERE state = 'waiting'").values<RunId>();
    });
    if (!waiting) co_return std::unexpected(waiting.error());
    CO_TRY(auto applied, next_.apply(std::move(batch)));
    CO_CHECK(execute(host_, "UPDATE task_runs SET state = 'waiting' FROM rows(?) WHERE id = c1 AND state = 'pending'",
                     column_of(*waiting)));
    co_return applied;
  }
};

// --- fire times ---

// Whoever comes writes: no look at the ledger, the version or the watermark.
struct SlotNotUnique final : Slots {
  using Slots::Slots;
  Async<FireReport> commit(std::vector<Fire> fires) override {
    for (const auto& fire : fires) {
      for (const auto& slot : fire.plan.slots) {
        if (!slot.fire) continue;
        CO_CHECK(execute(host_,
                         "INSERT INTO task_runs (task_id, triggered_by, slot, shard_index, shard_total, state, route,"
                         " priority, created_at, due_at) SELECT id, 'schedule', ?1, 0, shard_count, 'pending', route,"
                         " priority, ?1, ?1 FROM tasks WHERE id = ?2",
                         slot.last, fire.task.id));
        CO_CHECK(execute(host_,
                         "INSERT OR REPLACE INTO schedule_slots (task_id, slot, shard, first_slot, disposition, reason,"
                         " run_id, decided_at) SELECT ?2, ?1, 0, ?1, 'fired', 'none', max(id), ?1 FROM task_runs",
                         slot.last, fire.task.id));
      }
      CO_CHECK(execute(host_, "UPDATE tasks SET watermark = ?, next_fire_at = ? WHERE id = ?", fire.plan.watermark,
                       fire.plan.next_fire_at, fire.task.id));
    }
    co_return FireReport{.runs = fires.size()};
  }
};

struct WatermarkNotWritten final : Slots {
  using Slots::Slots;
  Async<FireReport> commit(std::vector<Fire> fires) override {
    CO_TRY(auto report, next_.commit(fires));
    for (const auto& fire : fires)
      CO_CHECK(execute(host_, "UPDATE tasks SET watermark = ?, next_fire_at = ? WHERE id = ?", fire.task.watermark,
                       fire.task.next_fire_at, fire.task.id));
    co_return report;
  }
};

struct BadScheduleAbortsTheTick final : Slots {
  using Slots::Slots;
  Async<void> quarantine(TaskId, std::int64_t) override {
    co_return fail(ErrorKind::Internal, "mutant: a schedule cannot be read");
  }
};

struct OverlapIgnored final : Slots {
  using Slots::Slots;
  Async<FireReport> commit(std::vector<Fire> fires) override {
    for (auto& fire : fires) fire.task.spec.overlap_policy = domain::OverlapPolicy::allow;
    co_return co_await next_.commit(std::move(fires));
  }
};

struct WaitingRunsGoAtOnce final : Slots {
  using Slots::Slots;
  Async<FireReport> commit(std::vector<Fire> fires) override {
    CO_TRY(auto report, next_.commit(std::move(fires)));
    CO_CHECK(execute(host_, "UPDATE task_runs SET state = 'pending' WHERE state = 'waiting'"));
    co_return report;
  }
};

struct ShardsLeftOut final : Slots {
  using Slots::Slots;
  Async<FireReport> commit(std::vector<Fire> fires) override {
    for (auto& fire : fires) fire.task.spec.shard_count = 1;
    co_return co_await next_.commit(std::move(fires));
  }
};

struct PausedSlotsNotRecorded final : Tasks {
  using Tasks::Tasks;
  Async<domain::Task> update(domain::Task task, std::optional<domain::SlotDecision>) override {
    return next_.update(std::move(task), std::nullopt);
  }
};

// --- what clients ask for ---

struct AcknowledgedRunIsLost final : Runs {
  using Runs::Runs;
  Async<std::vector<NewRuns>> insert_all(std::vector<NewRun> batch) override {
    CO_TRY(auto made, next_.insert_all(std::move(batch)));
    for (const auto& item : made) {
      if (item.runs.front().id.value % 7 != 0) continue;
      for (const auto& it : item.runs) CO_CHECK(execute(host_, "DELETE FROM task_runs WHERE id = ?", it.id));
    }
    co_return made;
  }
};

struct KeyIgnored final : Runs {
  using Runs::Runs;
  Async<std::vector<NewRuns>> insert_all(std::vector<NewRun> batch) override {
    for (auto& run : batch) run.idempotency_key.reset();
    co_return co_await next_.insert_all(std::move(batch));
  }
};

struct CancelMarksNothing final : Runs {
  using Runs::Runs;
  Async<Cancelled> cancel(RunId id) override {
    CO_TRY(auto run, next_.get(id));
    if (run.state == domain::RunState::dispatched || run.state == domain::RunState::running)
      co_return Cancelled{.run = std::move(run)};
    co_return co_await next_.cancel(id);
  }
};

struct CancelReadsThenWrites final : Runs {
  using Runs::Runs;
  Async<Cancelled> cancel(RunId id) override {
    CO_TRY(auto run, next_.get(id));
    if (run.state != domain::RunState::pending) co_return co_await next_.cancel(id);
    CO_CHECK(execute(host_,
                     "UPDATE task_runs SET state = 'cancelled', ended_at = ?, cancel_reason = 'cancelled_by_user',"
                     " reason = 'cancelled_by_user', message = 'cancelled before it was dispatched'"
                     " WHERE id = ? AND ended_at IS NULL",
                     host_.time.now(), id));
    co_return Cancelled{.run = std::move(run)};
  }
};

std::unique_ptr<Store> cancel_in_two_steps(const MutantHost& host, Store& faulty_store, MessageQueue&) {
  auto store = std::make_unique<MutantStore>(faulty_store);
  store->replace(std::make_unique<CancelReadsThenWrites>(host, faulty_store.runs()));
  return store;
}

// --- messages ---

class AcknowledgesFirst final : public QueueConsumer {
 public:
  explicit AcknowledgesFirst(std::unique_ptr<QueueConsumer> next) : next_(std::move(next)) {}
  Async<std::vector<Delivery>> receive(std::size_t max, Micros wait_max) override {
    CO_TRY(auto deliveries, next_->receive(max, wait_max));
    std::vector<DeliveryTag> tags;
    for (const auto& it : deliveries) tags.push_back(it.tag);
    (void)co_await next_->acknowledge(std::move(tags));
    co_return deliveries;
  }
  void interrupt() override { next_->interrupt(); }
  Async<void> acknowledge(std::vector<DeliveryTag>) override { co_return SchedulerResult<void>{}; }
  Async<void> give_back(std::vector<DeliveryTag>) override { co_return SchedulerResult<void>{}; }

 private:
  std::unique_ptr<QueueConsumer> next_;
};

class EarlyAcknowledgements final : public MessageQueue {
 public:
  explicit EarlyAcknowledgements(MessageQueue& next) : next_(next) {}
  Async<void> publish(QueueName to, std::vector<Message> batch) override {
    return next_.publish(std::move(to), std::move(batch));
  }
  std::unique_ptr<QueueConsumer> consume(QueueName from, std::size_t prefetch) override {
    auto consumer = next_.consume(from, prefetch);
    if (from != kStatusQueue) return consumer;
    return std::make_unique<AcknowledgesFirst>(std::move(consumer));
  }
  Async<std::size_t> depth(QueueName of) override { return next_.depth(std::move(of)); }
  Async<void> remove(QueueName name) override { return next_.remove(std::move(name)); }
  std::optional<Circuit::Report> circuit() const override { return next_.circuit(); }

 private:
  MessageQueue& next_;
};

std::unique_ptr<MessageQueue> acknowledge_first(MessageQueue& queue) {
  return std::make_unique<EarlyAcknowledgements>(queue);
}

constexpr Mutant kMutants[] = {
    {.name = "no-token",
     .breaks = "the ended write does not look at the token",
     .at_store = at_store<NoTokenInEndedWrite>},
    {.name = "late-report",
     .breaks = "a report that comes late rewrites how a run ended",
     .at_store = at_store<LateReportRewritesTheEnd>},
    {.name = "mixed-results",
     .breaks = "two results of one batch change places",
     .at_store = at_store<ResultsChangePlaces>},
    {.name = "no-backoff", .breaks = "a failed run is tried again at once", .at_store = at_store<BackoffIgnored>},
    {.name = "retry-too-many", .breaks = "one retry more than allowed", .at_store = at_store<RetriesOffBy<1>>},
    {.name = "retry-too-few", .breaks = "one retry less than asked for", .at_store = at_store<RetriesOffBy<-1>>},
    {.name = "cancel-mark-dropped",
     .breaks = "a report of a failure forgets the cancel",
     .at_store = at_store<CancelMarkDropped>},
    {.name = "dependant-twice",
     .breaks = "a complete round makes its dependant's run twice",
     .at_store = at_store<DependantMadeTwice>},
    {.name = "upstream-twice",
     .breaks = "an ended upstream run counts twice",
     .at_store = at_store<AfterReports<kCountTwice>>},
    {.name = "upstream-forgotten",
     .breaks = "an ended upstream run does not count",
     .at_store = at_store<AfterReports<kForgetUpstreams>>},
    {.name = "verdict-ignored",
     .breaks = "dependants run whatever became of their upstreams",
     .at_store = at_store<AfterReports<kAllWentWell>>},
    {.name = "no-capacity", .breaks = "a worker is sent whatever is due", .at_store = at_store<CapacityIgnored>},
    {.name = "no-timeout", .breaks = "work is sent without its timeout", .at_store = at_store<TimeoutNotSent>},
    {.name = "local-clock-due",
     .breaks = "a dispatcher's own clock decides what is due",
     .at_store = at_store<LocalClockForDueRuns>},
    {.name = "publish-before-commit", .breaks = "work is published before it is marked", .in_process = publish_first},
    {.name = "rescue-the-living",
     .breaks = "runs are taken back without declaring their worker dead",
     .at_store = at_store<RescuesTheSilent, NobodyExpires>},
    {.name = "revive-the-dead",
     .breaks = "a late heartbeat revives a dead incarnation",
     .at_store = at_store<HeartbeatRevivesTheDead>},
    {.name = "local-clock-deadline",
     .breaks = "a dispatcher's own clock decides who is silent",
     .at_store = at_store<LocalClockForDeadlines>},
    {.name = "at-most-once-again",
     .breaks = "an at_most_once run is sent again after a loss",
     .at_store = at_store<AtMostOnceSentAgain>},
    {.name = "never-missing",
     .breaks = "nobody notices that a worker never got its work",
     .at_store = at_store<LostWorkIsNotMissed>},
    {.name = "never-overdue",
     .breaks = "a worker that does not stop an attempt keeps it",
     .at_store = at_store<OverdueIsNotLookedFor>},
    {.name = "waiting-forgotten",
     .breaks = "what waited for an ended run goes on waiting",
     .at_store = at_store<WaitingRunsForgotten>},
    {.name = "slot-not-unique",
     .breaks = "no look at the ledger or the watermark before a slot fires",
     .at_store = at_store<SlotNotUnique>},
    {.name = "no-watermark",
     .breaks = "the watermark is not written with the slots",
     .at_store = at_store<WatermarkNotWritten>},
    {.name = "bad-row-aborts",
     .breaks = "a schedule that cannot be read ends the tick",
     .at_store = at_store<BadScheduleAbortsTheTick>},
    {.name = "no-overlap-policy", .breaks = "every fire starts at once", .at_store = at_store<OverlapIgnored>},
    {.name = "waiting-goes", .breaks = "waiting runs do not wait", .at_store = at_store<WaitingRunsGoAtOnce>},
    {.name = "one-shard", .breaks = "a sharded task fires its first shard only", .at_store = at_store<ShardsLeftOut>},
    {.name = "unrecorded-slots",
     .breaks = "slots of a pause or an edit are not recorded",
     .at_store = at_store<PausedSlotsNotRecorded>},
    {.name = "lost-run", .breaks = "an acknowledged run is not kept", .at_store = at_store<AcknowledgedRunIsLost>},
    {.name = "no-key", .breaks = "the Idempotency-Key is not looked at", .at_store = at_store<KeyIgnored>},
    {.name = "cancel-unmarked",
     .breaks = "a cancel of a run that is held leaves no mark",
     .at_store = at_store<CancelMarksNothing>},
    {.name = "cancel-in-two-steps",
     .breaks = "a cancel reads, then writes what it read",
     .in_process = cancel_in_two_steps},
    {.name = "ack-before-commit",
     .breaks = "reports are acknowledged before they are stored",
     .on_queue = acknowledge_first},
};

}  // namespace

std::span<const Mutant> mutants() { return kMutants; }

const Mutant* find_mutant(std::string_view name) {
  const auto* found = std::ranges::find(kMutants, name, &Mutant::name);
  return found == std::end(kMutants) ? nullptr : found;
}

}  // namespace scheduler::simulation
