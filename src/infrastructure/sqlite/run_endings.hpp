// infrastructure/sqlite/run_endings.hpp — what follows, in the same transaction, when runs have ended.
//
//   - Runs of the same task that wait for earlier ones or for room go on (domain/limits.hpp), all shards of a slot that
//     waited together joining the line together.
//   - Each ended run is one entry in the rounds of the tasks that depend on its task (domain/dependencies.hpp); a
//     complete round makes the dependant's runs, or skips them, which ends runs again. A run that was asked for again
//     (trigger retry) is none: its round is over.
//   - Runs that wait for it, or for its fire time, are decided (domain/upstream_slots.hpp): they are skipped, or go on
//   to
//     wait for earlier runs of their own task or for room, which may be there.
// A run of a task without waiting runs and dependants costs two index probes per task, in two statements for the batch.
#pragma once

#include "database/sqlite/connection.hpp"
#include "domain/limits.hpp"
#include "domain/task.hpp"
#include "domain/task_run.hpp"
#include "domain/transitions.hpp"
#include "infrastructure/sqlite/upstream_runs.hpp"

#include <set>
#include <span>
#include <unordered_map>
#include <vector>

namespace scheduler::infrastructure {

class RunEndings {
 public:
  RunEndings(database::sqlite::Connection& connection, TimePoint now)
      : connection_(connection), now_(now), upstream_runs_(connection) {}

  // Its row says so already.
  void note(RunId run, TaskId task, domain::RunState state) { ended_.push_back({run, task, state}); }

  // Something else may have made room for runs of the task: its limit has changed, or time has passed.
  void revisit(TaskId task) { revisited_.push_back(task); }

  // Ends and notes the runs of `task` that no worker has, as far as the store may: `event` is skip (what waits) or
  // cancel (what waits or is pending). `earlier`: not those whose time is still to come.
  enum class Which { all, earlier };
  [[nodiscard]] SchedulerResult<void> end_undispatched(TaskId task, domain::Event event, domain::Reason reason,
                                                       std::string_view message, Which which = Which::all);

  // Of a new waiting run: what it waits for. Its row is there, and the ledger says how fire times were decided.
  [[nodiscard]] SchedulerResult<void> wait_for(RunId run, std::span<const domain::AwaitedRun> awaited);
  // Fire times of the task passed without a run, or will not come: the ledger and the task say so already.
  [[nodiscard]] SchedulerResult<void> note_passed(TaskId task);
  // Rows of what the run waits for were settled, or taken away.
  [[nodiscard]] SchedulerResult<void> decide(RunId run);

  // After the last note, before the transaction is committed.
  [[nodiscard]] SchedulerResult<void> settle();

 private:
  struct EndedRun {
    RunId run;
    TaskId task;
    domain::RunState state;
  };
  // A task that runs after others, as far as its rounds need it.
  struct Dependant {
    TaskId task;
    domain::TaskStatus status = domain::TaskStatus::active;
    domain::TriggerRule rule = domain::TriggerRule::all_success;
    std::string route;
    int priority = 0;
    int shard_count = 1;
    std::optional<int> limit;
    bool scheduled = false;  // it has fire times of its own, and no rounds
    std::vector<TaskId> upstreams;
  };
  struct Round;

  SchedulerResult<void> note_tasks_without_dependants();
  SchedulerResult<void> add_to_rounds(EndedRun ended);
  SchedulerResult<const std::vector<Dependant>*> dependants_of(TaskId upstream);
  SchedulerResult<std::optional<Round>> take_complete_round(const Dependant& dependant);
  SchedulerResult<void> run_dependant(const Dependant& dependant, const Round& round);
  SchedulerResult<std::string> why_skipped(const Dependant& dependant, const Round& round);
  SchedulerResult<void> settle_upstream_runs(const EndedRun& ended);
  SchedulerResult<void> decide(const std::vector<RunId>& runs);
  SchedulerResult<domain::Line> line_of(TaskId task);
  SchedulerResult<void> let_next_go(TaskId task);

  database::sqlite::Connection& connection_;
  TimePoint now_;
  UpstreamRuns upstream_runs_;
  std::vector<EndedRun> ended_;
  std::vector<TaskId> revisited_;
  std::unordered_map<TaskId, std::vector<Dependant>> dependants_;  // by upstream; filled as asked for
};

}  // namespace scheduler::infrastructure
