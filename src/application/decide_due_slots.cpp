#include "application/decide_due_slots.hpp"

#include "application/nudge.hpp"
#include "application/task_schedule.hpp"

namespace scheduler::application {

Async<domain::Task> decide_due_slots(ServiceFactory::Ports ports, domain::Task task, TimePoint now) {
  const auto& spec = task.spec;
  if (spec.status != domain::TaskStatus::active || !spec.schedule || !task.watermark) co_return task;
  const auto schedule = schedule_of(spec, task.created_at, ports.zones);
  if (!schedule || !domain::last_slot(*schedule, *task.watermark, now)) co_return task;
  auto plan = domain::plan_fire(*schedule, domain::misfire_rule(spec), *task.watermark, now);
  const auto id = task.id;
  std::vector<Fire> fires;
  fires.push_back({std::move(task), std::move(plan)});
  // A lost race is as good: somebody else has decided them. Runs to be cancelled are marked, and heartbeats say so.
  CO_TRY(const auto report, ports.store.slots().commit(std::move(fires)));
  if (report.runs > 0) co_await nudge(ports.queue);
  co_return co_await ports.store.tasks().get(id);
}

}  // namespace scheduler::application
