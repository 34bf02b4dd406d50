// dispatcher/nudge_loop.hpp — somebody wrote rows that are due: wake the loops that look at them.
#pragma once

#include "application/ports/message_queue.hpp"
#include "dispatcher/loop.hpp"

#include <memory>

namespace scheduler::dispatcher {

class NudgeLoop final : public Loop {
 public:
  NudgeLoop(application::MessageQueue& queue, Wakes wakes, Micros wait_max);
  std::string_view name() const override { return "nudge"; }
  Async<Tick> tick() override;
  void interrupt() override { nudges_->interrupt(); }

 private:
  std::unique_ptr<application::QueueConsumer> nudges_;
  Wakes wakes_;
  Micros wait_max_;
};

}  // namespace scheduler::dispatcher
