// application/task_control_service.hpp — use cases that make things happen: trigger, pause, resume, cancel, run again.
#pragma once

#include "application/ports/run_repository.hpp"
#include "application/task_service.hpp"
#include "core/async.hpp"
#include "domain/task.hpp"

#include <optional>
#include <string>

namespace scheduler::application {

struct TriggerRequest {
  std::optional<std::string> parameters;       // JSON object that replaces the task's, for this run only
  std::optional<std::string> idempotency_key;  // the same key again answers with the runs made the first time
  std::optional<TimePoint> run_at;             // at most kPastMax ago, which means now, and at most kAheadMax from now
};
inline constexpr Seconds kPastMax{60};
inline constexpr Seconds kAheadMax{3653LL * 24 * 3600};  // ten years

struct BulkItem {
  TaskRef task;
  TriggerRequest request;
};
inline constexpr std::size_t kBulkItemsMax = 1000;
inline constexpr std::size_t kBulkRunsMax = 10'000;  // all shards together

class TaskControlService {
 public:
  virtual ~TaskControlService() = default;
  // One run per shard, due now or at run_at. Paused tasks may be triggered. Validation (parameters, run_at);
  // TaskNotFound; BacklogFull.
  virtual Async<NewRuns> trigger_task(TaskId id, TriggerRequest request) = 0;
  // The same for each item, in one transaction: all or nothing. The i-th answer belongs to items[i]. Validation with
  // every fault, under /items/<i>; the rest as RunRepository::insert_all.
  virtual Async<std::vector<NewRuns>> trigger_all(std::vector<BulkItem> items) = 0;
  // Slots pass unfired while a task is paused. Pausing twice is fine. Runs in flight go on.
  virtual Async<domain::Task> pause_task(TaskId id) = 0;
  // Slots missed while paused are recorded as skipped (paused); the next one fires.
  virtual Async<domain::Task> resume_task(TaskId id) = 0;
  // Not dispatched: cancelled now. Else the worker is told to stop it and the run ends cancelled, unless it ended
  // first. Conflict for a run that has ended.
  virtual Async<domain::TaskRun> cancel_run(RunId id) = 0;
  // A new run of the same task with the same parameters, trigger `retry`. Conflict for a run that has not ended, or
  // whose task was deleted. `downstream`: what was skipped because of it runs again as well, if it ends well.
  virtual Async<NewRuns> restart_run(RunId id, bool downstream) = 0;
  // The same for each shard of the run's fire whose newest run ended failed, timed_out or cancelled. Conflict where
  // there is none, or the task was deleted.
  virtual Async<NewRuns> restart_group(RunId any) = 0;
};

}  // namespace scheduler::application
