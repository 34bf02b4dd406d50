// dispatcher/heartbeat_loop.hpp — workers register and stay alive; their inventories show what got lost.
#pragma once

#include "application/ports/message_queue.hpp"
#include "application/ports/store.hpp"
#include "dispatcher/loop.hpp"

#include <memory>

namespace scheduler::dispatcher {

class HeartbeatLoop final : public Loop {
 public:
  HeartbeatLoop(application::Store& store, application::MessageQueue& queue, Seconds worker_timeout, Wakes wakes,
                Micros wait_max);
  std::string_view name() const override { return "heartbeat"; }
  Async<Tick> tick() override;
  void interrupt() override { beats_->interrupt(); }

 private:
  Async<void> accept(application::WorkerHeartbeat beat);
  Async<void> compare(application::WorkerHeartbeat beat);
  asio::awaitable<void> dismiss(IncarnationId incarnation, application::TaskControl::Kind kind);

  application::Store& store_;
  application::MessageQueue& queue_;
  std::unique_ptr<application::QueueConsumer> beats_;
  Seconds worker_timeout_;
  Wakes wakes_;
  Micros wait_max_;
};

}  // namespace scheduler::dispatcher
