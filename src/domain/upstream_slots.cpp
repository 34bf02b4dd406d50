#include "domain/upstream_slots.hpp"

#include <algorithm>

namespace scheduler::domain {
namespace {

constexpr TimePoint kBeforeAllSlots = TimePoint{} - Seconds{1};  // no slot is before 1970

// `previous`: the waiting task's own slot before `slot`.
void add_slots(const UpstreamSchedule& upstream, std::optional<TimePoint> previous, TimePoint slot,
               std::vector<AwaitedRun>& out) {
  if (upstream.unreadable) {
    out.push_back({.task = upstream.task, .slot = {}, .never = true});
    return;
  }
  if (!upstream.schedule) {
    out.push_back({.task = upstream.task, .slot = {}, .ended_since = previous.value_or(kBeforeAllSlots)});
    return;
  }
  std::vector<TimePoint> slots;
  if (const auto after = std::max(previous.value_or(slot), upstream.since); after < slot)
    slots = domain::slots(*upstream.schedule, after, slot, kAwaitedRunsMax + 1 - std::min(out.size(), kAwaitedRunsMax));
  if (slots.empty())
    if (const auto last = last_slot(*upstream.schedule, kBeforeAllSlots, slot)) slots.push_back(*last);
  if (slots.empty()) out.push_back({.task = upstream.task, .slot = {}, .never = true});
  for (const auto it : slots) out.push_back({.task = upstream.task, .slot = it});
}

}  // namespace

std::vector<AwaitedRun> awaited_runs(const Schedule& schedule, TimePoint slot,
                                     std::span<const UpstreamSchedule> upstreams) {
  const auto previous = last_slot(schedule, kBeforeAllSlots, slot - Micros{1});
  std::vector<AwaitedRun> awaited;
  for (const auto& it : upstreams) {
    add_slots(it, previous, slot, awaited);
    if (awaited.size() > kAwaitedRunsMax) break;
  }
  return awaited;
}

}  // namespace scheduler::domain
