#include "infrastructure/store/run_batch.hpp"

#include "domain/run_group.hpp"
#include "infrastructure/store/refusals.hpp"

#include <algorithm>
#include <set>

namespace scheduler::infrastructure {

using application::NewRun;
using application::NewRuns;
using domain::TaskRun;

namespace {

TaskRun run_of(const NewFire& fire, RunId id, const std::string& task_name) {
  return {.id = id,
          .task = fire.task,
          .task_name = task_name,
          .trigger = fire.trigger,
          .slot = fire.slot,
          .retry_of = fire.retry_of,
          .group = fire.group,
          .parameters = fire.parameters.transform([](std::string_view text) { return std::string(text); }),
          .state = fire.state,
          .waits_for = fire.waits_for,
          .priority = fire.priority,
          .created_at = fire.created_at,
          .due_at = fire.due_at};
}

}  // namespace

RunBatch::RunBatch(std::vector<NewRun> asked) : asked_(std::move(asked)) {
  for (std::size_t i = 0; i < asked_.size(); ++i)
    if (asked_[i].idempotency_key) first_with_.try_emplace(Key{asked_[i].task, *asked_[i].idempotency_key}, i);
}

std::vector<TaskId> RunBatch::tasks() const {
  std::set<TaskId> all;
  for (const auto& it : asked_) all.insert(it.task);
  return {all.begin(), all.end()};
}

std::vector<RunBatch::Key> RunBatch::keys() const {
  std::vector<Key> all;
  for (const auto& [key, item] : first_with_) all.push_back(key);
  return all;
}

std::vector<RunId> RunBatch::retried() const {
  std::vector<RunId> all;
  for (const auto& it : asked_)
    if (it.retry_of) all.push_back(*it.retry_of);
  return all;
}

void RunBatch::know(TaskOfRun task) {
  const auto id = task.id;
  tasks_[id] = std::move(task);
}

void RunBatch::know_made_by(const std::string& key, TaskRun run) {
  auto& runs = made_before_[{run.task, key}];
  runs.push_back(std::move(run));
}

const std::vector<TaskRun>* RunBatch::made_before(const NewRun& run) const {
  if (!run.idempotency_key) return nullptr;
  const auto found = made_before_.find({run.task, *run.idempotency_key});
  return found == made_before_.end() ? nullptr : &found->second;
}

std::size_t RunBatch::leader_of(std::size_t item) const {
  const auto& it = asked_[item];
  return it.idempotency_key ? first_with_.at(Key{it.task, *it.idempotency_key}) : item;
}

bool RunBatch::makes_runs(std::size_t item) const {
  return leader_of(item) == item && made_before(asked_[item]) == nullptr;
}

int RunBatch::runs_of(std::size_t item) const {
  if (!makes_runs(item)) return 0;
  return asked_[item].retry_of ? 1 : tasks_.at(asked_[item].task).shard_count;
}

SchedulerResult<void> RunBatch::check() const {
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    const auto& it = asked_[i];
    if (!tasks_.contains(it.task)) return no_such_task(it.task);
    if (it.retry_of) {
      const auto place = places_.find(*it.retry_of);
      if (place == places_.end() || place->second.task != it.task) return task_has_no_such_run(it.task, *it.retry_of);
      if (it.downstream && place->second.total > 1) return shard_has_no_downstream(*it.retry_of);
    }
    if (const auto* runs = made_before(it); runs && runs->front().parameters != it.parameters)
      return key_was_used(*it.idempotency_key, runs->front().id);
    if (asked_[leader_of(i)].parameters != it.parameters) return key_is_used_twice(*it.idempotency_key);
  }
  return {};
}

std::vector<TaskId> RunBatch::limited() const {
  std::set<TaskId> all;
  for (std::size_t i = 0; i < asked_.size(); ++i)
    if (runs_of(i) > 0 && tasks_.at(asked_[i].task).limit) all.insert(asked_[i].task);
  return {all.begin(), all.end()};
}

void RunBatch::know_going(TaskId task, int going) { room_.know(task, *tasks_.at(task).limit, going); }

