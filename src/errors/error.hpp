// errors/error.hpp — what can go wrong, said once for machines (kind) and once for people (message).
//
// Always true:
//   - the kind decides everything that code decides: HTTP status, exit code, whether to retry, the metric label;
//   - the message is one sentence (or more) that says what went wrong, why, and where it helps, what to do next;
//   - nobody matches on message text.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace scheduler {

enum class ErrorKind {
  Validation,         // the caller's input is wrong; `fields` may list every fault
  InvalidSchedule,    // schedule text that names no rule; the message holds the position of the fault
  DuplicateTaskName,  // a task of that name exists
  DependencyCycle,    // the message names the cycle
  TaskNotFound,
  RunNotFound,
  WorkerNotFound,
  NotFound,            // anything else that is not there: a route, a slot, a file
  Conflict,            // the thing is in a state that does not allow this
  PreconditionFailed,  // If-Match names an older version
  StaleToken,          // a report about an attempt that is no longer the current one
  PayloadTooLarge,
  BacklogFull,  // the task has as many runs that nobody has begun as it may have; the message says what to do
  MethodNotAllowed,
  Unauthenticated,  // no credentials where some are needed, or a wrong name or password
  InvalidToken,     // credentials that do not count (any more): forged, expired, ended, revoked
  Forbidden,        // known, but not allowed to do this
  RateLimited,      // too often; `retry_after` says when again
  Timeout,          // a call took longer than its deadline
  Unavailable,      // try again later: starting, stopping, a peer is away
  Database,         // the store refused or failed
  MessageQueue,     // the queue refused or failed
  Config,           // settings that stop the start; the message names file, key and remedy
  Internal,         // our bug
};

// The fixed spelling used in replies and logs, e.g. "TASK_NOT_FOUND".
[[nodiscard]] std::string_view code_of(ErrorKind kind);

// True where the same call may succeed later without any change by the caller.
[[nodiscard]] constexpr bool is_retryable(ErrorKind kind) {
  return kind == ErrorKind::Timeout || kind == ErrorKind::BacklogFull || kind == ErrorKind::Unavailable ||
         kind == ErrorKind::Database || kind == ErrorKind::MessageQueue;
}

// One fault in one field. `pointer` is a JSON pointer (RFC 6901) into the body, or the name of a query parameter.
struct FieldError {
  std::string pointer;
  std::string message;
  bool operator==(const FieldError&) const = default;
};

struct [[nodiscard]] SchedulerError {
  ErrorKind kind = ErrorKind::Internal;
  std::string message;
  std::vector<FieldError> fields = {};                   // empty unless kind is Validation or InvalidSchedule
  std::optional<std::chrono::seconds> retry_after = {};  // set where kind is RateLimited
  bool operator==(const SchedulerError&) const = default;
};

}  // namespace scheduler
