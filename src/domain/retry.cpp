#include "domain/retry.hpp"

#include <algorithm>
#include <cassert>
#include <cmath>

namespace scheduler::domain {
namespace {

// SplitMix64's finalizer (Steele, Lea, Flood: Fast splittable pseudorandom number generators, 2014).
constexpr std::uint64_t mix(std::uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

RunState end_state(AttemptState state) {
  switch (state) {
    case AttemptState::succeeded:
      return RunState::succeeded;
    case AttemptState::timed_out:
      return RunState::timed_out;
    case AttemptState::cancelled:
      return RunState::cancelled;
    default:
      return RunState::failed;
  }
}

}  // namespace

Millis backoff(const RetryBackoff& policy, RunId run, int next) {
  assert(next >= 2);
  const double wait = std::min(policy.cap_seconds, policy.base_seconds * std::pow(policy.factor, next - 2));
  const auto dice = mix(static_cast<std::uint64_t>(run.value) * 31 + static_cast<std::uint64_t>(next));
  const double jitter = static_cast<double>(dice >> 11) * 0x1p-53;  // [0, 1)
  return Millis{static_cast<std::int64_t>(std::ceil(wait * 1000.0 * (1.0 + 0.1 * jitter)))};
}

std::optional<End> certain_end(const Outcome& outcome) {
  if (outcome.state != AttemptState::succeeded && outcome.state != AttemptState::cancelled) return std::nullopt;
  return End{end_state(outcome.state)};
}

AfterAttempt after_attempt(const Policy& policy, const TaskRun& run, const Outcome& outcome, TimePoint now) {
  if (const auto end = certain_end(outcome)) return *end;
  if (outcome.state == AttemptState::lost) return after_loss(policy, run, now);  // it stopped in the middle of it
  const int used = run.attempt - run.lost_attempts;  // tries that count against the budget, this one included
  if (run.cancel_requested()) return End{RunState::cancelled};
  if (outcome.permanent || used > policy.max_retries) return End{end_state(outcome.state)};
  const auto asked = std::min(outcome.retry_after.value_or(Millis{0}), kRetryAfterMax);
  const auto wait = std::max(backoff(policy.backoff, run.id, run.attempt + 1), asked);
  return RetryAt{now + wait};
}

AfterAttempt after_loss(const Policy& policy, const TaskRun& run, TimePoint now) {
  if (run.cancel_requested()) return End{RunState::cancelled};
  if (policy.delivery == Delivery::at_most_once || run.lost_attempts + 1 >= kLostAttemptsMax)
    return End{RunState::failed};
  return RetryAt{now};
}

}  // namespace scheduler::domain
