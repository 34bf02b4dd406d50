// infrastructure/postgres/upstream_runs.hpp — the rows of run_upstreams: what waiting runs wait for, written when they
// are made and settled as it ends. Who settles a row decides its run in the same transaction.
//
// The tasks of the waiting runs are locked (lock_tasks_of, lock_tasks): whoever ends a run, passes a fire time or makes
// a run that waits for either holds them, so none of these sees half of another.
#pragma once

#include "database/postgres/database.hpp"
#include "domain/upstream_slots.hpp"

#include <span>
#include <string>
#include <vector>

namespace scheduler::infrastructure::postgres {

using database::postgres::Rows;
using database::postgres::Transaction;

class UpstreamRuns {
 public:
  explicit UpstreamRuns(Transaction& tx) : tx_(tx) {}

  // Rows of a new run, for write().
  void add(RunId run, std::span<const domain::AwaitedRun> awaited);
  // Writes what was added, and settles what is decided by now. Returns the runs added.
  [[nodiscard]] Async<std::vector<RunId>> write();

  // Settles the rows that wait for these ended runs, or for their fire times where they were the last of their shards.
  // Returns the runs whose rows those were; some may not wait any more.
  [[nodiscard]] Async<std::vector<RunId>> ended(std::vector<RunId> runs);
  // The same for fire times that the tasks have passed without a run, or will not come to.
  [[nodiscard]] Async<std::vector<RunId>> passed(std::vector<TaskId> tasks);

  struct Waiting {
    RunId run;
    TaskId task;
    domain::Verdict verdict = domain::Verdict::wait;
    bool beside_others = false;  // it need not wait for other runs of its task
    std::string why;             // of one that is skipped: the first upstream that its rule does not accept
  };
  // How it stands with those of them that still wait for upstream runs.
  [[nodiscard]] Async<std::vector<Waiting>> judge(std::vector<RunId> runs);

 private:
  Transaction& tx_;
  std::vector<RunId> run_;
  std::vector<int> position_;
  std::vector<TaskId> upstream_;
  std::vector<std::optional<TimePoint>> slot_;
  std::vector<TimePoint> ended_since_;
  std::vector<std::optional<domain::RunState>> state_;
};

}  // namespace scheduler::infrastructure::postgres
