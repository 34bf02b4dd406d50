// domain/retry.hpp — what follows an attempt: the run ends, or another attempt is due.
#pragma once

#include "core/time.hpp"
#include "domain/task.hpp"
#include "domain/task_run.hpp"

#include <optional>
#include <string>
#include <variant>

namespace scheduler::domain {

// The other side's wish for a wait counts up to this, the longest backoff: a server must not park a run for ever.
inline constexpr Millis kRetryAfterMax = std::chrono::hours{24};

// What a run may hand to those that run after it: a result, not a data set.
inline constexpr std::size_t kOutputBytesMax = 64 * 1024;

// How an attempt ended, as the worker saw it.
struct Outcome {
  AttemptState state = AttemptState::succeeded;  // succeeded, failed, timed_out, cancelled; lost: the worker stopped
  Reason reason = Reason::none;
  std::string message;
  std::optional<int> exit_code, http_status;
  bool permanent = false;             // trying again cannot help: the parameters themselves are wrong
  std::optional<Millis> retry_after;  // the other side asked for at least this wait (HTTP Retry-After)
  std::optional<std::string> output;  // of a success: a JSON object as text, at most kOutputBytesMax
  bool operator==(const Outcome&) const = default;
};

struct Policy {
  int max_retries = 0;
  RetryBackoff backoff;
  RetryOn retry_on;
  // A run that kills its workers again and again must not take the whole cluster with it.
  int max_lost_attempts = TaskSpec{}.max_lost_attempts;
  Delivery delivery = Delivery::at_least_once;
};

struct End {
  RunState state = RunState::succeeded;
  std::string note =
      {};  // why no other attempt follows, where the outcome alone does not say; goes behind its sentence
  bool operator==(const End&) const = default;
};
struct RetryAt {
  TimePoint due{};
  bool operator==(const RetryAt&) const = default;
};
using AfterAttempt = std::variant<End, RetryAt>;

// The sentence of an attempt after which `next` follows.
[[nodiscard]] std::string message_of(const Outcome& outcome, const AfterAttempt& next);

// The wait before attempt `next` (>= 2): min(cap, base * factor^(next-2)) plus up to a tenth of it. The tenth is drawn
// from (run, next) by a fixed hash: equal inputs give equal answers, and runs that failed together spread out.
[[nodiscard]] Millis backoff(const RetryBackoff& policy, RunId run, int next);

// What follows from `outcome` alone, whatever policy and run say; nothing where those decide.
[[nodiscard]] std::optional<End> certain_end(const Outcome& outcome);

// After attempt number `run.attempt` ended with `outcome`. A cancel mark wins over a retry, never over a success.
// Attempts that were lost do not use up max_retries, and retry_on says nothing about them.
[[nodiscard]] AfterAttempt after_attempt(const Policy& policy, const TaskRun& run, const Outcome& outcome,
                                         TimePoint now);

// After the worker of a dispatched or running run was lost: RetryAt{now}, or End{failed | cancelled}.
[[nodiscard]] AfterAttempt after_loss(const Policy& policy, const TaskRun& run, TimePoint now);

}  // namespace scheduler::domain
