#include "simulation/faults.hpp"

namespace scheduler::simulation {
namespace {

using namespace application;

// Each method is the same call, made through the faults. Arguments are copied: the call may be made late, or never.
#define FORWARD(T, call) return faults_.store_call<T>([=, this] { return real_.call; }, {})
// The same for a call that takes runs from state to state.
#define FORWARD_ABOUT(T, call, about) \
  return faults_.store_call<T>([=, this] { return real_.call; }, faults_.checker().about)

class FaultyTasks final : public TaskRepository {
 public:
  FaultyTasks(TaskRepository& real, Faults faults) : real_(real), faults_(std::move(faults)) {}
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
  Faults faults_;
};

class FaultySlots final : public SlotRepository {
 public:
  FaultySlots(SlotRepository& real, Faults faults) : real_(real), faults_(std::move(faults)) {}
  Async<FireView> due(std::size_t limit) override { FORWARD(FireView, due(limit)); }
  Async<FireReport> commit(std::vector<Fire> fires) override { FORWARD_ABOUT(FireReport, commit(fires), about(fires)); }
  Async<void> quarantine(TaskId task, std::int64_t version) override { FORWARD(void, quarantine(task, version)); }
  Async<std::vector<domain::SlotRecord>> recorded(TaskId task, std::vector<TimePoint> slots) override {
    FORWARD(std::vector<domain::SlotRecord>, recorded(task, slots));
  }

 private:
  SlotRepository& real_;
  Faults faults_;
};

class FaultyDispatch final : public DispatchRepository {
 public:
  FaultyDispatch(DispatchRepository& real, Faults faults) : real_(real), faults_(std::move(faults)) {}
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
    FORWARD_ABOUT(std::vector<bool>, mark_dispatched(batch), about(batch));
  }
  Async<RunContexts> contexts(std::vector<RunId> runs) override { FORWARD(RunContexts, contexts(runs)); }
  Async<std::vector<Applied>> apply(std::vector<RunChange> batch) override {
    FORWARD_ABOUT(std::vector<Applied>, apply(batch), about(batch));
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
  Faults faults_;
};

class FaultyRuns final : public RunRepository {
 public:
  FaultyRuns(RunRepository& real, Faults faults) : real_(real), faults_(std::move(faults)) {}
  Async<std::vector<NewRuns>> insert_all(std::vector<NewRun> batch) override {
    FORWARD_ABOUT(std::vector<NewRuns>, insert_all(batch), about(batch));
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
  Async<Cancelled> cancel(RunId id) override { FORWARD_ABOUT(Cancelled, cancel(id), about_cancel(id)); }
  Async<TaskStats> stats(TaskId task) override { FORWARD(TaskStats, stats(task)); }

 private:
  RunRepository& real_;
  Faults faults_;
};

class FaultyLogs final : public RunLogRepository {
 public:
  FaultyLogs(RunLogRepository& real, Faults faults) : real_(real), faults_(std::move(faults)) {}
  Async<void> append(std::vector<LogChunk> chunks) override { FORWARD(void, append(chunks)); }
  Async<std::vector<LogChunk>> read(RunId run, int attempt, std::int64_t after_line, std::size_t bytes_max) override {
    FORWARD(std::vector<LogChunk>, read(run, attempt, after_line, bytes_max));
  }

 private:
  RunLogRepository& real_;
  Faults faults_;
};

class FaultyWorkers final : public WorkerRepository {
 public:
  FaultyWorkers(WorkerRepository& real, Faults faults) : real_(real), faults_(std::move(faults)) {}
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
  Faults faults_;
};

class FaultyStore final : public Store {
 public:
  FaultyStore(Store& real, const Faults& faults)
      : real_(real),
        faults_(faults),
        tasks_(real.tasks(), faults),
        slots_(real.slots(), faults),
        dispatch_(real.dispatch(), faults),
        runs_(real.runs(), faults),
        logs_(real.logs(), faults),
        workers_(real.workers(), faults) {}
  TaskRepository& tasks() override { return tasks_; }
  SlotRepository& slots() override { return slots_; }
  DispatchRepository& dispatch() override { return dispatch_; }
  RunRepository& runs() override { return runs_; }
  RunLogRepository& logs() override { return logs_; }
  WorkerRepository& workers() override { return workers_; }
  AccountStore& accounts() override { return real_.accounts(); }  // no dispatcher or worker asks for them
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
  Faults faults_;
  FaultyTasks tasks_;
  FaultySlots slots_;
  FaultyDispatch dispatch_;
  FaultyRuns runs_;
  FaultyLogs logs_;
  FaultyWorkers workers_;
};

#undef FORWARD
#undef FORWARD_ABOUT

}  // namespace

std::unique_ptr<Store> faulty_store(Store& real, const Faults& faults) {
  return std::make_unique<FaultyStore>(real, faults);
}

}  // namespace scheduler::simulation
