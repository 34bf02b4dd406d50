// infrastructure/sqlite/run_insert.hpp — new rows of task_runs; a fire of any kind makes one for each shard.
#pragma once

#include "database/sqlite/connection.hpp"
#include "domain/task_run.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::infrastructure {

using database::sqlite::Connection;

// What all shards of one fire have in common.
struct NewFire {
  TaskId task;
  std::string_view route;
  int priority = 5;
  domain::Trigger trigger = domain::Trigger::manual;
  std::optional<TimePoint> slot;
  std::optional<RunId> retry_of;
  std::optional<std::string_view> parameters, idempotency_key;
  domain::RunState state = domain::RunState::pending;  // waiting, pending or skipped
  domain::Reason reason = domain::Reason::none;
  std::string_view message;
  TimePoint created_at{}, due_at{};
};

[[nodiscard]] SchedulerResult<RunId> insert_run(Connection& connection, const NewFire& fire, int shard_index,
                                                int shard_total);

// The id of the next run; those after it are free as well.
[[nodiscard]] SchedulerResult<std::int64_t> next_run_id(Connection& connection);

// One run for each shard, in order.
[[nodiscard]] SchedulerResult<std::vector<RunId>> insert_runs(Connection& connection, const NewFire& fire,
                                                              int shard_total);

}  // namespace scheduler::infrastructure
