#include "domain/retry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

namespace scheduler::domain {
namespace {

bool allows(const auto& list, auto item) { return list.empty() || std::ranges::find(list, item) != list.end(); }

// "" where retry_on lets another attempt follow.
std::string excluded_by(const RetryOn& rules, const Outcome& outcome) {
  if (!allows(rules.reasons, outcome.reason))
    return fmt::format("not tried again: retry_on.reasons does not name {}", name_of(outcome.reason));
  if (outcome.reason == Reason::exit_code && outcome.exit_code && !allows(rules.exit_codes, *outcome.exit_code))
    return fmt::format("not tried again: retry_on.exit_codes does not hold {}", *outcome.exit_code);
  if (outcome.reason == Reason::http_status && outcome.http_status &&
      !allows(rules.http_statuses, *outcome.http_status))
    return fmt::format("not tried again: retry_on.http_statuses does not hold {}", *outcome.http_status);
  return {};
}

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

std::string message_of(const Outcome& outcome, const AfterAttempt& next) {
  const auto* end = std::get_if<End>(&next);
  if (end == nullptr || end->note.empty()) return outcome.message;
  return outcome.message.empty() ? end->note : outcome.message + "; " + end->note;
}

AfterAttempt after_attempt(const Policy& policy, const TaskRun& run, const Outcome& outcome, TimePoint now) {
  if (const auto end = certain_end(outcome)) return *end;
  if (outcome.state == AttemptState::lost) return after_loss(policy, run, now);  // it stopped in the middle of it
  const int used = run.attempt - run.lost_attempts;  // tries that count against the budget, this one included
  if (run.cancel_requested()) return End{RunState::cancelled};
  if (outcome.permanent || used > policy.max_retries) return End{end_state(outcome.state)};
  if (auto why = excluded_by(policy.retry_on, outcome); !why.empty())
    return End{end_state(outcome.state), std::move(why)};
  const auto asked = std::min(outcome.retry_after.value_or(Millis{0}), kRetryAfterMax);
  const auto wait = std::max(backoff(policy.backoff, run.id, run.attempt + 1), asked);
  return RetryAt{now + wait};
}

AfterAttempt after_loss(const Policy& policy, const TaskRun& run, TimePoint now) {
  if (run.cancel_requested()) return End{RunState::cancelled};
  if (policy.delivery == Delivery::at_most_once)
    return End{RunState::failed, "not given to another worker: its delivery is at_most_once"};
  const int lost = run.lost_attempts + 1;
  if (lost < policy.max_lost_attempts) return RetryAt{now};
  const auto earlier = run.lost_workers.empty() ? std::string() : run.lost_workers + ", ";
  return End{RunState::failed,
             fmt::format("not given to another worker: it has lost {} of them ({}{}), and max_lost_attempts is {}",
                         lost, earlier, run.worker.value_or(WorkerId{"?"}).value, policy.max_lost_attempts)};
}

}  // namespace scheduler::domain
