// application/ports/task_repository.hpp — the task definitions and the graph of their dependencies.
#pragma once

#include "application/ports/paging.hpp"
#include "core/async.hpp"
#include "domain/dependencies.hpp"
#include "domain/fire_plan.hpp"
#include "domain/task.hpp"

#include <optional>
#include <string>

namespace scheduler::application {

struct TaskFilter {
  std::optional<domain::TaskStatus> status;
  std::optional<std::string> task_type;
  std::optional<std::string> name_contains;  // letter case does not count for ASCII
  std::optional<std::pair<std::string, std::string>> label;
};

// A task in the graph of dependencies, with its newest run.
struct TaskStanding {
  TaskId id;
  std::string name;
  domain::TaskStatus status = domain::TaskStatus::active;
  std::optional<std::string> schedule;
  domain::TriggerRule trigger_rule = domain::TriggerRule::all_success;
  std::optional<RunId> last_run;
  std::optional<domain::RunState> last_state;
};

struct DependencyEdge {
  TaskId task, upstream;  // `task` runs after `upstream`
  auto operator<=>(const DependencyEdge&) const = default;
};

// Archived tasks are invisible to every call.
class TaskRepository {
 public:
  virtual ~TaskRepository() = default;

  // Stores `task` under a new id and version 1, with created_at and updated_at by the store's clock.
  // DuplicateTaskName; Validation (/dependencies/<i>) for an upstream that does not exist.
  virtual Async<domain::Task> create(domain::Task task) = 0;

  virtual Async<domain::Task> get(TaskId id) = 0;                                // TaskNotFound
  virtual Async<domain::Task> find(std::string name) = 0;                        // TaskNotFound
  virtual Async<Page<domain::Task>> list(TaskFilter filter, Paging paging) = 0;  // total is set

  // Replaces spec, watermark and next_fire_at where the stored version is still task.version, which grows by one; runs
  // of the task that are not dispatched yet take the new priority and route. The watermark becomes the later one of
  // task's and the stored one: slots may have fired since the task was read, which does not change its version. A new
  // schedule_since is that watermark. Changed dependencies drop the task's unfinished rounds. `skipped`, when set,
  // records slots that will not fire, in the same transaction, but for those that were decided meanwhile. Conflict when
  // the version has moved on; TaskNotFound; DuplicateTaskName; DependencyCycle (the message names the tasks of the
  // cycle); Validation as for create.
  virtual Async<domain::Task> update(domain::Task task, std::optional<domain::SlotDecision> skipped) = 0;

  // Archives the task: it fires no more, its name is free again, its runs that are not dispatched are cancelled and its
  // history stays. Conflict while another task depends on it; the message names that task. TaskNotFound.
  virtual Async<void> archive(TaskId id) = 0;

  // Tasks that list `id` as an upstream.
  virtual Async<std::vector<TaskId>> dependants(TaskId id) = 0;
  // What these tasks run after, and what runs after them, at most `limit` edges: ordered by task and then as the task
  // lists them.
  virtual Async<std::vector<DependencyEdge>> edges(std::vector<TaskId> of, std::size_t limit) = 0;
  // Those that exist, by id.
  virtual Async<std::vector<TaskStanding>> standings(std::vector<TaskId> ids) = 0;
};

}  // namespace scheduler::application
