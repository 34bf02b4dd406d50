// domain/task.hpp — a task: the definition of work, its schedule and its policies.
//
// Always true of a stored task: every field passed validate(); `name` is unique among tasks that are not archived;
// `version` grows by one with every change; the watermark never goes back.
#pragma once

#include "core/enum_names.hpp"
#include "core/ids.hpp"
#include "core/time.hpp"
#include "errors/error.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace scheduler::domain {

enum class TaskStatus { active, paused };
constexpr auto enum_names(TaskStatus) { return std::to_array<std::string_view>({"active", "paused"}); }

// When a task without a schedule runs, given how the upstream runs of one round ended.
enum class TriggerRule { all_success, all_done, any_success, none_failed };
constexpr auto enum_names(TriggerRule) {
  return std::to_array<std::string_view>({"all_success", "all_done", "any_success", "none_failed"});
}

// What a scheduled fire does while an earlier run of the task has not ended. Runs asked for by hand always start.
enum class OverlapPolicy { allow, forbid, queue_one, replace };
constexpr auto enum_names(OverlapPolicy) {
  return std::to_array<std::string_view>({"allow", "forbid", "queue_one", "replace"});
}

// What happens to fire times decided later than kMisfireGrace: none of them | only the latest | all, at most
// kCatchUpMax.
enum class MisfirePolicy { skip, latest, all };
constexpr auto enum_names(MisfirePolicy) { return std::to_array<std::string_view>({"skip", "latest", "all"}); }

// When a run's worker is lost: dispatch it again | end it failed, reason worker_lost.
enum class Delivery { at_least_once, at_most_once };
constexpr auto enum_names(Delivery) { return std::to_array<std::string_view>({"at_least_once", "at_most_once"}); }

using Labels = std::map<std::string, std::string>;

// Wait before attempt k >= 2: min(cap, base * factor^(k-2)), plus jitter (retry.hpp).
struct RetryBackoff {
  double base_seconds = 1.0;    // (0, 86400]
  double factor = 2.0;          // [1, 10]
  double cap_seconds = 3600.0;  // [base, 86400]
  bool operator==(const RetryBackoff&) const = default;
};

// What a person writes. Defaults are the defaults of the API.
struct TaskSpec {
  std::string name;         // 1–255 bytes of UTF-8 without hidden characters (core/utf8.hpp); unique
  std::string description;  // at most 4096 bytes of UTF-8; line ends and tabs are its only control characters
  std::string task_type;    // one of the executors' names
  std::optional<std::string> schedule;  // schedule.hpp; nothing: by hand, by API or after other tasks
  std::string timezone = "UTC";
  std::string parameters =
      "{}";              // a JSON object as text, at most kParameterBytesMax; its fields belong to the executor
  Seconds timeout{300};  // 1–86400, per attempt
  int max_retries = 0;   // 0–10
  RetryBackoff retry_backoff;
  std::vector<TaskId> dependencies;  // upstream tasks, unique, at most kDependenciesMax
  TriggerRule trigger_rule = TriggerRule::all_success;
  OverlapPolicy overlap_policy = OverlapPolicy::queue_one;
  MisfirePolicy misfire_policy = MisfirePolicy::latest;
  Delivery delivery = Delivery::at_least_once;
  int priority = 5;      // 0–9, 9 is dispatched first
  Labels labels;         // for people
  Labels worker_labels;  // a worker must bear all of these
  int shard_count = 1;   // 1–1000 runs per fire
  TaskStatus status = TaskStatus::active;
  bool operator==(const TaskSpec&) const = default;
};

struct Task {
  TaskId id;
  TaskSpec spec;
  std::int64_t version = 1;  // the ETag
  TimePoint created_at{};
  TimePoint updated_at{};
  // Every slot up to and including the watermark has been decided. Nothing: the task has no schedule.
  std::optional<TimePoint> watermark;
  std::optional<TimePoint> next_fire_at;  // the first slot after the watermark; nothing: none, or paused
};

inline constexpr std::size_t kParameterBytesMax = 1 << 20;
inline constexpr std::size_t kDependenciesMax = 100;
inline constexpr std::size_t kLabelsMax = 32;

// Every fault of the fields themselves, with JSON pointers; empty: the spec is good. Schedule, time zone, task type,
// parameters and dependencies need more than the spec and are checked by the use case.
[[nodiscard]] std::vector<FieldError> validate(const TaskSpec& spec);

}  // namespace scheduler::domain
