// infrastructure/message_queue_factory.hpp — settings in, queue out.
#pragma once

#include "application/ports/message_queue.hpp"
#include "config/app_config.hpp"
#include "core/timer.hpp"

#include <memory>

namespace scheduler::infrastructure {

class MessageQueueFactory {
 public:
  // `timer` outlives the queue. Config for a type that this build does not know.
  [[nodiscard]] static SchedulerResult<std::unique_ptr<application::MessageQueue>> create(
      const config::MessageQueueConfig& settings, Timer& timer);
};

}  // namespace scheduler::infrastructure
