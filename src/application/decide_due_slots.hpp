// application/decide_due_slots.hpp — before a change takes slots out of the dispatchers' reach, those that are due
// already are decided as a dispatcher would have: by the task's misfire and overlap policies.
#pragma once

#include "application/service_factory.hpp"

namespace scheduler::application {

// `task` as it was read; gives it as it is stored now, at the same version. Does nothing for a task that is paused, has
// no schedule, or one that cannot be read. What the policy leaves open (more than kCatchUpMax slots) stays undecided.
[[nodiscard]] Async<domain::Task> decide_due_slots(ServiceFactory::Ports ports, domain::Task task, TimePoint now);

}  // namespace scheduler::application
