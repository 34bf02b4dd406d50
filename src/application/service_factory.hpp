// application/service_factory.hpp — makes the use cases over a set of ports. Everything given must outlive the
// services.
#pragma once

#include "application/ports/message_queue.hpp"
#include "application/ports/store.hpp"
#include "application/ports/task_executor.hpp"
#include "application/run_service.hpp"
#include "application/system_service.hpp"
#include "application/task_control_service.hpp"
#include "application/task_service.hpp"
#include "application/worker_service.hpp"
#include "core/clock.hpp"
#include "core/timer.hpp"
#include "domain/time_zone.hpp"

#include <memory>

namespace scheduler::application {

class ServiceFactory {
 public:
  struct Ports {
    Store& store;
    MessageQueue& queue;
    const domain::TimeZones& zones;
    const ParameterCheck& parameters;
    const Clock& clock;
    Timer& timer;
  };
  explicit ServiceFactory(Ports ports) : ports_(ports) {}

  [[nodiscard]] std::unique_ptr<TaskService> create_task_service() const;
  [[nodiscard]] std::unique_ptr<TaskControlService> create_task_control_service() const;
  [[nodiscard]] std::unique_ptr<RunService> create_run_service() const;
  [[nodiscard]] std::unique_ptr<WorkerService> create_worker_service() const;
  [[nodiscard]] std::unique_ptr<SystemService> create_system_service() const;

 private:
  Ports ports_;
};

}  // namespace scheduler::application
