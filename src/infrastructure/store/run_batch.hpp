// infrastructure/store/run_batch.hpp — what a batch of runs that somebody asks for becomes: one set of decisions for
// every engine. An engine reads what the batch names, tells it, checks, plans, inserts the rows, and has the answer
// made:
//
//   RunBatch batch(std::move(asked));
//   … read tasks(), keys(), retried(); know() them …
//   TRY(check()); … read limited(), demands(); know_going(), check_backlog() …
//   const auto& rows = batch.plan(now);
//   … insert …
//   TRY(auto answers, batch.answer(ids)); … answers[i].downstream of each downstream(answers) …
#pragma once

#include "application/ports/run_repository.hpp"
#include "infrastructure/store/backlog_memory.hpp"
#include "infrastructure/store/new_fire.hpp"
#include "infrastructure/store/room.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace scheduler::infrastructure {

// FROM tasks t.
struct TaskOfRun {
  TaskId id;
  std::string name, route;
  int priority = 5, shard_count = 1;
  std::optional<int> limit;
  std::int64_t queued_max = 0;
};
inline constexpr std::string_view kTaskOfRunColumns =
    "t.id, t.name, t.route, t.priority, t.shard_count, t.max_concurrent_runs, t.max_queued_runs";
inline constexpr auto read_task_of_run = [](auto& row) {
  TaskOfRun it;
  row.read(it.id, it.name, it.route, it.priority, it.shard_count, it.limit, it.queued_max);
  return it;
};

// Where a run stands among the shards of its fire. FROM task_runs.
struct ShardPlace {
  RunId run;
  TaskId task;
  int index = 0, total = 1;
  std::optional<RunId> group;
};
inline constexpr std::string_view kShardPlaceColumns = "id, task_id, shard_index, shard_total, group_id";
inline constexpr auto read_shard_place = [](auto& row) {
  ShardPlace it;
  row.read(it.run, it.task, it.index, it.total, it.group);
  return it;
};

class RunBatch {
 public:
  explicit RunBatch(std::vector<application::NewRun> asked);

  using Key = std::pair<TaskId, std::string_view>;
  [[nodiscard]] std::vector<TaskId> tasks() const;  // each once, by id
  [[nodiscard]] std::vector<Key> keys() const;      // each once
  [[nodiscard]] std::vector<RunId> retried() const;

  void know(TaskOfRun task);
  void know(const ShardPlace& place) { places_[place.run] = place; }
  void know_made_by(const std::string& key, domain::TaskRun run);  // shard after shard

  // TaskNotFound, RunNotFound, Conflict.
  [[nodiscard]] SchedulerResult<void> check() const;

  [[nodiscard]] std::vector<TaskId> limited() const;  // of those that get runs, the ones with a limit
  void know_going(TaskId task, int going);

  // How many runs each task would get, where somebody must look whether they fit.
  struct Demand {
    TaskId task;
    std::int64_t more = 0, max = 0;
  };
  [[nodiscard]] std::vector<Demand> demands() const;
  // BacklogFull. `count`: runs of the task that nobody has begun.
  [[nodiscard]] SchedulerResult<void> check_backlog(const Demand& demand, std::int64_t count) const;

  // The texts of the rows live as long as the batch.
  struct Row {
    std::size_t item = 0;
    NewFire run;
    int shard_index = 0, shard_total = 1;
  };
  const std::vector<Row>& plan(TimePoint now);

  // ids[i] is the id of the i-th row; nothing: somebody else was faster with its key, and know_made_by() has told which
  // runs that made.
  [[nodiscard]] SchedulerResult<std::vector<application::NewRuns>> answer(
      const std::vector<std::optional<RunId>>& ids) const;

  // The items that want what was skipped over the run that they made again to run again as well.
  struct Downstream {
    std::size_t item = 0;
    RunId ended, again;
  };
  [[nodiscard]] std::vector<Downstream> downstream(const std::vector<application::NewRuns>& answers) const;

 private:
  [[nodiscard]] const std::vector<domain::TaskRun>* made_before(const application::NewRun& run) const;
  // The item itself, or an earlier one of the batch with the same key.
  [[nodiscard]] std::size_t leader_of(std::size_t item) const;
  [[nodiscard]] bool makes_runs(std::size_t item) const;
  [[nodiscard]] int runs_of(std::size_t item) const;

  std::vector<application::NewRun> asked_;
  std::map<Key, std::size_t> first_with_;  // the views look into asked_
  std::map<TaskId, TaskOfRun> tasks_;
  std::map<RunId, ShardPlace> places_;
  std::map<std::pair<TaskId, std::string>, std::vector<domain::TaskRun>> made_before_;
  Room room_;
  std::vector<Row> rows_;
};

// A group that is run again: what to insert for it, and the answers as one.
[[nodiscard]] std::vector<application::NewRun> runs_to_retry(const std::vector<domain::TaskRun>& group);
[[nodiscard]] application::NewRuns joined(std::vector<application::NewRuns> made);

}  // namespace scheduler::infrastructure
