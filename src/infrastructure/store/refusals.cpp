#include "infrastructure/store/refusals.hpp"

#include "application/ports/run_repository.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {

Refusal no_such_task(TaskId id) {
  return fail(ErrorKind::TaskNotFound, fmt::format("no task has the id {}", id.value));
}

Refusal no_such_task(std::string_view name) {
  return fail(ErrorKind::TaskNotFound, fmt::format("no task is named '{}'", name));
}

Refusal name_is_taken(std::string_view name, TaskId by) {
  return fail(ErrorKind::DuplicateTaskName,
              fmt::format("a task named '{}' exists already; its id is {}", name, by.value));
}

Refusal task_was_changed(const domain::Task& stored, std::int64_t version_seen) {
  return fail(ErrorKind::Conflict, fmt::format("task '{}' was changed meanwhile: version {} is now {}; read it again",
                                               stored.spec.name, version_seen, stored.version));
}

Refusal task_is_needed(std::string_view name, std::string_view dependant) {
  return fail(ErrorKind::Conflict,
              fmt::format("task '{}' cannot be deleted: task '{}' depends on it; change or delete that one first", name,
                          dependant));
}

Refusal tasks_wait_for_each_other(const std::vector<std::string>& names) {
  return fail(ErrorKind::DependencyCycle,
              fmt::format("the tasks would wait for each other: {}", fmt::join(names, " -> ")));
}

SchedulerResult<void> check_upstreams(const std::vector<TaskId>& upstreams, const std::vector<bool>& known) {
  std::vector<FieldError> errors;
  for (std::size_t i = 0; i < upstreams.size(); ++i)
    if (!known[i])
      errors.push_back({fmt::format("/dependencies/{}", i), fmt::format("no task has the id {}", upstreams[i].value)});
  if (errors.empty()) return {};
  return fail(ErrorKind::Validation, "the task depends on a task that does not exist", std::move(errors));
}

Refusal no_such_run(RunId id) { return fail(ErrorKind::RunNotFound, fmt::format("no run has the id {}", id.value)); }

Refusal task_has_no_such_run(TaskId task, RunId run) {
  return fail(ErrorKind::RunNotFound, fmt::format("task {} has no run {}", task.value, run.value));
}

Refusal too_many_downstream(RunId run) {
  return fail(ErrorKind::Conflict,
              fmt::format("more than {} runs were skipped because of run {}; run it again without them, and then the "
                          "first ones that were skipped, a part at a time",
                          application::kDownstreamRunsMax, run.value));
}

Refusal shard_has_no_downstream(RunId run) {
  return fail(
      ErrorKind::Conflict,
      fmt::format("run {} is one shard of several, and what runs after them waits for all; run it again without "
                  "what is downstream, and trigger that when all shards are done",
                  run.value));
}

Refusal run_has_ended(const domain::TaskRun& run) {
  return fail(ErrorKind::Conflict, fmt::format("run {} has ended already: {}", run.id.value, name_of(run.state)));
}

Refusal key_was_used(std::string_view key, RunId by) {
  return fail(ErrorKind::Conflict,
              fmt::format("the idempotency key '{}' was used for run {} with other parameters; use another key", key,
                          by.value));
}

Refusal key_is_used_twice(std::string_view key) {
  return fail(
      ErrorKind::Conflict,
      fmt::format("the idempotency key '{}' stands beside other parameters in the same request; use another key", key));
}

Refusal backlog_is_full(std::string_view task, std::int64_t count, std::int64_t more, std::int64_t max) {
  return fail(
      ErrorKind::BacklogFull,
      fmt::format("task '{}' has {} runs that no worker has begun, and its max_queued_runs is {}: {} more cannot "
                  "be asked for; wait until some have begun, cancel some, or raise max_queued_runs",
                  task, count > max ? fmt::format("more than {}", max) : fmt::format("{}", count), max, more));
}

Refusal nothing_to_run_again(const std::vector<domain::TaskRun>& group) {
  return fail(
      ErrorKind::Conflict,
      fmt::format("none of the {} shards of run {} has ended failed, timed_out or cancelled: there is nothing to "
                  "run again",
                  group.size(), group.front().group.value_or(group.front().id).value));
}

Refusal no_such_worker(const WorkerId& id) {
  return fail(ErrorKind::WorkerNotFound, fmt::format("no worker is named '{}'", id.value));
}

Refusal worker_is_dead(const domain::WorkerInfo& worker) {
  return fail(ErrorKind::Conflict, fmt::format("worker '{}' is dead: {}", worker.id.value, worker.state_reason));
}

}  // namespace scheduler::infrastructure
