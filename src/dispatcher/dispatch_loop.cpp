#include "dispatcher/dispatch_loop.hpp"

#include "core/log.hpp"

#include <cassert>

namespace scheduler::dispatcher {
namespace {

using namespace application;

constexpr int kBatchMax = 1000;
constexpr std::size_t kUpstreamBytesOfTick = 16 << 20;

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
  CO_CHECK(send_again());
  CO_TRY(auto view, runs_.view());
  if (view.has_timely) {
    CO_TRY(const auto joined, runs_.join_line());
    co_return Tick{.done = joined, .rest = Micros{0}};
  }
  // Whose queue takes nothing gets nothing more: while the broker is away, runs stay pending.
  std::erase_if(view.workers, [this](const auto& it) { return unsent_.contains(it.worker.incarnation); });
  const auto wanted = domain::demand(view.routes, view.workers, kBatchMax);
  if (wanted.runs_max == 0) co_return rest_until(view.next_due, view.now);

  CO_TRY(auto due, runs_.due(wanted.routes, static_cast<std::size_t>(wanted.runs_max), ageing_));
  std::vector<domain::Candidate> candidates;
  Work work;
  for (auto& it : due) {
    candidates.push_back(it.candidate);
    const auto run = it.candidate.run;
    work.emplace(run, std::move(it));
  }
  auto plan = domain::plan_dispatch(candidates, view.workers, strategy_, dice_);
  dice_ += plan.size();
  if (plan.empty()) co_return rest_until(view.next_due, view.now);
  CO_CHECK(add_upstreams(plan, work));

  CO_TRY(const auto won, runs_.mark_dispatched(to_rows(plan, view.workers)));
  assert(won.size() == plan.size());
  std::vector<domain::Assignment> mine;
  std::vector<TaskExecution> executions;
  for (std::size_t i = 0; i < plan.size(); ++i) {
    if (!won[i]) continue;
    mine.push_back(plan[i]);
    executions.push_back(std::move(work.at(plan[i].run).execution));
  }
  metrics_.add(Counter::runs_dispatched, mine.size());
  const auto sent = mine.size();
  co_await publish(std::move(view.workers), std::move(mine), std::move(executions));
  co_return Tick{.done = sent, .rest = Micros{0}};
}

// What upstream runs left goes along, as much at a time as memory is for it: what is left out of the plan comes next.
Async<void> DispatchLoop::add_upstreams(std::vector<domain::Assignment>& plan, Work& work) {
  std::vector<RunId> runs;
  for (const auto& it : plan)
    if (work.at(it.run).has_upstreams) runs.push_back(it.run);
  if (runs.empty()) co_return SchedulerResult<void>{};
  CO_TRY(auto outputs, runs_.upstream_outputs(std::move(runs), kUpstreamBytesOfTick));
  std::erase_if(
      plan, [&](const domain::Assignment& it) { return work.at(it.run).has_upstreams && !outputs.contains(it.run); });
  for (auto& [run, output] : outputs) {
    work.at(run).execution.upstream = std::move(output.json);
    work.at(run).execution.upstream_fault = std::move(output.fault);
  }
  co_return SchedulerResult<void>{};
}

// The same work with the same token: should the queue have taken it all the same, the worker refuses the second one.
// What is no longer this worker's to do is not sent: it was taken back meanwhile, or the first message had arrived.
Async<void> DispatchLoop::send_again() {
  std::vector<RunId> runs;
  for (const auto& [incarnation, work] : unsent_)
    for (const auto& it : work) runs.push_back(it.run);
  if (runs.empty()) co_return SchedulerResult<void>{};
  CO_TRY(const auto contexts, runs_.contexts(std::move(runs)));
  const auto is_settled = [&](const TaskExecution& it) {
    const auto found = contexts.runs.find(it.run);
    return found == contexts.runs.end() || found->second.run.token != it.token ||
           found->second.run.state != domain::RunState::dispatched;
  };
  auto again = std::exchange(unsent_, {});
  for (auto& [incarnation, work] : again) {
    std::erase_if(work, is_settled);
    if (!work.empty()) co_await send(incarnation, std::move(work));
  }
  co_return SchedulerResult<void>{};
}

asio::awaitable<void> DispatchLoop::publish(std::vector<domain::WorkerLoad> workers,
                                            std::vector<domain::Assignment> won, std::vector<TaskExecution> work) {
  std::vector<std::vector<TaskExecution>> by_worker(workers.size());
  for (std::size_t i = 0; i < won.size(); ++i) by_worker[won[i].worker].push_back(std::move(work[i]));
  for (std::size_t i = 0; i < workers.size(); ++i) {
    if (by_worker[i].empty()) continue;
    co_await send(workers[i].worker.incarnation, std::move(by_worker[i]));
  }
}

// Should this process die before the queue takes it, the run is missing from the worker's inventory, and is taken back
// after kMissingGrace.
asio::awaitable<void> DispatchLoop::send(IncarnationId to, std::vector<TaskExecution> work) {
  const auto sent = co_await queue_.publish_message(worker_queue(to), Message{work});
  if (sent) co_return;
  log::warning("work not sent yet", {{"incarnation", to.value}, {"runs", work.size()}, {"why", sent.error().message}});
  unsent_[to] = std::move(work);
}

}  // namespace scheduler::dispatcher
