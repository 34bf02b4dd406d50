// domain/task.hpp — a task: the definition of work, its schedule and its policies.
//
// Always true of a stored task: every field passed validate(); `name` is unique among tasks that are not archived;
// `version` grows by one with every change; the watermark never goes back.
#pragma once

#include "core/enum_names.hpp"
#include "core/ids.hpp"
#include "core/time.hpp"
#include "domain/task_run.hpp"
#include "errors/error.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace scheduler::domain {

enum class TaskStatus { active, paused };
constexpr auto enum_names(TaskStatus) { return std::to_array<std::string_view>({"active", "paused"}); }

// When a task runs after others, given how the upstream runs that it waits for ended.
enum class TriggerRule { all_success, all_done, any_success, none_failed };
constexpr auto enum_names(TriggerRule) {
  return std::to_array<std::string_view>({"all_success", "all_done", "any_success", "none_failed"});
}

// What a scheduled fire does while an earlier run of the task has not ended. Runs asked for by hand always start.
enum class OverlapPolicy { allow, forbid, queue_one, replace };
constexpr auto enum_names(OverlapPolicy) {
  return std::to_array<std::string_view>({"allow", "forbid", "queue_one", "replace"});
}

// What happens to fire times decided later than the task's misfire_grace: none of them | only the latest | all, at
// most kCatchUpMax.
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

// Which failed attempts are followed by another one, as far as max_retries allows. An empty list restricts nothing.
struct RetryOn {
  std::vector<Reason> reasons;     // of kRetryReasons, unique
  std::vector<int> exit_codes;     // 1–255: of an attempt that failed with exit_code, only these
  std::vector<int> http_statuses;  // 100–599: of one that failed with http_status, only these
  bool operator==(const RetryOn&) const = default;
};
inline constexpr auto kRetryReasons =
    std::to_array<Reason>({Reason::exit_code, Reason::signal, Reason::http_status, Reason::executor_error,
                           Reason::timeout, Reason::output_invalid});

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
  RetryOn retry_on;
  int max_lost_attempts = 3;         // 1–10 attempts whose worker is lost; then the run ends failed, reason worker_lost
  std::vector<TaskId> dependencies;  // upstream tasks, unique, at most kDependenciesMax
  TriggerRule trigger_rule = TriggerRule::all_success;
  OverlapPolicy overlap_policy = OverlapPolicy::queue_one;
  MisfirePolicy misfire_policy = MisfirePolicy::latest;
  Seconds misfire_grace{60};               // 0–86400; a minute covers restarts and short outages unnoticed
  std::optional<Seconds> catch_up_window;  // 1 s – 10 years: misfires older than this are skipped in any case
  Delivery delivery = Delivery::at_least_once;
  int priority = 5;                        // 0–9, 9 is dispatched first
  Labels labels;                           // for people
  Labels worker_labels;                    // a worker must bear all of these
  int shard_count = 1;                     // 1–1000 runs per fire
  std::optional<int> max_concurrent_runs;  // 1–10000 runs pending, dispatched or running; nothing: no limit
  int max_queued_runs = 100'000;           // 1–1'000'000 runs that no worker has begun; people may ask for no more
  TaskStatus status = TaskStatus::active;
  bool operator==(const TaskSpec&) const = default;
};

struct Task {
  TaskId id;
  TaskSpec spec;
  std::int64_t version = 1;     // the ETag
  std::optional<UserId> owner;  // whose task it is: who created it; nothing: made before there were accounts
  TimePoint created_at{};
  TimePoint updated_at{};
  // Every slot up to and including the watermark has been decided. Nothing: the task has no schedule.
  std::optional<TimePoint> watermark;
  std::optional<TimePoint> next_fire_at;  // the first slot after the watermark; nothing: none, or paused
  // Since when the schedule reads as it does: slots after this instant are its own. Nothing: no schedule.
  std::optional<TimePoint> schedule_since;
};

inline constexpr std::size_t kParameterBytesMax = 1 << 20;
inline constexpr std::size_t kDependenciesMax = 100;
inline constexpr std::size_t kLabelsMax = 32;

// Every fault of the fields themselves, with JSON pointers; empty: the spec is good. Schedule, time zone, task type,
// parameters and dependencies need more than the spec and are checked by the use case.
[[nodiscard]] std::vector<FieldError> validate(const TaskSpec& spec);

}  // namespace scheduler::domain
