#include "application/task_schedule.hpp"

#include <fmt/format.h>

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

SchedulerResult<void> check_fires_after(const domain::Schedule& schedule, TimePoint now) {
  if (domain::next_slot(schedule, now)) return {};
  const auto last = domain::last_slot(schedule, TimePoint{} - Seconds{1}, now);  // no slot is before 1970
  return fail(ErrorKind::InvalidSchedule,
              fmt::format("never fires again: {}; choose a later time, or leave the schedule out and trigger the task "
                          "by hand",
                          last ? fmt::format("its last time, {}, has passed", format_rfc3339(*last))
                               : "it names no time that is still to come"));
}

std::optional<domain::SlotDecision> unfired_slots(const domain::Schedule& schedule, TimePoint since, TimePoint now,
                                                  domain::Reason why) {
  const auto last = domain::last_slot(schedule, since, now);
  if (!last) return std::nullopt;
  return domain::SlotDecision{*domain::next_slot(schedule, since), *last, false, why};
}

std::optional<std::string> set_aside(const domain::Task& task, const domain::TimeZones& zones) {
  const auto schedule = schedule_of(task.spec, task.created_at, zones);
  if (!schedule) return "the schedule cannot be read any more: " + schedule.error().message;
  const bool fires = task.next_fire_at || task.spec.status == domain::TaskStatus::paused;
  if (fires || !task.watermark || !domain::next_slot(*schedule, *task.watermark)) return std::nullopt;
  return "the task was set aside, because its schedule could not be read when a fire time came; it can be read now: "
         "pause and resume the task";
}

}  // namespace scheduler::application
