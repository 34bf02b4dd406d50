#include "application/surroundings.hpp"

#include <algorithm>

namespace scheduler::application {

Async<Surroundings> surroundings(Store& store) {
  CO_TRY(const auto living, store.dispatch().view());
  CO_TRY(auto workers, store.workers().list());
  Surroundings all{.now = living.now, .workers = {}};
  for (auto& it : workers) {
    const auto load = std::ranges::find(living.workers, it.incarnation,
                                        [](const domain::WorkerLoad& known) { return known.worker.incarnation; });
    const int in_flight = load == living.workers.end() ? it.busy : load->in_flight;
    all.workers.push_back({std::move(it), in_flight});
  }
  co_return all;
}

Async<std::vector<RunId>> active_runs(Store& store, TaskId task) {
  constexpr std::size_t kOfEachState = 5;
  std::vector<RunId> active;
  for (const auto state : {domain::RunState::running, domain::RunState::dispatched, domain::RunState::pending}) {
    CO_TRY(const auto page, store.runs().list({.task = task, .state = state}, {.limit = kOfEachState}));
    for (const auto& run : page.items) active.push_back(run.id);
  }
  co_return active;
}

}  // namespace scheduler::application
