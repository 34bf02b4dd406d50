#include "infrastructure/message_queue_factory.hpp"

#include "infrastructure/embedded_message_queue.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {

SchedulerResult<std::unique_ptr<application::MessageQueue>> MessageQueueFactory::create(
    const config::MessageQueueConfig& settings, Timer& timer) {
  if (settings.type == "embedded") return std::make_unique<EmbeddedMessageQueue>(timer);
  return fail(ErrorKind::Config,
              fmt::format("message_queue.type '{}' is not known; this version has \"embedded\"", settings.type));
}

}  // namespace scheduler::infrastructure
