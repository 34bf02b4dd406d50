// application/ports/run_repository.hpp — runs as people see them: ask for one, look, cancel.
#pragma once

#include "application/ports/dispatch_repository.hpp"
#include "application/ports/paging.hpp"
#include "core/async.hpp"
#include "domain/dependencies.hpp"
#include "domain/task_run.hpp"

#include <optional>
#include <string>
#include <vector>

namespace scheduler::application {

struct NewRun {
  TaskId task;
  domain::Trigger trigger = domain::Trigger::manual;
  std::optional<RunId> retry_of;
  // With retry_of: what was skipped because of that run, down the graph, is made again as well, and waits for this run.
  bool downstream = false;
  std::optional<std::string> parameters;       // JSON object, checked; replaces the task's
  std::optional<std::string> idempotency_key;  // 1–255 bytes; unique per task
  std::optional<TimePoint> run_at;             // not before; nothing, or an instant that has passed: now
};

struct NewRuns {
  std::vector<domain::TaskRun> runs;             // one per shard
  bool existed = false;                          // the idempotency key was known: these are the runs it made then
  std::vector<domain::TaskRun> downstream = {};  // runs made to wait for them, in the place of skipped ones
};
inline constexpr std::size_t kDownstreamRunsMax = 1000;

struct RunFilter {
  std::optional<TaskId> task;
  std::optional<domain::RunState> state;
  std::optional<domain::Trigger> trigger;
  std::optional<WorkerId> worker;
};

// Over the newest kStatsRunsMax ended runs of one task.
struct TaskStats {
  std::map<std::string, std::int64_t> by_state;
  std::int64_t runs = 0;
  std::optional<double> success_ratio;                     // nothing without ended runs
  std::optional<double> duration_avg_ms, duration_p95_ms;  // started to ended, of those that started
  std::optional<TimePoint> last_success_at, last_failure_at;
  std::int64_t active = 0;  // waiting, pending, dispatched, running
};
inline constexpr std::int64_t kStatsRunsMax = 1000;

struct Cancelled {
  domain::TaskRun run;                 // as it is now
  std::optional<AssignedRun> to_stop;  // a worker holds it and must be told
};

class RunRepository {
 public:
  virtual ~RunRepository() = default;

  // The i-th answer belongs to batch[i]. One transaction, all or nothing, a few statements whatever the size. A run
  // goes at once, or waits for room under its task's limit (domain/limits.hpp). One with `retry_of` is made for the
  // shard of that run alone, and belongs to its group; it takes part in no round, and what it lets go is what
  // `downstream` made. TaskNotFound; RunNotFound where the task has no run `retry_of`; Conflict where the key was used
  // with other parameters, or for more than kDownstreamRunsMax runs downstream; BacklogFull where it would make more
  // runs that nobody has begun than the task's max_queued_runs. That count may be up to a second old where it is large:
  // what other processes have inserted since then may come on top.
  virtual Async<std::vector<NewRuns>> insert_all(std::vector<NewRun> batch) = 0;
  Async<NewRuns> insert(NewRun run);

  // The newest run of each shard of the fire that this run belongs to, by shard. RunNotFound.
  virtual Async<std::vector<domain::TaskRun>> group(RunId any) = 0;
  // New runs for those of them that domain::is_run_again, in their places; one transaction, so that two who ask at the
  // same time make them once. Conflict where there are none; the rest as insert_all.
  virtual Async<NewRuns> retry_group(RunId any) = 0;

  virtual Async<domain::TaskRun> get(RunId id) = 0;  // RunNotFound
  virtual Async<Page<domain::TaskRun>> list(RunFilter filter, Paging paging) = 0;
  // Ended attempts by number, then the current one where there is one. RunNotFound.
  virtual Async<std::vector<domain::Attempt>> attempts(RunId id) = 0;
  // What it left for those that run after it, a JSON object as text; nothing where it left nothing, or is not there.
  virtual Async<std::optional<std::string>> output(RunId id) = 0;
  // What it waits or waited for, in the order of its task's dependencies; empty: for nothing. RunNotFound.
  virtual Async<std::vector<domain::UpstreamRun>> upstreams(RunId id) = 0;
  // How many lines of output an attempt sent; nothing while it has not ended.
  virtual Async<std::optional<std::int64_t>> log_lines(RunId id, int attempt) = 0;

  // One statement: not dispatched -> cancelled; dispatched or running -> marked. Marking twice is fine.
  // Conflict when the run has ended; the message says how. RunNotFound.
  virtual Async<Cancelled> cancel(RunId id) = 0;

  virtual Async<TaskStats> stats(TaskId task) = 0;
};

class RunLogRepository {
 public:
  virtual ~RunLogRepository() = default;
  // Chunks that are there already are ignored (a message may come twice).
  virtual Async<void> append(std::vector<LogChunk> chunks) = 0;
  // Chunks of one attempt that hold lines after `after_line`, in order; about `bytes_max` bytes, at least one chunk.
  virtual Async<std::vector<LogChunk>> read(RunId run, int attempt, std::int64_t after_line, std::size_t bytes_max) = 0;
};

}  // namespace scheduler::application
