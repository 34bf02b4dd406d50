#include "dispatcher/fire_loop.hpp"

#include "application/task_schedule.hpp"
#include "core/log.hpp"
#include "dispatcher/control.hpp"
#include "dispatcher/upstream_waits.hpp"

namespace scheduler::dispatcher {
namespace {

// Small enough that the first runs of a burst are under way while the rest is still being decided.
constexpr std::size_t kTasksMax = 250;

}  // namespace

Async<Tick> FireLoop::tick() {
  CO_TRY(auto view, slots_.due(kTasksMax));
  const auto due = view.due.size();
  const auto now = view.now;
  const auto next = view.next_fire_at;
  if (due == 0) co_return Tick{.rest = next ? std::clamp<Micros>(*next - now, Micros{0}, kPoll) : kPoll};

  CO_TRY(auto fires, plan(std::move(view)));
  std::vector<TimePoint> fired;
  for (const auto& fire : fires)
    for (const auto& slot : fire.plan.slots)
      if (slot.fire) fired.push_back(slot.first);
  CO_TRY(const auto report, slots_.commit(std::move(fires)));
  if (report.runs > 0) dispatch_.notify();
  metrics_.add(application::Counter::slots_fired, report.runs);
  metrics_.add(application::Counter::slots_skipped, report.skipped);
  for (const auto slot : fired) metrics_.observe(application::Histogram::fire_lateness, now - slot);
  std::vector<Addressed> cancels;
  for (const auto& it : report.to_cancel) cancels.push_back(cancel_of(it, domain::Reason::overlap));
  co_await send_control(queue_, std::move(cancels));
  co_return Tick{.done = report.runs + report.skipped, .rest = Micros{0}};
}

// A schedule that cannot be read any more (its zone left the host) stalls nobody: the task waits for an edit.
Async<std::vector<application::Fire>> FireLoop::plan(application::FireView view) {
  std::vector<application::Fire> fires;
  fires.reserve(view.due.size());
  UpstreamWaits waits(view.upstreams, zones_);
  for (auto& task : view.due) {
    const auto schedule = application::schedule_of(task.spec, task.created_at, zones_);
    if (!schedule) {
      log::error("schedule cannot be read; the task will not fire until it is edited",
                 {{"task", task.id.value}, {"why", schedule.error().message}});
      CO_CHECK(slots_.quarantine(task.id, task.version));
      continue;
    }
    auto plan =
        domain::plan_fire(*schedule, domain::misfire_rule(task.spec), task.watermark.value_or(view.now), view.now);
    fires.push_back({std::move(task), std::move(plan)});
    if (!fires.back().task.spec.dependencies.empty()) waits.add(*schedule, fires.back());
  }
  co_return fires;
}

}  // namespace scheduler::dispatcher
