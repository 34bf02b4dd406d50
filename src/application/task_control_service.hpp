// application/task_control_service.hpp — use cases that make things happen: trigger, pause, resume, cancel, run again.
#pragma once

#include "application/ports/run_repository.hpp"
#include "core/async.hpp"
#include "domain/task.hpp"

#include <optional>
#include <string>

namespace scheduler::application {

struct TriggerRequest {
  std::optional<std::string> parameters;       // JSON object that replaces the task's, for this run only
  std::optional<std::string> idempotency_key;  // the same key again answers with the runs made the first time
};

class TaskControlService {
 public:
  virtual ~TaskControlService() = default;
  // One run per shard, due now. Paused tasks may be triggered. Validation (parameters); TaskNotFound.
  virtual Async<NewRuns> trigger_task(TaskId id, TriggerRequest request) = 0;
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
};

}  // namespace scheduler::application
