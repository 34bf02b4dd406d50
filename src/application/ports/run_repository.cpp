#include "application/ports/run_repository.hpp"

namespace scheduler::application {

Async<NewRuns> RunRepository::insert(NewRun run) {
  std::vector<NewRun> batch;
  batch.push_back(std::move(run));
  CO_TRY(auto made, insert_all(std::move(batch)));
  co_return std::move(made.front());
}

}  // namespace scheduler::application
