#include "application/nudge.hpp"

#include "core/log.hpp"

namespace scheduler::application {

asio::awaitable<void> nudge(MessageQueue& queue) {
  const auto sent = co_await queue.publish_message(kNudgeQueue, Message{Nudge{}});
  if (!sent) log::debug("nudge not sent", {{"why", sent.error().message}});
}

}  // namespace scheduler::application
