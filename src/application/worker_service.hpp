// application/worker_service.hpp — looking at workers, and taking them out of service.
#pragma once

#include "application/ports/worker_repository.hpp"
#include "core/async.hpp"
#include "domain/dispatch_plan.hpp"

#include <map>
#include <string>
#include <vector>

namespace scheduler::application {

// All workers together. Slots and runs are those of the living ones; draining ones take nothing new.
struct WorkerStats {
  int alive = 0, draining = 0, dead = 0;  // the newest incarnation of each worker heard of in the last day
  struct Room {
    int workers = 0;  // living
    int slots = 0;
    int busy = 0;  // attempts running at the last heartbeats
    int held = 0;  // runs that the store says they hold, those that wait for a slot included
  };
  Room all;
  std::map<std::string, Room> by_type;  // of the workers that execute the type; one worker counts for each of its types
};
[[nodiscard]] WorkerStats summarise(const std::vector<domain::WorkerLoad>& workers);

class WorkerService {
 public:
  virtual ~WorkerService() = default;
  virtual Async<std::vector<domain::WorkerInfo>> list() = 0;
  virtual Async<domain::WorkerInfo> get(WorkerId id) = 0;
  virtual Async<WorkerStats> stats() = 0;
  // A draining worker finishes what it holds and takes nothing new.
  virtual Async<domain::WorkerInfo> drain(WorkerId id) = 0;
  virtual Async<domain::WorkerInfo> undrain(WorkerId id) = 0;
};

}  // namespace scheduler::application
