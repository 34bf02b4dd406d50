// tests/support/fake_store.hpp — the store in memory, with its rules and with failures on request.
//
// It keeps the promises of the ports that the loops and the use cases rest on, in the shortest way that does: guards by
// domain/transitions.hpp and tokens, one disposition per slot, declared dead once. Left out: dependants' rounds, limits
// of tasks. The rows are open to tests; `violations` tells what broke a rule that no row alone can show.
#pragma once

#include "application/ports/store.hpp"
#include "core/clock.hpp"
#include "domain/transitions.hpp"
#include "support/fault_injector.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace scheduler::testing_support {

class FakeStore final : public application::Store {
 public:
  FakeStore(const Clock& clock, FaultInjector& faults);
  ~FakeStore() override;

  application::TaskRepository& tasks() override;
  application::SlotRepository& slots() override;
  application::DispatchRepository& dispatch() override;
  application::RunRepository& runs() override;
  application::RunLogRepository& logs() override;
  application::WorkerRepository& workers() override;
  // SQLite in memory: their rules are SQL.
  application::AccountStore& accounts() override;
  Async<TimePoint> now() override;
  Async<application::StoreStats> stats() override;
  Async<void> check_writable() override;
  Async<void> note_dispatcher(IncarnationId life, Seconds silence) override;
  Async<application::DispatchersSeen> dispatchers() override;
  [[nodiscard]] std::string describe() const override { return "a store in memory"; }

  // --- rows ---
  struct SlotRow {
    TaskId task;
    domain::SlotDecision decision;
    std::optional<RunId> run = {}, cause = {};
  };
  struct WorkerRow {
    domain::WorkerInfo info;
    bool replaced = false;
    std::int64_t order = 0;  // of registration
  };
  std::map<TaskId, domain::Task> task_rows;
  std::map<RunId, domain::TaskRun> run_rows;
  std::map<RunId, std::optional<TimePoint>> missing_since;
  std::vector<domain::Attempt> attempt_rows;
  std::map<RunId, std::string> output_rows;
  std::map<RunId, application::UpstreamOutput> upstream_rows;  // of runs that waited for others
  std::size_t upstream_runs_max = 1000;                        // read at once
  std::map<std::pair<RunId, int>, std::int64_t> line_counts;
  std::vector<SlotRow> slot_rows;
  std::map<IncarnationId, WorkerRow> worker_rows;
  std::vector<application::LogChunk> log_rows;
  struct DispatcherRow {
    TimePoint seen_at{}, due{};
  };
  std::map<IncarnationId, DispatcherRow> dispatcher_rows;
  std::set<TaskId> quarantined;
  std::vector<std::string> violations;
  std::optional<application::NewRun> last_insert;

  // --- short ways to rows ---
  TaskId add_task(domain::TaskSpec spec, std::optional<TimePoint> watermark = std::nullopt,
                  std::optional<TimePoint> next_fire_at = std::nullopt);
  RunId add_run(TaskId task, domain::RunState state = domain::RunState::pending);
  // A run that `worker` holds: its state is dispatched or running, its token 1.
  RunId add_held_run(TaskId task, WorkerId worker, IncarnationId incarnation,
                     domain::RunState state = domain::RunState::dispatched);
  void add_worker(domain::WorkerInfo info);

  // Everything that must be true of the rows at any time, as sentences; empty: all is well.
  [[nodiscard]] std::vector<std::string> faults_of_rows() const;

 private:
  class Tasks;
  class Slots;
  class Dispatch;
  class Runs;
  class Logs;
  class Workers;

  // Moves `run` along the table; false when the table does not allow it.
  bool move(domain::TaskRun& run, domain::Event event);
  void set_token(domain::TaskRun& run, Token token);
  void let_waiting_go(TaskId task);
  [[nodiscard]] domain::TaskRun new_run(const domain::Task& task, domain::Trigger trigger) const;
  RunId insert(domain::TaskRun run);

  const Clock& clock_;
  FaultInjector& faults_;
  std::int64_t next_task_ = 1, next_run_ = 1, next_worker_ = 1;
  std::map<std::pair<TaskId, std::string>, std::vector<RunId>> keys_;
  std::unique_ptr<Tasks> tasks_;
  std::unique_ptr<Slots> slots_;
  std::unique_ptr<Dispatch> dispatch_;
  std::unique_ptr<Runs> runs_;
  std::unique_ptr<Logs> logs_;
  std::unique_ptr<Workers> workers_;
  std::unique_ptr<application::Store> account_rows_;
};

}  // namespace scheduler::testing_support
