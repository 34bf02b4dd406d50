// infrastructure/postgres/run_insert.hpp — new rows of task_runs, all of a transaction in one statement.
#pragma once

#include "database/postgres/database.hpp"
#include "infrastructure/store/new_fire.hpp"

#include <string>
#include <vector>

namespace scheduler::infrastructure::postgres {

using database::postgres::Rows;
using database::postgres::Transaction;

// Tells which row of a statement was inserted.
struct RunName {
  TaskId task;
  int shard_index = 0;
  std::optional<std::string> idempotency_key;
  bool operator==(const RunName&) const = default;
};

inline constexpr auto read_inserted = [](auto& row) {
  std::pair<RunId, RunName> it;
  row.read(it.first, it.second.task, it.second.shard_index, it.second.idempotency_key);
  return it;
};

class RunInserts {
 public:
  // Texts are copied. Returns the number of the row, from 0. The shards of a fire stand together, from the first one
  // on.
  std::size_t add(const NewFire& fire, int shard_index, int shard_total);
  void add_shards(const NewFire& fire, int shard_total);
  // Instead of what add() said: it ends before it was there.
  void end(std::size_t row, domain::RunState state, domain::Reason reason, std::string_view message);

  [[nodiscard]] bool empty() const { return task_.empty(); }
  [[nodiscard]] std::size_t size() const { return task_.size(); }
  [[nodiscard]] TaskId task(std::size_t row) const { return task_[row]; }
  [[nodiscard]] domain::RunState state(std::size_t row) const { return state_[row]; }
  [[nodiscard]] RunName name(std::size_t row) const { return {task_[row], shard_index_[row], idempotency_key_[row]}; }

  // Queues the statement. Its Rows hold the ids in the order of add(), and then what read_inserted takes; a row whose
  // idempotency key is taken is left out.
  void send(Transaction& tx) const;

 private:
  std::vector<TaskId> task_;
  std::vector<domain::Trigger> trigger_;
  std::vector<std::optional<TimePoint>> slot_, ended_at_;
  std::vector<std::optional<RunId>> retry_of_, group_;
  std::vector<std::optional<std::int64_t>> founder_;  // the row that the row's group begins with, counted from 1
  std::vector<std::optional<domain::Wait>> waits_for_;
  std::vector<std::optional<bool>> holds_room_;
  bool plain_ = true;  // none of these four has a value
  std::vector<int> shard_index_, shard_total_, priority_;
  std::vector<domain::RunState> state_;
  std::vector<domain::Reason> reason_;
  std::vector<std::string> route_, message_;
  std::vector<TimePoint> created_at_, due_at_;
  std::vector<std::optional<std::string>> idempotency_key_, parameters_;
};

}  // namespace scheduler::infrastructure::postgres
