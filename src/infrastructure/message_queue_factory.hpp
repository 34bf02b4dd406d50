// infrastructure/message_queue_factory.hpp — settings in, queue out.
#pragma once

#include "application/ports/message_queue.hpp"
#include "config/app_config.hpp"
#include "infrastructure/queue_ports.hpp"

#include <memory>

namespace scheduler::infrastructure {

class MessageQueueFactory {
 public:
  // Connects to nothing yet: a broker that is away is tried again and again. Config for a type that this build does not
  // know, or a URL that is none. A queue over a broker comes behind a circuit breaker.
  [[nodiscard]] static SchedulerResult<std::unique_ptr<application::MessageQueue>> create(
      const config::MessageQueueConfig& settings, QueuePorts ports);
};

}  // namespace scheduler::infrastructure
