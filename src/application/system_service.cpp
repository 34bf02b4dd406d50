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
    health.checks.push_back({.name = "store",
                             .ok = written.has_value(),
                             .message = written ? ports_.store.describe() + " takes writes" : written.error().message,
                             .took = ports_.clock.elapsed() - began,
                             .circuit = ports_.store.circuit()});
    health.ready = written.has_value();
    const auto asked = ports_.clock.elapsed();
    const auto depth = co_await queue_depth();
    // Without it requests are taken as ever: their rows are written, and wait for it. So this one warns only.
    health.checks.push_back({.name = "message_queue",
                             .ok = depth.has_value(),
                             .message = depth ? fmt::format("{} reports waiting", *depth) : depth.error().message,
                             .took = ports_.clock.elapsed() - asked,
                             .circuit = ports_.queue.circuit()});
    const auto counted = ports_.clock.elapsed();
    auto dispatchers = check_dispatchers(co_await ports_.store.dispatchers());
    dispatchers.took = ports_.clock.elapsed() - counted;
    health.checks.push_back(std::move(dispatchers));
    const auto listed = ports_.clock.elapsed();
    auto workers = check_workers(co_await ports_.store.workers().list());
    workers.took = ports_.clock.elapsed() - listed;
    health.checks.push_back(std::move(workers));
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
  // An API may be the only one who asks, and seldom: what is known of the broker may be old. A queue that is part of
  // this process has none.
  Async<std::size_t> queue_depth() {
    if (ports_.queue.circuit()) CO_CHECK(ports_.queue.check());
    co_return co_await ports_.queue.depth(kStatusQueue);
  }

  // Requests are taken without one, too: their rows wait.
  static HealthCheck check_dispatchers(const SchedulerResult<DispatchersSeen>& seen) {
    if (!seen) return {.name = "dispatchers", .ok = false, .message = seen.error().message};
    if (seen->alive > 0)
      return {.name = "dispatchers", .message = fmt::format("{} {}", seen->alive, seen->alive == 1 ? "lives" : "live")};
    return {.name = "dispatchers",
            .ok = false,
            .message = fmt::format("no dispatcher lives ({}): nothing fires, and runs wait until one starts",
                                   seen->last_seen ? "the last one was seen at " + format_rfc3339(*seen->last_seen)
                                                   : "none was seen in the last day")};
  }

  // Without a worker this process is as ready as ever: it takes requests, and runs wait. So this one warns only.
  static HealthCheck check_workers(const SchedulerResult<std::vector<domain::WorkerInfo>>& workers) {
    if (!workers) return {.name = "workers", .ok = false, .message = workers.error().message};
    const auto count = [&](domain::WorkerState state) {
      return std::ranges::count(*workers, state, &domain::WorkerInfo::state);
    };
    const auto alive = count(domain::WorkerState::alive), draining = count(domain::WorkerState::draining);
    HealthCheck check{.name = "workers", .ok = alive > 0};
    if (alive > 0)
      check.message = fmt::format("{} of {} take new work", alive, alive + draining);
    else if (draining > 0)
      check.message = fmt::format(
          "no worker takes new work: {} draining; runs wait until one is undrained or another "
          "one starts",
          draining == 1 ? "the only one is" : fmt::format("all {} are", draining));
    else
      check.message = "no worker takes new work: none is alive; runs wait until one starts";
    return check;
  }

  ServiceFactory::Ports ports_;
};

}  // namespace

std::unique_ptr<SystemService> ServiceFactory::create_system_service() const {
  return std::make_unique<SystemServiceImpl>(ports_);
}

}  // namespace scheduler::application
