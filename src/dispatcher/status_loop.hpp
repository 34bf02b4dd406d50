// dispatcher/status_loop.hpp — what workers report becomes the truth, where the report is about the current attempt.
#pragma once

#include "application/ports/dispatch_repository.hpp"
#include "application/ports/message_queue.hpp"
#include "dispatcher/loop.hpp"

#include <memory>

namespace scheduler::dispatcher {

class StatusLoop final : public Loop {
 public:
  // `wait_max`: how long a tick waits for the first report; zero in tests.
  StatusLoop(application::DispatchRepository& runs, application::MessageQueue& queue, application::Metrics& metrics,
             WakeSignal& dispatch, Micros wait_max);
  std::string_view name() const override { return "status"; }
  Async<Tick> tick() override;
  void interrupt() override { reports_->interrupt(); }

 private:
  Async<std::size_t> apply(std::vector<application::Delivery> deliveries);
  void refuse(RunId run, Token token);

  application::DispatchRepository& runs_;
  std::unique_ptr<application::QueueConsumer> reports_;
  application::Metrics& metrics_;
  WakeSignal& dispatch_;
  Micros wait_max_;
};

}  // namespace scheduler::dispatcher
