// infrastructure/sqlite/run_insert.hpp — new rows of task_runs; a fire of any kind makes one for each shard.
#pragma once

#include "database/sqlite/connection.hpp"
#include "infrastructure/store/new_fire.hpp"

#include <vector>

namespace scheduler::infrastructure {

using database::sqlite::Connection;

[[nodiscard]] SchedulerResult<RunId> insert_run(Connection& connection, const NewFire& fire, int shard_index,
                                                int shard_total);

// The id of the next run; those after it are free as well.
[[nodiscard]] SchedulerResult<std::int64_t> next_run_id(Connection& connection);

// One run for each shard, in order.
[[nodiscard]] SchedulerResult<std::vector<RunId>> insert_runs(Connection& connection, const NewFire& fire,
                                                              int shard_total);

}  // namespace scheduler::infrastructure
