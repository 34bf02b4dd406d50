// dispatcher/log_loop.hpp — output of attempts goes into the store, in batches.
#pragma once

#include "application/ports/message_queue.hpp"
#include "application/ports/run_repository.hpp"
#include "dispatcher/loop.hpp"

#include <memory>

namespace scheduler::dispatcher {

class LogLoop final : public Loop {
 public:
  LogLoop(application::RunLogRepository& logs, application::MessageQueue& queue, Micros wait_max);
  std::string_view name() const override { return "logs"; }
  Async<Tick> tick() override;
  void interrupt() override { chunks_->interrupt(); }

 private:
  application::RunLogRepository& logs_;
  std::unique_ptr<application::QueueConsumer> chunks_;
  Micros wait_max_;
};

}  // namespace scheduler::dispatcher
