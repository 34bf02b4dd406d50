#include "support/intercepted_store.hpp"

#include <functional>

namespace scheduler::testing_support {
namespace {

using namespace application;

template <class T>
Async<T> intercepted(StoreInterceptor& by, std::string_view name, std::function<Async<T>()> call) {
  CO_CHECK(by.before(name));
  auto result = co_await call();
  CO_CHECK(by.after(name));
  co_return result;
}

// Each method is the same call, made through the interceptor. Arguments are copied: it may be made late, or never.
#define FORWARD(T, call) return intercepted<T>(by_, __func__, [=, this] { return real_.call; })

class InterceptedTasks final : public TaskRepository {
 public:
  InterceptedTasks(TaskRepository& real, StoreInterceptor& by) : real_(real), by_(by) {}
  Async<domain::Task> create(domain::Task task) override { FORWARD(domain::Task, create(task)); }
  Async<domain::Task> get(TaskId id) override { FORWARD(domain::Task, get(id)); }
  Async<domain::Task> find(std::string name) override { FORWARD(domain::Task, find(name)); }
  Async<Page<domain::Task>> list(TaskFilter filter, Paging paging) override {
    FORWARD(Page<domain::Task>, list(filter, paging));
  }
  Async<domain::Task> update(domain::Task task, std::optional<domain::SlotDecision> skipped) override {
    FORWARD(domain::Task, update(task, skipped));
  }
  Async<void> archive(TaskId id) override { FORWARD(void, archive(id)); }
  Async<std::vector<TaskId>> dependants(TaskId id) override { FORWARD(std::vector<TaskId>, dependants(id)); }
  Async<std::vector<DependencyEdge>> edges(std::vector<TaskId> of, std::size_t limit) override {
    FORWARD(std::vector<DependencyEdge>, edges(of, limit));
  }
  Async<std::vector<TaskStanding>> standings(std::vector<TaskId> ids) override {
    FORWARD(std::vector<TaskStanding>, standings(ids));
  }

 private:
  TaskRepository& real_;
  StoreInterceptor& by_;
};

class InterceptedSlots final : public SlotRepository {
 public:
  InterceptedSlots(SlotRepository& real, StoreInterceptor& by) : real_(real), by_(by) {}
  Async<FireView> due(std::size_t limit) override { FORWARD(FireView, due(limit)); }
  Async<FireReport> commit(std::vector<Fire> fires) override { FORWARD(FireReport, commit(fires)); }
  Async<void> quarantine(TaskId task, std::int64_t version) override { FORWARD(void, quarantine(task, version)); }
  Async<std::vector<domain::SlotRecord>> recorded(TaskId task, std::vector<TimePoint> slots) override {
    FORWARD(std::vector<domain::SlotRecord>, recorded(task, slots));
  }

 private:
  SlotRepository& real_;
  StoreInterceptor& by_;
};

class InterceptedDispatch final : public DispatchRepository {
 public:
  InterceptedDispatch(DispatchRepository& real, StoreInterceptor& by) : real_(real), by_(by) {}
  Async<DispatchView> view() override { FORWARD(DispatchView, view()); }
  Async<std::vector<DueRun>> due(std::vector<std::string> routes, std::size_t limit, Seconds ageing) override {
    FORWARD(std::vector<DueRun>, due(routes, limit, ageing));
  }
  Async<std::unordered_map<RunId, UpstreamOutput>> upstream_outputs(std::vector<RunId> runs,
                                                                    std::size_t bytes_max) override {
    using Outputs = std::unordered_map<RunId, UpstreamOutput>;
    FORWARD(Outputs, upstream_outputs(runs, bytes_max));
  }
  Async<std::size_t> join_line() override { FORWARD(std::size_t, join_line()); }
  Async<std::vector<bool>> mark_dispatched(std::vector<Dispatching> batch) override {
    FORWARD(std::vector<bool>, mark_dispatched(batch));
  }
  Async<RunContexts> contexts(std::vector<RunId> runs) override { FORWARD(RunContexts, contexts(runs)); }
  Async<std::vector<Applied>> apply(std::vector<RunChange> batch) override {
    FORWARD(std::vector<Applied>, apply(batch));
  }
  Async<std::vector<AssignedRun>> assigned(IncarnationId incarnation, TimePoint before) override {
    FORWARD(std::vector<AssignedRun>, assigned(incarnation, before));
  }
  Async<void> mark_missing(std::vector<RunId> missing, std::vector<RunId> found) override {
    FORWARD(void, mark_missing(missing, found));
  }
  Async<RescueView> to_rescue(std::size_t limit) override { FORWARD(RescueView, to_rescue(limit)); }

