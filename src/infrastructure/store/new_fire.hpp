// infrastructure/store/new_fire.hpp — a fire of any kind makes one run for each shard.
#pragma once

#include "domain/task_run.hpp"

#include <optional>
#include <string_view>

namespace scheduler::infrastructure {

// What all shards of one fire have in common.
struct NewFire {
  TaskId task;
  std::string_view route;
  int priority = 5;
  domain::Trigger trigger = domain::Trigger::manual;
  std::optional<TimePoint> slot;
  std::optional<RunId> retry_of;
  std::optional<RunId> group;  // that it joins; else several shards found one of their own
  std::optional<std::string_view> parameters, idempotency_key;
  domain::RunState state = domain::RunState::pending;  // waiting, pending, or one that it ends in at once
  std::optional<domain::Wait> waits_for;               // set where it is waiting
  bool holds_room = false;                             // it goes, and its task has a limit
  domain::Reason reason = domain::Reason::none;
  std::string_view message;
  TimePoint created_at{}, due_at{};
};

}  // namespace scheduler::infrastructure
