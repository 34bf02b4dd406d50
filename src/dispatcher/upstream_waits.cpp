#include "dispatcher/upstream_waits.hpp"

#include "application/task_schedule.hpp"
#include "core/log.hpp"

namespace scheduler::dispatcher {
namespace {

// Of one transaction; a single fire may need as many by itself.
constexpr std::size_t kRowsMax = 2 * domain::kAwaitedRunsMax;

// A schedule that cannot be read any more names no slots: none of them will come.
domain::UpstreamSchedule schedule_of(const application::UpstreamTask& it, const domain::TimeZones& zones) {
  domain::UpstreamSchedule upstream{.task = it.id, .schedule = {}, .since = it.schedule_since.value_or(TimePoint{})};
  if (!it.schedule) return upstream;
  domain::TaskSpec spec;
  spec.name = it.name;
  spec.schedule = it.schedule;
  spec.timezone = it.timezone;
  auto schedule = application::schedule_of(spec, it.created_at, zones);
  if (schedule)
    upstream.schedule = *std::move(schedule);
  else
    upstream.unreadable = true;
  return upstream;
}

// The slots from number `first` on stay undecided.
void cut(domain::FirePlan& plan, std::size_t first, TimePoint watermark) {
  plan.next_fire_at = plan.slots[first].first;
  plan.watermark = first == 0 ? watermark : plan.slots[first - 1].last;
  plan.slots.resize(first);
}

}  // namespace

UpstreamWaits::UpstreamWaits(const std::vector<application::UpstreamTask>& upstreams, const domain::TimeZones& zones) {
  for (const auto& it : upstreams) upstreams_.emplace(it.id, Upstream{schedule_of(it, zones), it.version});
}

void UpstreamWaits::add(const domain::Schedule& schedule, application::Fire& fire) {
  const auto& spec = fire.task.spec;
  std::vector<domain::UpstreamSchedule> upstreams;
  for (const auto id : spec.dependencies) {
    const auto found = upstreams_.find(id);
    if (found == upstreams_.end()) continue;  // gone since: the version of this task tells
    upstreams.push_back(found->second.schedule);
    fire.upstream_versions.emplace_back(id, found->second.version);
  }
  if (upstreams.empty()) return;
  for (std::size_t i = 0; i < fire.plan.slots.size(); ++i) {
    auto& slot = fire.plan.slots[i];
    if (!slot.fire) continue;
    auto awaited = domain::awaited_runs(schedule, slot.last, upstreams);
    const auto rows = awaited.size() * static_cast<std::size_t>(spec.shard_count);
    if (rows > domain::kAwaitedRunsMax) {
      log::error(
          "a fire time is skipped: its runs would wait for too many others",
          {{"task", fire.task.id.value}, {"slot", format_rfc3339(slot.last)}, {"most", domain::kAwaitedRunsMax}});
      slot.fire = false;
      slot.reason = domain::Reason::dependency_failed;
      continue;
    }
    if (rows_ + rows > kRowsMax) return cut(fire.plan, i, fire.task.watermark.value_or(slot.first - Micros{1}));
    rows_ += rows;
    fire.awaited.emplace(slot.last, std::move(awaited));
  }
}

}  // namespace scheduler::dispatcher
