// infrastructure/sqlite/run_insert.hpp — new rows of task_runs, gathered and written by one statement.
#pragma once

#include "database/sqlite/connection.hpp"
#include "infrastructure/store/new_fire.hpp"

#include <vector>

namespace scheduler::infrastructure {

using database::sqlite::Connection;
using database::sqlite::RowSet;

// The id of the next run; those after it are free as well.
[[nodiscard]] SchedulerResult<std::int64_t> next_run_id(Connection& connection);

// How many runs of a task with a limit go (domain/limits.hpp).
[[nodiscard]] SchedulerResult<int> room_taken(Connection& connection, TaskId task);

class RunInserts {
 public:
  // `next`: what next_run_id() said in this transaction.
  explicit RunInserts(std::int64_t next) : next_(next) {}

  // Texts are not copied. The shards of a fire stand together, from the first one on.
  RunId add(const NewFire& run, int shard_index, int shard_total);
  [[nodiscard]] SchedulerResult<void> write(Connection& connection) const;

 private:
  std::int64_t next_;
  std::optional<RunId> group_;  // of the fire whose shards are being added
  RowSet rows_;
};

}  // namespace scheduler::infrastructure
