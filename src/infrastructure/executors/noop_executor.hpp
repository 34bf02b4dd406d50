// infrastructure/executors/noop_executor.hpp — task type "noop": succeeds at once; measures everything around it.
#pragma once

#include "application/ports/task_executor.hpp"

namespace scheduler::infrastructure {

class NoopExecutor final : public application::TaskExecutor {
 public:
  asio::awaitable<domain::Outcome> execute(const application::TaskExecution& execution, application::OutputSink& sink,
                                           StopSignal& stop) override;
};

}  // namespace scheduler::infrastructure
