// application/task_schedule.hpp — from a task's words to its schedule, the same way everywhere.
#pragma once

#include "domain/fire_plan.hpp"
#include "domain/schedule.hpp"
#include "domain/task.hpp"

namespace scheduler::application {

// @every counts from the task's creation, cut to whole seconds; H spreads by the task's name.
// Validation (unknown zone) or InvalidSchedule. `spec.schedule` must be set.
[[nodiscard]] SchedulerResult<domain::Schedule> schedule_of(const domain::TaskSpec& spec, TimePoint created_at,
                                                            const domain::TimeZones& zones);

// InvalidSchedule for one that names no slot after `now`: such a schedule is good to look at, but not to give to a
// task.
[[nodiscard]] SchedulerResult<void> check_fires_after(const domain::Schedule& schedule, TimePoint now);

// The slots in (since, now] as one disposition: they will not fire. Nothing when there are none.
[[nodiscard]] std::optional<domain::SlotDecision> unfired_slots(const domain::Schedule& schedule, TimePoint since,
                                                                TimePoint now, domain::Reason why);

// Why no dispatcher fires an active task with a schedule: its text or time zone cannot be read, or could not when a
// fire time came. Nothing: all is well.
[[nodiscard]] std::optional<std::string> set_aside(const domain::Task& task, const domain::TimeZones& zones);

}  // namespace scheduler::application
