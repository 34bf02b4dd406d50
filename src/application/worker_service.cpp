#include "application/worker_service.hpp"

#include "application/service_factory.hpp"

namespace scheduler::application {
namespace {

class WorkerServiceImpl final : public WorkerService {
 public:
  explicit WorkerServiceImpl(WorkerRepository& workers) : workers_(workers) {}
  Async<std::vector<domain::WorkerInfo>> list() override { return workers_.list(); }
  Async<domain::WorkerInfo> get(WorkerId id) override { return workers_.get(std::move(id)); }
  Async<domain::WorkerInfo> drain(WorkerId id) override { return workers_.set_draining(std::move(id), true); }
  Async<domain::WorkerInfo> undrain(WorkerId id) override { return workers_.set_draining(std::move(id), false); }

 private:
  WorkerRepository& workers_;
};

}  // namespace

std::unique_ptr<WorkerService> ServiceFactory::create_worker_service() const {
  return std::make_unique<WorkerServiceImpl>(ports_.store.workers());
}

}  // namespace scheduler::application
