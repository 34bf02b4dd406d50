// infrastructure/postgres/run_endings.hpp — what follows, in the same transaction, when runs have ended.
//
//   - Runs of the same task that wait for earlier ones or for room go on (domain/limits.hpp), all shards of a slot that
//     waited together joining the line together.
//   - Each ended run is one entry in the rounds of the tasks that depend on its task (domain/dependencies.hpp); a
//     complete round makes the dependant's runs, or skips them, which ends runs again: a wave after another, a few
//     statements each, whatever the number of runs. A run that was asked for again (trigger retry) is none: its round
//     is over.
//   - Runs that wait for it, or for its fire time, are decided (domain/upstream_slots.hpp): they are skipped, or wait
//     from then on for earlier runs or for room, like any other.
//
// Other processes end runs of the same tasks meanwhile. Two that both see the other's run still active would leave what
// waits there for ever; so whoever ends runs first locks the tasks that may have to go on (lock_tasks_of): those with
// runs that wait or may come to wait, because of overlap or of a limit, and everything downstream. Whoever makes runs
// of a task with a limit locks it as well.
#pragma once

#include "database/postgres/database.hpp"
#include "domain/limits.hpp"
#include "domain/task.hpp"
#include "domain/task_run.hpp"
#include "domain/transitions.hpp"
#include "infrastructure/postgres/run_insert.hpp"
#include "infrastructure/postgres/upstream_runs.hpp"

#include <map>
#include <span>
#include <string>
#include <vector>

namespace scheduler::infrastructure::postgres {

// Queues the lock for ending runs of the tasks that these runs belong to. Comes before any lock on runs. Its Rows are
// empty where nothing can follow an end: then there is no need to settle.
void lock_tasks_of(Transaction& tx, const std::vector<RunId>& runs);
// The same by task, and further tasks for a change of their own. Rows: id, version, watermark, whether not archived.
void lock_tasks(Transaction& tx, const std::vector<TaskId>& with_ending_runs, const std::vector<TaskId>& others);

class RunEndings {
 public:
  RunEndings(Transaction& tx, TimePoint now) : tx_(tx), now_(now), upstream_runs_(tx) {}

  // Its row says so already.
  void note(RunId run, TaskId task, domain::RunState state) { wave_.push_back({run, task, state}); }

  // Something else may have made room for runs of the task, which is locked: its limit has changed, or time has passed.
  void revisit(TaskId task) { tasks_.push_back(task); }

  // Queues the end of the runs of `tasks` that no worker has, as far as the store may: `event` is skip (what waits) or
  // cancel (what waits or is pending). `earlier`: not those whose time is still to come. Rows: id, task, for
  // note_all().
  enum class Which { all, earlier };
  void end_undispatched(const std::vector<TaskId>& tasks, domain::Event event, domain::Reason reason,
                        std::string_view message, Which which = Which::all);
  [[nodiscard]] SchedulerResult<void> note_all(Rows& ended, domain::RunState state);

  // Of a new waiting run: what it waits for. Its row is there, and the ledger says how fire times were decided.
  void wait_for(RunId run, std::span<const domain::AwaitedRun> awaited) { upstream_runs_.add(run, awaited); }
  // Fire times of the tasks passed without a run, or will not come: the ledger and the tasks say so already.
  void note_passed(const std::vector<TaskId>& tasks) { passed_.insert(passed_.end(), tasks.begin(), tasks.end()); }
  // Rows of what these runs wait for were settled, or taken away.
  void note_settled(const std::vector<RunId>& runs) { touched_.insert(touched_.end(), runs.begin(), runs.end()); }

  // After the last note, before the transaction is committed.
  [[nodiscard]] Async<void> settle();

 private:
  struct EndedRun {
    RunId run;
    TaskId task;
    domain::RunState state = domain::RunState::succeeded;
  };
  // A task that runs after others, as far as its rounds need it.
  struct Dependant {
    TaskId upstream;  // one of …
    TaskId task;
    domain::TaskStatus status = domain::TaskStatus::active;
    domain::TriggerRule rule = domain::TriggerRule::all_success;
    std::string route;
    int priority = 0;
    int shard_count = 1;
    std::optional<int> limit;
    bool scheduled = false;         // it has fire times of its own, and no rounds
    std::vector<TaskId> upstreams;  // … these
  };
  using Dependants = std::map<TaskId, Dependant>;
  // An ended upstream run that waits for its round.
  struct Entry {
    std::int64_t id = 0;
    RunId run;
    domain::RunState state = domain::RunState::succeeded;
  };
  using Entries = std::map<std::pair<TaskId, TaskId>, std::vector<Entry>>;  // by task and upstream, oldest first
  struct Round {
    const Dependant* dependant;
    std::vector<Entry> entries;  // one of each upstream
  };

  Async<void> let_next_go(std::vector<TaskId> tasks);
  Async<std::vector<std::pair<TaskId, domain::Line>>> lines_of(std::vector<TaskId> tasks);
  Async<void> settle_wave(std::vector<EndedRun> ended);
  Async<void> run_complete_rounds(std::vector<EndedRun> ended, std::vector<Dependant> dependants);
  Async<void> drop_retries(std::vector<EndedRun>& ended);
  Async<void> decide_waiting();
  Async<std::vector<Dependant>> dependants_of(const std::vector<EndedRun>& ended);
  Async<Entries> add_to_rounds(const std::vector<EndedRun>& ended, const std::vector<Dependant>& dependants);
  Async<void> run_rounds(std::vector<Round> rounds);
  void record_upstreams(const std::vector<Round>& rounds, const std::vector<RunId>& made);
  Async<std::map<TaskId, std::string>> names_of(const std::vector<Round>& rounds);

  Transaction& tx_;
  TimePoint now_;
  std::vector<EndedRun> wave_;
  UpstreamRuns upstream_runs_;
  std::vector<TaskId> tasks_;   // of all waves, and of waiting runs that have become ready
  std::vector<TaskId> passed_;  // as noted
  std::vector<RunId> touched_;  // waiting runs to be decided
};

}  // namespace scheduler::infrastructure::postgres
