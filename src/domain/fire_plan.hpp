// domain/fire_plan.hpp — what becomes of the slots that are due: fire them, or skip them with a reason.
//
// Always true: the plan disposes of every slot in (watermark, plan.watermark], each exactly once, and of no other; the
// cost does not grow with the number of slots that are skipped.
#pragma once

#include "domain/schedule.hpp"
#include "domain/task.hpp"
#include "domain/task_run.hpp"

#include <vector>

namespace scheduler::domain {

// A slot decided later than this is a misfire. A minute covers restarts and short outages without anyone noticing.
inline constexpr Seconds kMisfireGrace{60};
// At most this many slots of one task are fired by one decision; `all` catches up no more than that.
inline constexpr std::size_t kCatchUpMax = 100;

// All slots of the schedule in [first, last] share one disposition; fired ones are always single.
struct SlotDecision {
  TimePoint first{}, last{};
  bool fire = true;
  Reason reason = Reason::none;  // why not, when not fired
  bool operator==(const SlotDecision&) const = default;
};

struct FirePlan {
  std::vector<SlotDecision> slots;  // in order
  TimePoint watermark{};            // decided up to here
  std::optional<TimePoint> next_fire_at;
};

[[nodiscard]] FirePlan plan_fire(const Schedule& schedule, MisfirePolicy policy, TimePoint watermark, TimePoint now);

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

}  // namespace scheduler::domain
