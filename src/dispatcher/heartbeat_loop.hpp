// dispatcher/heartbeat_loop.hpp — workers register and stay alive; their inventories show what got lost.
#pragma once

#include "application/ports/message_queue.hpp"
#include "application/ports/store.hpp"
#include "dispatcher/loop.hpp"

#include <map>
#include <memory>

namespace scheduler::dispatcher {

// A worker's farewell may overtake its last reports: for so long they may come after it.
inline constexpr Seconds kLeaveGrace{3};

class HeartbeatLoop final : public Loop {
 public:
  HeartbeatLoop(application::Store& store, application::MessageQueue& queue, Seconds worker_timeout, Wakes wakes,
                Hearing& hearing, Micros wait_max);
  std::string_view name() const override { return "heartbeat"; }
  Async<Tick> tick() override;
  void interrupt() override { beats_->interrupt(); }

 private:
  Async<void> accept(application::WorkerHeartbeat beat);
  Async<void> let_go(application::WorkerHeartbeat beat);
  Async<bool> is_awaited(const application::WorkerHeartbeat& beat, TimePoint now);
  Async<void> compare(application::WorkerHeartbeat beat);
  asio::awaitable<void> dismiss(IncarnationId incarnation, application::TaskControl::Kind kind);

  application::Store& store_;
  application::MessageQueue& queue_;
  std::unique_ptr<application::QueueConsumer> beats_;
  Seconds worker_timeout_;
  Wakes wakes_;
  Hearing& hearing_;
  Micros wait_max_;
  struct Leaving {
    application::WorkerHeartbeat farewell;
    TimePoint until{};
  };
  // Said farewell, and not all that they reported has arrived. Should this process die, their silence says the rest.
  std::map<IncarnationId, Leaving> leaving_;
};

}  // namespace scheduler::dispatcher
