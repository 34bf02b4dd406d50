// application/surroundings.hpp — what stands around a run or a task, for the question why it does not go.
#pragma once

#include "application/ports/store.hpp"

namespace scheduler::application {

struct Surroundings {
  TimePoint now{};
  std::vector<domain::WorkerLoad> workers;  // the newest incarnation of each worker, dead ones among them
};
Async<Surroundings> surroundings(Store& store);

// Some of the task's runs that have not ended and do not wait, the newest of each state first.
Async<std::vector<RunId>> active_runs(Store& store, TaskId task);

}  // namespace scheduler::application
