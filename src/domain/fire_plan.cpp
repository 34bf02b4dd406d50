#include "domain/fire_plan.hpp"

#include <algorithm>

namespace scheduler::domain {
namespace {

// Skips every slot in (after, until], as one range.
void skip_range(const Schedule& schedule, TimePoint after, TimePoint until, std::vector<SlotDecision>& out) {
  const auto first = next_slot(schedule, after);
  if (!first || *first > until) return;
  out.push_back({*first, *last_slot(schedule, after, until), false, Reason::misfire});
}

// The instant up to which the slots in (since, late_until] are skipped; the ones after it fire.
TimePoint skip_until(const Schedule& schedule, MisfirePolicy policy, TimePoint since, TimePoint late_until,
                     bool on_time) {
  switch (policy) {
    case MisfirePolicy::skip:
      return late_until;
    case MisfirePolicy::latest: {
      if (on_time) return late_until;  // a slot that is not late is the latest one
      const auto last = last_slot(schedule, since, late_until);
      return last ? *last - Micros{1} : since;
    }
    case MisfirePolicy::all: {
      // Walk back from the end: the newest kCatchUpMax late slots fire.
      auto edge = late_until;
      for (std::size_t i = 0; i < kCatchUpMax; ++i) {
        const auto slot = last_slot(schedule, since, edge);
        if (!slot) return since;
        edge = *slot - Micros{1};
      }
      return edge;
    }
  }
  return late_until;
}

}  // namespace

std::optional<SlotDecision> left_after(SlotDecision skipped, TimePoint watermark) {
  if (skipped.last <= watermark) return std::nullopt;
  skipped.first = std::max(skipped.first, watermark + Micros{1});
  return skipped;
}

FirePlan plan_fire(const Schedule& schedule, const MisfireRule& rule, TimePoint watermark, TimePoint now) {
  FirePlan plan;
  plan.watermark = std::max(watermark, now);
  if (now > watermark) {
    // Later than the grace, and older than the window: an instant that is just as old as either is within it.
    const auto late_until = std::max(watermark, now - rule.grace - Micros{1});
    const auto since = rule.window ? std::clamp(now - *rule.window - Micros{1}, watermark, late_until) : watermark;
    const bool on_time = last_slot(schedule, late_until, now).has_value();
    const auto edge = skip_until(schedule, rule.policy, since, late_until, on_time);
    skip_range(schedule, watermark, edge, plan.slots);
    const auto fired = slots(schedule, edge, now, kCatchUpMax);
    auto due_at = now;
    for (const auto slot : fired) {
      const bool late = slot <= late_until;
      plan.slots.push_back({slot, slot, true, Reason::none, late ? std::optional(due_at) : std::nullopt});
      due_at += kCatchUpPace;
    }
    if (fired.size() == kCatchUpMax) plan.watermark = fired.back();  // the rest is due at the next tick
  }
  plan.next_fire_at = next_slot(schedule, plan.watermark);
  return plan;
}

OverlapAction on_overlap(OverlapPolicy policy, int active, int queued, bool upstreams) {
  if (policy == OverlapPolicy::allow || active + queued == 0) return OverlapAction::start;
  if (upstreams && active == 0) --queued;
  switch (policy) {
    case OverlapPolicy::queue_one:
      return queued == 0 ? OverlapAction::wait : OverlapAction::skip;
    case OverlapPolicy::replace:
      return OverlapAction::replace_then_wait;
    default:
      return OverlapAction::skip;
  }
}

std::optional<RunId> overlap_cause(OverlapAction action, std::optional<RunId> active, std::optional<RunId> queued) {
  if (action == OverlapAction::start) return std::nullopt;
  return action == OverlapAction::skip && queued ? queued : active ? active : queued;
}

}  // namespace scheduler::domain
