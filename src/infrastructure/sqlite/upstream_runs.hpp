// infrastructure/sqlite/upstream_runs.hpp — the rows of run_upstreams: what waiting runs wait for, written when they
// are made and settled as it ends. Who settles a row decides its run in the same transaction.
#pragma once

#include "database/sqlite/connection.hpp"
#include "domain/upstream_slots.hpp"

#include <span>
#include <vector>

namespace scheduler::infrastructure {

class UpstreamRuns {
 public:
  explicit UpstreamRuns(database::sqlite::Connection& connection) : connection_(connection) {}

  // Rows of a new run, which is there already; those that are decided by now are settled.
  [[nodiscard]] SchedulerResult<void> add(RunId run, std::span<const domain::AwaitedRun> awaited);

  // Settles the rows that wait for this ended run, or for its fire time where it was the last of its shards. Returns
  // the runs whose rows those were; some may not wait any more.
  [[nodiscard]] SchedulerResult<std::vector<RunId>> ended(RunId run, TaskId task, domain::RunState state);
  // The same for fire times that the task has passed without a run, or will not come to.
  [[nodiscard]] SchedulerResult<std::vector<RunId>> passed(TaskId task);

  struct Waiting {
    RunId run;
    TaskId task;
    domain::Verdict verdict = domain::Verdict::wait;
    bool beside_others = false;  // it need not wait for other runs of its task
    domain::TriggerRule rule = domain::TriggerRule::all_success;
  };
  // How it stands with a run; nothing when it does not wait for its upstream runs (any more).
  [[nodiscard]] SchedulerResult<std::optional<Waiting>> judge(RunId run);
  // The sentence of one that is skipped: the first upstream that its rule does not accept.
  [[nodiscard]] SchedulerResult<std::string> why_skipped(const Waiting& waiting);

 private:
  database::sqlite::Connection& connection_;
};

}  // namespace scheduler::infrastructure
