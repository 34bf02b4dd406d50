// application/worker_service.hpp — looking at workers, and taking them out of service.
#pragma once

#include "application/ports/worker_repository.hpp"
#include "core/async.hpp"

#include <vector>

namespace scheduler::application {

class WorkerService {
 public:
  virtual ~WorkerService() = default;
  virtual Async<std::vector<domain::WorkerInfo>> list() = 0;
  virtual Async<domain::WorkerInfo> get(WorkerId id) = 0;
  // A draining worker finishes what it holds and takes nothing new.
  virtual Async<domain::WorkerInfo> drain(WorkerId id) = 0;
  virtual Async<domain::WorkerInfo> undrain(WorkerId id) = 0;
};

}  // namespace scheduler::application
