// dispatcher/control.hpp — telling workers about runs.
#pragma once

#include "application/ports/dispatch_repository.hpp"
#include "application/ports/message_queue.hpp"

#include <vector>

namespace scheduler::dispatcher {

struct Addressed {
  IncarnationId to;
  application::TaskControl control;
};
[[nodiscard]] inline Addressed cancel_of(const application::AssignedRun& run, domain::Reason why) {
  return {run.incarnation, {.run = run.run, .token = run.token, .reason = why}};
}

// One message per incarnation. Never fails: what is lost is repeated when the worker's next heartbeat lists the run.
asio::awaitable<void> send_control(application::MessageQueue& queue, std::vector<Addressed> controls);

}  // namespace scheduler::dispatcher
