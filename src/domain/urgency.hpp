// domain/urgency.hpp — which of two due runs is dispatched first.
//
// A level of priority is worth a span of waiting, the *ageing*: with a minute, a run of priority 4 that has been due
// for two minutes is as urgent as one of priority 5 due for one. So nothing starves: behind a stream of runs of
// priority 9, a run of priority 0 goes after nine such spans at the latest. Without ageing the priority alone decides.
#pragma once

#include "core/time.hpp"

namespace scheduler::domain {

// Longer than anything waits, and short enough that nine of them are still an instant that every store can hold.
inline constexpr Seconds kNoAgeing{100LL * 365 * 24 * 3600};

// What a level of priority is worth. `ageing` zero: more than any wait.
[[nodiscard]] constexpr Seconds worth_of_a_level(Seconds ageing) { return ageing > Seconds{0} ? ageing : kNoAgeing; }

// The smaller one goes first; of equal ones the smaller id. It does not depend on now: what is ahead stays ahead.
[[nodiscard]] constexpr TimePoint urgency(int priority, TimePoint due_at, Seconds ageing) {
  return due_at - priority * worth_of_a_level(ageing);
}

}  // namespace scheduler::domain