std::vector<RunBatch::Demand> RunBatch::demands() const {
  std::map<TaskId, Demand> all;
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    const auto runs = runs_of(i);
    if (runs == 0) continue;
    const auto& task = tasks_.at(asked_[i].task);
    auto& demand = all.try_emplace(task.id, Demand{.task = task.id, .max = task.queued_max}).first->second;
    demand.more += runs;
  }
  std::vector<Demand> demands;
  for (const auto& [task, demand] : all) demands.push_back(demand);
  return demands;
}

SchedulerResult<void> RunBatch::check_backlog(const Demand& demand, std::int64_t count) const {
  if (count + demand.more <= demand.max) return {};
  return backlog_is_full(tasks_.at(demand.task).name, count, demand.more, demand.max);
}

const std::vector<RunBatch::Row>& RunBatch::plan(TimePoint now) {
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (!makes_runs(i)) continue;
    const auto& it = asked_[i];
    const auto& task = tasks_.at(it.task);
    const NewFire fire{.task = it.task,
                       .route = task.route,
                       .priority = task.priority,
                       .trigger = it.trigger,
                       .retry_of = it.retry_of,
                       .parameters = it.parameters,
                       .idempotency_key = it.idempotency_key,
                       .created_at = now,
                       .due_at = std::max(now, it.run_at.value_or(now))};
    const auto add = [&](NewFire run, int index, int total) {
      room_.place(run, now);
      rows_.push_back({i, run, index, total});
    };
    if (it.retry_of) {
      // It keeps its place among the shards; the other shards are not run again.
      const auto& place = places_.at(*it.retry_of);
      auto again = fire;
      again.group = place.group;
      add(again, place.index, place.total);
      continue;
    }
    for (int shard = 0; shard < task.shard_count; ++shard) add(fire, shard, task.shard_count);
  }
  return rows_;
}

SchedulerResult<std::vector<NewRuns>> RunBatch::answer(const std::vector<std::optional<RunId>>& ids) const {
  std::vector<NewRuns> answers(asked_.size());
  for (std::size_t r = 0; r < rows_.size(); ++r) {
    const auto& row = rows_[r];
    if (!ids[r]) continue;
    auto& runs = answers[row.item].runs;
    auto run = run_of(row.run, *ids[r], tasks_.at(row.run.task).name);
    run.shard_index = row.shard_index;
    run.shard_total = row.shard_total;
    if (!run.group && row.shard_total > 1 && !row.run.retry_of) run.group = runs.empty() ? run.id : runs.front().id;
    runs.push_back(std::move(run));
  }
  for (std::size_t i = 0; i < asked_.size(); ++i) {
    if (!answers[i].runs.empty()) continue;
    answers[i].existed = true;
    const auto* before = made_before(asked_[i]);
    if (before && before->front().parameters != asked_[i].parameters)
      return key_was_used(*asked_[i].idempotency_key, before->front().id);
    answers[i].runs = before ? *before : answers[leader_of(i)].runs;
  }
  return answers;
}

std::vector<RunBatch::Downstream> RunBatch::downstream(const std::vector<NewRuns>& answers) const {
  std::vector<Downstream> all;
  for (std::size_t i = 0; i < asked_.size(); ++i)
    if (asked_[i].retry_of && asked_[i].downstream && !answers[i].existed)
      all.push_back({i, *asked_[i].retry_of, answers[i].runs.front().id});
  return all;
}

std::vector<NewRun> runs_to_retry(const std::vector<TaskRun>& group) {
  std::vector<NewRun> again;
  for (const auto& run : group)
    if (domain::is_run_again(run.state))
      again.push_back({.task = run.task,
                       .trigger = domain::Trigger::retry,
                       .retry_of = run.id,
                       .parameters = run.parameters,
                       .idempotency_key = {},
                       .run_at = {}});
  return again;
}

NewRuns joined(std::vector<NewRuns> made) {
  NewRuns all;
  for (auto& it : made)
    for (auto& run : it.runs) all.runs.push_back(std::move(run));
  return all;
}

}  // namespace scheduler::infrastructure
