// application/task_service.hpp — use cases around task definitions. All faults of an input are reported at once.
#pragma once

#include "application/ports/run_repository.hpp"
#include "application/ports/task_repository.hpp"
#include "application/slot_report.hpp"
#include "core/async.hpp"
#include "domain/why.hpp"

#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace scheduler::application {

using TaskRef = std::variant<TaskId, std::string>;  // by id or by name

// A task as somebody wrote it: dependencies may be names, and the reader may have found faults of shape already.
struct TaskDraft {
  domain::TaskSpec spec;  // spec.dependencies is ignored; `dependencies` counts
  std::vector<TaskRef> dependencies;
  std::optional<UserId> owner;     // who asks; counts for a new task alone
  std::vector<FieldError> faults;  // of shape; fields with a fault hold their default and are not judged again
};

struct PreviewRequest {
  std::string schedule;
  std::string timezone = "UTC";
  std::string task_name;          // what H spreads by
  std::optional<TimePoint> from;  // default: now; the anchor of @every as well
  int count = 5;                  // 1–1000
};
struct Preview {
  std::string explanation;
  std::vector<TimePoint> slots;  // strictly after `from`
};

struct TaskExplained {
  domain::Task task;
  std::vector<domain::Gate> gates;  // at least one
};

// A task with what it runs after and what runs after it, directly.
struct TaskDependencies {
  TaskStanding task;
  std::vector<TaskStanding> upstreams;   // as the task lists them
  std::vector<TaskStanding> dependants;  // by id, at most kGraphTasksMax
};

// The tasks around one, and all that runs after what among them.
struct TaskGraph {
  std::vector<TaskStanding> tasks;  // by id
  std::vector<DependencyEdge> edges;
  bool truncated = false;  // there are more within the depth
};
inline constexpr std::size_t kGraphTasksMax = 1000;
inline constexpr int kGraphDepthMax = 100;

class TaskService {
 public:
  virtual ~TaskService() = default;
  // Validation or InvalidSchedule with every faulty field; DuplicateTaskName. A schedule that has nothing left to fire
  // is refused here, and by update() where it or the time zone changes.
  virtual Async<domain::Task> create(TaskDraft draft) = 0;
  // Replaces the whole spec. PreconditionFailed when `if_version` is set and not the stored version; DependencyCycle.
  virtual Async<domain::Task> update(TaskId id, TaskDraft draft, std::optional<std::int64_t> if_version) = 0;
  virtual Async<domain::Task> get(TaskId id) = 0;
  virtual Async<domain::Task> find(std::string name) = 0;
  virtual Async<Page<domain::Task>> list(TaskFilter filter, Paging paging) = 0;
  virtual Async<void> archive(TaskId id, std::optional<std::int64_t> if_version) = 0;
  // The next `count` (1–1000) fire times after `from` (default now), as if the task were active; empty without a
  // schedule.
  virtual Async<std::vector<TimePoint>> next(TaskId id, std::optional<TimePoint> from, int count) = 0;
  // What became of the task's fire times, and whether each has exactly one disposition. Validation for a window that is
  // empty, or names more than kAuditSlotsMax fire times.
  virtual Async<SlotReport> slots(TaskId id, SlotQuery query) = 0;
  // What the task's next run waits for.
  virtual Async<TaskExplained> explain(TaskId id) = 0;
  // A task that was deleted still has its runs. TaskNotFound for one that never was, or left none behind.
  virtual Async<void> check_history(TaskId id) = 0;
  virtual Async<TaskStats> stats(TaskId id) = 0;  // TaskNotFound as above
  virtual Async<TaskDependencies> dependencies(TaskId id) = 0;
  // Up to `depth` (1–kGraphDepthMax) steps up and down from the task; the nearest kGraphTasksMax tasks.
  virtual Async<TaskGraph> graph(TaskId id, int depth) = 0;
  // Works on text that no task has yet. Validation (count, timezone) or InvalidSchedule.
  virtual Async<Preview> preview(PreviewRequest request) = 0;
};

}  // namespace scheduler::application
