// application/nudge.hpp — telling the dispatchers that something is due, so that they need not wait for their next
// poll.
#pragma once

#include "application/ports/message_queue.hpp"

namespace scheduler::application {

// Never fails: the rows are written, and a dispatcher that was not told finds them within a second.
asio::awaitable<void> nudge(MessageQueue& queue);

}  // namespace scheduler::application
