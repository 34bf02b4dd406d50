#include "application/task_schedule.hpp"

#include <cassert>

namespace scheduler::application {

SchedulerResult<domain::Schedule> schedule_of(const domain::TaskSpec& spec, TimePoint created_at,
                                              const domain::TimeZones& zones) {
  assert(spec.schedule.has_value());  // the caller asks only for tasks that have one
  TRY(const auto* zone, zones.find(spec.timezone));
  return domain::parse_schedule({.text = *spec.schedule,
                                 .zone = zone,
                                 .hash_seed = domain::schedule_hash_seed(spec.name),
                                 .anchor = std::chrono::floor<Seconds>(created_at)});
}

std::optional<domain::SlotDecision> unfired_slots(const domain::Schedule& schedule, TimePoint since, TimePoint now,
                                                  domain::Reason why) {
  const auto last = domain::last_slot(schedule, since, now);
  if (!last) return std::nullopt;
  return domain::SlotDecision{*domain::next_slot(schedule, since), *last, false, why};
}

}  // namespace scheduler::application