 private:
  DispatchRepository& real_;
  StoreInterceptor& by_;
};

class InterceptedRuns final : public RunRepository {
 public:
  InterceptedRuns(RunRepository& real, StoreInterceptor& by) : real_(real), by_(by) {}
  Async<std::vector<NewRuns>> insert_all(std::vector<NewRun> batch) override {
    FORWARD(std::vector<NewRuns>, insert_all(batch));
  }
  Async<std::vector<domain::TaskRun>> group(RunId any) override { FORWARD(std::vector<domain::TaskRun>, group(any)); }
  Async<NewRuns> retry_group(RunId any) override { FORWARD(NewRuns, retry_group(any)); }
  Async<domain::TaskRun> get(RunId id) override { FORWARD(domain::TaskRun, get(id)); }
  Async<Page<domain::TaskRun>> list(RunFilter filter, Paging paging) override {
    FORWARD(Page<domain::TaskRun>, list(filter, paging));
  }
  Async<std::vector<domain::Attempt>> attempts(RunId id) override {
    FORWARD(std::vector<domain::Attempt>, attempts(id));
  }
  Async<std::optional<std::string>> output(RunId id) override { FORWARD(std::optional<std::string>, output(id)); }
  Async<std::vector<domain::UpstreamRun>> upstreams(RunId id) override {
    FORWARD(std::vector<domain::UpstreamRun>, upstreams(id));
  }
  Async<std::optional<std::int64_t>> log_lines(RunId id, int attempt) override {
    FORWARD(std::optional<std::int64_t>, log_lines(id, attempt));
  }
  Async<Cancelled> cancel(RunId id) override { FORWARD(Cancelled, cancel(id)); }
  Async<TaskStats> stats(TaskId task) override { FORWARD(TaskStats, stats(task)); }

 private:
  RunRepository& real_;
  StoreInterceptor& by_;
};

class InterceptedLogs final : public RunLogRepository {
 public:
  InterceptedLogs(RunLogRepository& real, StoreInterceptor& by) : real_(real), by_(by) {}
  Async<void> append(std::vector<LogChunk> chunks) override { FORWARD(void, append(chunks)); }
  Async<std::vector<LogChunk>> read(RunId run, int attempt, std::int64_t after_line, std::size_t bytes_max) override {
    FORWARD(std::vector<LogChunk>, read(run, attempt, after_line, bytes_max));
  }

 private:
  RunLogRepository& real_;
  StoreInterceptor& by_;
};

class InterceptedWorkers final : public WorkerRepository {
 public:
  InterceptedWorkers(WorkerRepository& real, StoreInterceptor& by) : real_(real), by_(by) {}
  Async<HeartbeatReply> heartbeat(WorkerHeartbeat beat, Seconds timeout) override {
    FORWARD(HeartbeatReply, heartbeat(beat, timeout));
  }
  Async<std::vector<domain::WorkerInfo>> expire() override { FORWARD(std::vector<domain::WorkerInfo>, expire()); }
  Async<void> extend_deadlines(Seconds timeout) override { FORWARD(void, extend_deadlines(timeout)); }
  Async<std::vector<domain::WorkerInfo>> list() override { FORWARD(std::vector<domain::WorkerInfo>, list()); }
  Async<domain::WorkerInfo> get(WorkerId id) override { FORWARD(domain::WorkerInfo, get(id)); }
  Async<domain::WorkerInfo> set_draining(WorkerId id, bool draining) override {
    FORWARD(domain::WorkerInfo, set_draining(id, draining));
  }

 private:
  WorkerRepository& real_;
  StoreInterceptor& by_;
};

class InterceptedStore final : public Store {
 public:
  InterceptedStore(Store& real, StoreInterceptor& by)
      : real_(real),
        by_(by),
        tasks_(real.tasks(), by),
        slots_(real.slots(), by),
        dispatch_(real.dispatch(), by),
        runs_(real.runs(), by),
        logs_(real.logs(), by),
        workers_(real.workers(), by) {}
  TaskRepository& tasks() override { return tasks_; }
  SlotRepository& slots() override { return slots_; }
  DispatchRepository& dispatch() override { return dispatch_; }
  RunRepository& runs() override { return runs_; }
  RunLogRepository& logs() override { return logs_; }
  WorkerRepository& workers() override { return workers_; }
  AccountStore& accounts() override { return real_.accounts(); }
  Async<TimePoint> now() override { FORWARD(TimePoint, now()); }
  Async<StoreStats> stats() override { FORWARD(StoreStats, stats()); }
  Async<void> check_writable() override { FORWARD(void, check_writable()); }
  Async<void> note_dispatcher(IncarnationId life, Seconds silence) override {
    FORWARD(void, note_dispatcher(life, silence));
  }
  Async<DispatchersSeen> dispatchers() override { FORWARD(DispatchersSeen, dispatchers()); }
  std::string describe() const override { return real_.describe(); }

 private:
  Store& real_;
  StoreInterceptor& by_;
  InterceptedTasks tasks_;
  InterceptedSlots slots_;
  InterceptedDispatch dispatch_;
  InterceptedRuns runs_;
  InterceptedLogs logs_;
  InterceptedWorkers workers_;
};

#undef FORWARD

}  // namespace

std::unique_ptr<Store> intercepted_store(Store& real, StoreInterceptor& interceptor) {
  return std::make_unique<InterceptedStore>(real, interceptor);
}

}  // namespace scheduler::testing_support
