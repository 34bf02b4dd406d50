// dispatcher/upstream_waits.hpp — adds to planned fires what their runs wait for (domain/upstream_slots.hpp).
#pragma once

#include "application/ports/slot_repository.hpp"
#include "domain/time_zone.hpp"

#include <map>

namespace scheduler::dispatcher {

class UpstreamWaits {
 public:
  // `upstreams` are those of every task that is given to add().
  UpstreamWaits(const std::vector<application::UpstreamTask>& upstreams, const domain::TimeZones& zones);

  // Fills awaited and upstream_versions. A slot that would wait for too many runs is skipped, reason dependency_failed.
  // What would make the transaction too large is left for the next tick: the plan ends earlier then, or is empty.
  // `schedule` is the task's own.
  void add(const domain::Schedule& schedule, application::Fire& fire);

 private:
  struct Upstream {
    domain::UpstreamSchedule schedule;
    std::int64_t version = 1;
  };
  std::map<TaskId, Upstream> upstreams_;
  std::size_t rows_ = 0;  // of run_upstreams, by all fires so far
};

}  // namespace scheduler::dispatcher
