#include "dispatcher/dispatch_loop.hpp"

#include "core/log.hpp"

#include <cassert>

namespace scheduler::dispatcher {
namespace {

using namespace application;

constexpr int kBatchMax = 1000;

Tick rest_until(std::optional<TimePoint> due, TimePoint now) {
  return {.rest = due ? std::clamp<Micros>(*due - now, Micros{0}, kPoll) : kPoll};
}

std::vector<Dispatching> to_rows(std::span<const domain::Assignment> plan,
                                 std::span<const domain::WorkerLoad> workers) {
  std::vector<Dispatching> rows;
  rows.reserve(plan.size());
  for (const auto& it : plan)
    rows.push_back({it.run, it.token_seen, workers[it.worker].worker.id, workers[it.worker].worker.incarnation});
  return rows;
}

}  // namespace

Async<Tick> DispatchLoop::tick() {
  // Runs that are marked now would have to be missed by their workers before they are dispatched again.
  if (const auto circuit = queue_.circuit(); circuit && circuit->state != Circuit::State::closed)
    co_return Tick{.rest = kPoll};
  CO_TRY(auto view, runs_.view());
  const auto wanted = domain::demand(view.routes, view.workers, kBatchMax);
  if (wanted.runs_max == 0) co_return rest_until(view.next_due, view.now);

  CO_TRY(auto due, runs_.due(wanted.routes, static_cast<std::size_t>(wanted.runs_max)));
  std::vector<domain::Candidate> candidates;
  std::unordered_map<RunId, TaskExecution> work;
  for (auto& it : due) {
    work.emplace(it.candidate.run, std::move(it.execution));
    candidates.push_back(std::move(it.candidate));
  }
  const auto plan = domain::plan_dispatch(candidates, view.workers, strategy_, dice_);
  dice_ += plan.size();
  if (plan.empty()) co_return rest_until(view.next_due, view.now);

  CO_TRY(const auto won, runs_.mark_dispatched(to_rows(plan, view.workers)));
  assert(won.size() == plan.size());
  std::vector<domain::Assignment> mine;
  std::vector<TaskExecution> executions;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (!won[i]) continue;
    mine.push_back(plan[i]);
    executions.push_back(std::move(work.at(plan[i].run)));
  }
  metrics_.add(Counter::runs_dispatched, mine.size());
  const auto sent = mine.size();
  co_await publish(std::move(view.workers), std::move(mine), std::move(executions));
  co_return Tick{.done = sent, .rest = Micros{0}};
}

// A message that cannot be sent is like one that got lost: the run is missing from the worker's inventory, and is
// dispatched again after kMissingGrace.
asio::awaitable<void> DispatchLoop::publish(std::vector<domain::WorkerLoad> workers,
                                            std::vector<domain::Assignment> won, std::vector<TaskExecution> work) {
  std::vector<std::vector<TaskExecution>> by_worker(workers.size());
  for (std::size_t i = 0; i < won.size(); ++i) by_worker[won[i].worker].push_back(std::move(work[i]));
  for (std::size_t i = 0; i < workers.size(); ++i) {
    if (by_worker[i].empty()) continue;
    const auto& worker = workers[i].worker;
    const auto sent =
        co_await queue_.publish_message(worker_queue(worker.incarnation), Message{std::move(by_worker[i])});
    if (!sent) log::warning("work not sent", {{"worker", worker.id.value}, {"why", sent.error().message}});
  }
}

}  // namespace scheduler::dispatcher
