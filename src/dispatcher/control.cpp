#include "dispatcher/control.hpp"

#include "core/log.hpp"

#include <map>

namespace scheduler::dispatcher {

using application::TaskControl;

asio::awaitable<void> send_control(application::MessageQueue& queue, std::vector<Addressed> controls) {
  std::map<IncarnationId, std::vector<TaskControl>> by_worker;
  for (auto& it : controls) by_worker[it.to].push_back(it.control);
  for (auto& [incarnation, mine] : by_worker) {
    const auto sent =
        co_await queue.publish_message(application::worker_queue(incarnation), application::Message{std::move(mine)});
    if (!sent)
      log::warning("control message not sent", {{"incarnation", incarnation.value}, {"why", sent.error().message}});
  }
}

}  // namespace scheduler::dispatcher
