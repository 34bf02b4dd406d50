#include "application/worker_service.hpp"

#include "application/service_factory.hpp"
#include "application/surroundings.hpp"

namespace scheduler::application {
namespace {

void add(WorkerStats::Room& room, const domain::WorkerLoad& it) {
  ++room.workers;
  room.slots += it.worker.slots;
  room.busy += it.worker.busy;
  room.held += it.in_flight;
}

class WorkerServiceImpl final : public WorkerService {
 public:
  explicit WorkerServiceImpl(Store& store) : store_(store) {}
  Async<std::vector<domain::WorkerInfo>> list() override { return store_.workers().list(); }
  Async<domain::WorkerInfo> get(WorkerId id) override { return store_.workers().get(std::move(id)); }
  Async<WorkerStats> stats() override {
    CO_TRY(const auto around, surroundings(store_));
    co_return summarise(around.workers);
  }
  Async<domain::WorkerInfo> drain(WorkerId id) override { return store_.workers().set_draining(std::move(id), true); }
  Async<domain::WorkerInfo> undrain(WorkerId id) override {
    return store_.workers().set_draining(std::move(id), false);
  }

 private:
  Store& store_;
};

}  // namespace

WorkerStats summarise(const std::vector<domain::WorkerLoad>& workers) {
  WorkerStats stats;
  for (const auto& it : workers) {
    const auto state = it.worker.state;
    ++(state == domain::WorkerState::alive      ? stats.alive
       : state == domain::WorkerState::draining ? stats.draining
                                                : stats.dead);
    if (state == domain::WorkerState::dead) continue;
    add(stats.all, it);
    for (const auto& type : it.worker.task_types) add(stats.by_type[type], it);
  }
  return stats;
}

std::unique_ptr<WorkerService> ServiceFactory::create_worker_service() const {
  return std::make_unique<WorkerServiceImpl>(ports_.store);
}

}  // namespace scheduler::application
