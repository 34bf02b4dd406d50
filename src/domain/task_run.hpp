// domain/task_run.hpp — a run: one intended execution of a task, and its attempts.
//
// Always true:
//   - a run keeps its id through all retries; `attempt` counts from 1, 0 means none was dispatched yet;
//   - the token grows with every dispatch and rescue; a report with an older one changes nothing;
//   - the five terminal states never change;
//   - a terminal state other than succeeded carries a reason and a sentence.
#pragma once

#include "core/enum_names.hpp"
#include "core/ids.hpp"
#include "core/time.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace scheduler::domain {

enum class RunState { waiting, pending, dispatched, running, succeeded, failed, timed_out, cancelled, skipped };
constexpr auto enum_names(RunState) {
  return std::to_array<std::string_view>(
      {"waiting", "pending", "dispatched", "running", "succeeded", "failed", "timed_out", "cancelled", "skipped"});
}
[[nodiscard]] constexpr bool is_terminal(RunState state) { return state >= RunState::succeeded; }

enum class Reason {
  none,
  exit_code,       // the process ended with a code other than 0
  signal,          // the process was killed by a signal that we did not send
  http_status,     // the answer's status was not an expected one
  executor_error,  // the attempt could not be made: no such program, bad URL, unreadable directory
  timeout,
  worker_lost,  // the worker's incarnation died, or forgot the run
  dependency_failed,
  overlap,  // an earlier run of the task had not ended; or a later one took its place
  misfire,  // decided too late
  paused,   // the task was paused at that fire time
  cancelled_by_user,
  shutdown,        // the worker stopped before the attempt could end
  output_invalid,  // it ended well, but what it left as its output is none
  output_missing,  // what it asks of its upstreams' outputs is not there, or more than can be handed over
};
constexpr auto enum_names(Reason) {
  return std::to_array<std::string_view>({"none", "exit_code", "signal", "http_status", "executor_error", "timeout",
                                          "worker_lost", "dependency_failed", "overlap", "misfire", "paused",
                                          "cancelled_by_user", "shutdown", "output_invalid", "output_missing"});
}

// Who asked for the run.
enum class Trigger { schedule, manual, dependency, retry };
constexpr auto enum_names(Trigger) {
  return std::to_array<std::string_view>({"schedule", "manual", "dependency", "retry"});
}

// What a run waits for. The store keeps it beside the state `waiting` (limits.hpp says who goes when).
enum class Wait {
  upstreams,  // what its upstream runs come to; then earlier runs, or room
  overlap,    // earlier runs of the task, as its overlap policy says
  limit,      // room under the task's max_concurrent_runs
  time,       // its due_at; then room
};
constexpr auto enum_names(Wait) { return std::to_array<std::string_view>({"upstreams", "overlap", "limit", "time"}); }

struct TaskRun {
  RunId id;
  TaskId task;
  std::string task_name;  // as it is now; filled when read
  Trigger trigger = Trigger::manual;
  std::optional<TimePoint> slot;          // the fire time, for runs of a schedule
  std::optional<RunId> retry_of;          // the ended run that a person asked to run again
  std::optional<RunId> group;             // all shards of one fire bear the id of its first run; nothing: one shard
  std::optional<std::string> parameters;  // JSON object that replaces the task's, for this run only
  int shard_index = 0;                    // 0 .. shard_total - 1
  int shard_total = 1;
  RunState state = RunState::pending;
  std::optional<Wait> waits_for;  // set while it is waiting
  int priority = 5;
  TimePoint created_at{};
  TimePoint due_at{};        // not before; while pending after a failed attempt: the end of the backoff
  int attempt = 0;           // the current or last one
  int lost_attempts = 0;     // attempts whose worker was lost; they have a budget of their own
  std::string lost_workers;  // "w1, w2": the workers of these; filled where a decision is made
  Token token = 0;
  std::optional<WorkerId> worker;
  std::optional<IncarnationId> incarnation;
  std::optional<TimePoint> dispatched_at, started_at, ended_at;  // of the current or last attempt; ended_at: of the run
  Reason cancel_reason = Reason::none;  // the cancel mark: who wants it stopped; the first one counts
  Reason reason = Reason::none;
  std::string message;  // the sentence beside the reason
  std::optional<int> exit_code, http_status;

  [[nodiscard]] bool cancel_requested() const { return cancel_reason != Reason::none; }
};

// The sentence of a run that ended cancelled for `why`; `when` completes it: "while it was running".
[[nodiscard]] std::string cancel_message(Reason why, std::string_view when);

enum class AttemptState { running, succeeded, failed, timed_out, cancelled, lost };
constexpr auto enum_names(AttemptState) {
  return std::to_array<std::string_view>({"running", "succeeded", "failed", "timed_out", "cancelled", "lost"});
}

// Written when the attempt has ended; the current one is part of its run.
struct Attempt {
  RunId run;
  int number = 1;
  Token token = 0;
  AttemptState state = AttemptState::running;
  WorkerId worker;
  IncarnationId incarnation;
  std::optional<TimePoint> dispatched_at, started_at, ended_at;
  Reason reason = Reason::none;
  std::string message;
  std::optional<int> exit_code, http_status;
};

}  // namespace scheduler::domain
