// benches/parts.hpp — the parts of the scheduler, wired as in its programs, around an executor that takes no time.
#pragma once

#include "application/service_factory.hpp"
#include "bench_support.hpp"
#include "core/task_group.hpp"
#include "dispatcher/dispatcher.hpp"
#include "infrastructure/asio_timer.hpp"
#include "infrastructure/executors/executor_parameters.hpp"
#include "infrastructure/queue_ports.hpp"
#include "infrastructure/system_clock.hpp"
#include "infrastructure/system_random.hpp"
#include "infrastructure/system_time_zones.hpp"
#include "worker/worker.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scheduler {

// Succeeds at once and notes when it was started.
class StartRecorder final : public application::TaskExecutor, public application::ExecutorRegistry {
 public:
  explicit StartRecorder(const Clock& clock) : clock_(clock) {}
  application::TaskExecutor* find(std::string_view) override { return this; }
  std::vector<std::string> task_types() const override { return {"noop"}; }
  asio::awaitable<domain::Outcome> execute(const application::TaskExecution& work, application::OutputSink&,
                                           StopSignal&) override {
    if (!first_start) first_start = SteadyClock::now();
    if (recording) starts.push_back({work.run, work.slot, clock_.now()});
    co_return domain::Outcome{};
  }
  struct Start {
    RunId run;
    std::optional<TimePoint> slot;
    TimePoint at;
  };
  std::vector<Start> starts;
  std::optional<SteadyClock::time_point> first_start;
  bool recording = false;

 private:
  const Clock& clock_;
};

class NoMetrics final : public application::Metrics {
 public:
  void add(application::Counter, std::size_t) override {}
  void observe(application::Histogram, Micros) override {}
  void set(application::Gauge, std::int64_t) override {}
  void observe_tick(std::string_view, Micros) override {}
  void observe_request(std::string_view, std::string_view, int, Micros) override {}
  std::string exposition() override { return {}; }
};

// Which store and queue the parts share, and whether a dispatcher is among them: where it is not, a process of its own
// does its work.
struct Shape {
  std::function<std::unique_ptr<application::Store>(const Clock&)> open_store;
  std::function<std::unique_ptr<application::MessageQueue>(infrastructure::QueuePorts)> open_queue;
  bool with_dispatcher = true;
};

struct Parts {
  explicit Parts(const Shape& shape)
      : store(shape.open_store(clock)),
        queue(shape.open_queue({io, clock, timer, random, metrics})),
        executors(clock),
        factory({*store, *queue, zones, parameters, clock, timer}),
        control(factory.create_task_control_service()),
        tasks(factory.create_task_service()),
        worker(io,
               {*queue, executors, clock, timer, random, [] { return worker::HostLoad{}; },
                [](IncarnationId) -> asio::awaitable<void> { co_return; }},
               {.id = {"bench"}, .slots = 16}) {
    if (shape.with_dispatcher)
      dispatcher.emplace(scheduler::dispatcher::Ports{*store, *queue, zones, metrics, clock, timer, random},
                         scheduler::dispatcher::Settings{});
  }

  void start() {
    if (dispatcher) parts.spawn("dispatcher", dispatcher->run(io));
    parts.spawn("worker", run_worker());
  }
  asio::awaitable<void> run_worker() { (void)co_await worker.run(); }
  asio::awaitable<void> stop() {
    worker.stop();
    co_await timer.sleep(std::chrono::milliseconds{300});
    if (dispatcher) dispatcher->stop();
    co_await parts.join();
    io.stop();
  }
  void run(asio::awaitable<void> work) {
    asio::co_spawn(io, std::move(work), asio::detached);
    io.run();
  }

  infrastructure::SystemClock clock;
  infrastructure::SystemRandom random;
  asio::io_context io{1};
  infrastructure::AsioTimer timer{io};
  infrastructure::SystemTimeZones zones;
  infrastructure::ExecutorParameterCheck parameters;
  NoMetrics metrics;
  std::unique_ptr<application::Store> store;
  std::unique_ptr<application::MessageQueue> queue;
  StartRecorder executors;
  application::ServiceFactory factory;
  std::unique_ptr<application::TaskControlService> control;
  std::unique_ptr<application::TaskService> tasks;
  std::optional<dispatcher::Dispatcher> dispatcher;
  worker::Worker worker;
  TaskGroup parts{io, timer};
};

}  // namespace scheduler
