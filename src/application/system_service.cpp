#include "application/system_service.hpp"

#include "application/service_factory.hpp"

#include <fmt/format.h>

namespace scheduler::application {
namespace {

class SystemServiceImpl final : public SystemService {
 public:
  explicit SystemServiceImpl(ServiceFactory::Ports ports) : ports_(ports) {}

  asio::awaitable<Health> health() override {
    Health health;
    const auto began = ports_.clock.elapsed();
    const auto written = co_await ports_.store.check_writable();
    add(health, "store", written ? ports_.store.describe() + " takes writes" : written.error().message,
        written.has_value(), ports_.clock.elapsed() - began);
    const auto asked = ports_.clock.elapsed();
    const auto depth = co_await ports_.queue.depth(kStatusQueue);
    add(health, "queue", depth ? fmt::format("{} reports waiting", *depth) : depth.error().message, depth.has_value(),
        ports_.clock.elapsed() - asked);
    const auto workers = co_await ports_.store.workers().list();
    const auto alive = workers ? count_alive(*workers) : 0;
    // No worker does not make this process unready: requests are taken and runs wait.
    health.checks.push_back(
        {"workers", alive > 0,
         alive > 0 ? fmt::format("{} alive", alive) : "no worker is alive; runs wait until one starts"});
    co_return health;
  }

  Async<SystemStats> stats() override {
    SystemStats stats;
    CO_TRY(stats.store, ports_.store.stats());
    CO_TRY(const auto workers, ports_.store.workers().list());
    for (const auto& worker : workers) {
      if (worker.state == domain::WorkerState::dead) continue;
      ++stats.workers_alive;
      stats.slots += worker.slots;
      stats.slots_busy += worker.busy;
    }
    CO_TRY(stats.status_queue_depth, ports_.queue.depth(kStatusQueue));
    co_return stats;
  }

  std::string store_description() const override { return ports_.store.describe(); }

 private:
  static void add(Health& health, std::string name, std::string message, bool ok, Micros took) {
    health.checks.push_back({std::move(name), ok, std::move(message), took});
    health.ready = health.ready && ok;
  }
  static std::int64_t count_alive(const std::vector<domain::WorkerInfo>& workers) {
    return std::ranges::count_if(workers, [](const auto& w) { return w.state != domain::WorkerState::dead; });
  }

  ServiceFactory::Ports ports_;
};

}  // namespace

std::unique_ptr<SystemService> ServiceFactory::create_system_service() const {
  return std::make_unique<SystemServiceImpl>(ports_);
}

}  // namespace scheduler::application
