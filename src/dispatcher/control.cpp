#include "dispatcher/control.hpp"

#include "core/log.hpp"

#include <map>

namespace scheduler::dispatcher {

using application::TaskControl;

asio::awaitable<void> send_control(application::MessageQueue& queue, std::vector<application::AssignedRun> runs,
                                   TaskControl::Kind kind, domain::Reason reason) {
  std::map<IncarnationId, std::vector<TaskControl>> by_worker;
  for (const auto& run : runs)
    by_worker[run.incarnation].push_back({.kind = kind, .run = run.run, .token = run.token, .reason = reason});
  for (auto& [incarnation, controls] : by_worker) {
    const auto sent = co_await queue.publish_message(application::worker_queue(incarnation),
                                                     application::Message{std::move(controls)});
    if (!sent)
      log::warning("control message not sent", {{"incarnation", incarnation.value}, {"why", sent.error().message}});
  }
}

}  // namespace scheduler::dispatcher
