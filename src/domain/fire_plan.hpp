// domain/fire_plan.hpp — what becomes of the slots that are due: fire them, or skip them with a reason.
//
// Always true: the plan disposes of every slot in (watermark, plan.watermark], each exactly once, and of no other; the
// cost does not grow with the number of slots that are skipped. A crash, a failover, an outage of the store, a clock
// that jumped: whatever made a slot late, this one rule decides it.
#pragma once

#include "domain/schedule.hpp"
#include "domain/task.hpp"
#include "domain/task_run.hpp"

#include <vector>

namespace scheduler::domain {

// At most this many slots of one task are fired by one decision; `all` catches up no more than that.
inline constexpr std::size_t kCatchUpMax = 100;
// Misfires that fire are due one after the other at this distance, beginning now: a task that catches up is no burst.
inline constexpr Millis kCatchUpPace{100};

// All slots of the schedule in [first, last] share one disposition; fired ones are always single.
struct SlotDecision {
  TimePoint first{}, last{};
  bool fire = true;
  Reason reason = Reason::none;          // why not, when not fired
  std::optional<TimePoint> due_at = {};  // of the run, for a misfire that fires; nothing: the slot itself
  bool operator==(const SlotDecision&) const = default;
};

// What is left of a decision about skipped slots once those up to `watermark` were decided by somebody else. The result
// may begin between two slots.
[[nodiscard]] std::optional<SlotDecision> left_after(SlotDecision skipped, TimePoint watermark);

struct FirePlan {
  std::vector<SlotDecision> slots;  // in order
  TimePoint watermark{};            // decided up to here
  std::optional<TimePoint> next_fire_at;
};

// A slot decided more than `grace` after its instant is a misfire, and the policy says what becomes of it; `window`
// bounds how far back: an older one is skipped in any case.
struct MisfireRule {
  MisfirePolicy policy = MisfirePolicy::latest;
  Seconds grace{60};
  std::optional<Seconds> window;
};
[[nodiscard]] inline MisfireRule misfire_rule(const TaskSpec& spec) {
  return {spec.misfire_policy, spec.misfire_grace, spec.catch_up_window};
}

[[nodiscard]] FirePlan plan_fire(const Schedule& schedule, const MisfireRule& rule, TimePoint watermark, TimePoint now);

// What a fire does about earlier runs of the same task that have not ended.
enum class OverlapAction {
  start,              // pending at once
  wait,               // waiting until they have ended
  skip,               // skipped, reason overlap
  replace_then_wait,  // cancel them, drop what waits, and wait until they have ended
};

// `active`: runs of the task that are pending, dispatched or running; `queued`: fire times whose runs wait, for those
// or for upstream runs. Where nothing is active and a task has `upstreams`, the first that waits counts as active: only
// what comes after it is in the queue.
[[nodiscard]] OverlapAction on_overlap(OverlapPolicy policy, int active, int queued, bool upstreams = false);

// The run that the ledger names beside such a fire: the one that it was merged into, waits for or replaces. Given the
// oldest run that is active, and the oldest one that waits.
[[nodiscard]] std::optional<RunId> overlap_cause(OverlapAction action, std::optional<RunId> active,
                                                 std::optional<RunId> queued);

}  // namespace scheduler::domain
