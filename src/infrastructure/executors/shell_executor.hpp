// infrastructure/executors/shell_executor.hpp — task type "shell" (parameters: ShellParameters).
#pragma once

#include "application/ports/task_executor.hpp"
#include "infrastructure/executors/task_process.hpp"

namespace scheduler::infrastructure {

class ShellExecutor final : public application::TaskExecutor {
 public:
  explicit ShellExecutor(ProcessHost host);
  asio::awaitable<domain::Outcome> execute(const application::TaskExecution& execution, application::OutputSink& sink,
                                           StopSignal& stop) override;

 private:
  const ProcessHost host_;
  const EnvironmentOverrides inherited_;
};

}  // namespace scheduler::infrastructure
