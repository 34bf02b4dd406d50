// infrastructure/store/refusals.hpp — what a store says no to, in the same words whatever the engine.
#pragma once

#include "domain/task.hpp"
#include "domain/task_run.hpp"
#include "domain/worker_info.hpp"

namespace scheduler::infrastructure {

using Refusal = std::unexpected<SchedulerError>;

[[nodiscard]] Refusal no_such_task(TaskId id);
[[nodiscard]] Refusal no_such_task(std::string_view name);
[[nodiscard]] Refusal name_is_taken(std::string_view name, TaskId by);
[[nodiscard]] Refusal task_was_changed(const domain::Task& stored, std::int64_t version_seen);
[[nodiscard]] Refusal task_is_needed(std::string_view name, std::string_view dependant);
[[nodiscard]] Refusal tasks_wait_for_each_other(const std::vector<std::string>& names);  // along the cycle
// `known[i]`: upstream i exists. Nothing to refuse where all do.
[[nodiscard]] SchedulerResult<void> check_upstreams(const std::vector<TaskId>& upstreams,
                                                    const std::vector<bool>& known);

[[nodiscard]] Refusal no_such_run(RunId id);
[[nodiscard]] Refusal task_has_no_such_run(TaskId task, RunId run);
[[nodiscard]] Refusal too_many_downstream(RunId run);
[[nodiscard]] Refusal shard_has_no_downstream(RunId run);
[[nodiscard]] Refusal run_has_ended(const domain::TaskRun& run);

// An idempotency key stands for one request, parameters included.
[[nodiscard]] Refusal key_was_used(std::string_view key, RunId by);
[[nodiscard]] Refusal key_is_used_twice(std::string_view key);
// `count` runs that nobody has begun, or more; `more` are asked for.
[[nodiscard]] Refusal backlog_is_full(std::string_view task, std::int64_t count, std::int64_t more, std::int64_t max);
[[nodiscard]] Refusal nothing_to_run_again(const std::vector<domain::TaskRun>& group);

[[nodiscard]] Refusal no_such_worker(const WorkerId& id);
[[nodiscard]] Refusal worker_is_dead(const domain::WorkerInfo& worker);

}  // namespace scheduler::infrastructure
