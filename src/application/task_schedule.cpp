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

}  // namespace scheduler::application
