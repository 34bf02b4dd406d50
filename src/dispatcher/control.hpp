// dispatcher/control.hpp — telling workers about runs.
#pragma once

#include "application/ports/dispatch_repository.hpp"
#include "application/ports/message_queue.hpp"

#include <vector>

namespace scheduler::dispatcher {

// One message per incarnation. Never fails: what is lost is repeated when the worker's next heartbeat lists the run.
asio::awaitable<void> send_control(application::MessageQueue& queue, std::vector<application::AssignedRun> runs,
                                   application::TaskControl::Kind kind, domain::Reason reason);

}  // namespace scheduler::dispatcher
