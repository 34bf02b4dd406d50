// infrastructure/executors/python_executor.hpp — task type "python" (parameters: PythonParameters).
#pragma once

#include "application/ports/task_executor.hpp"
#include "infrastructure/executors/process.hpp"
#include "infrastructure/executors/task_environment.hpp"

namespace scheduler::infrastructure {

class PythonExecutor final : public application::TaskExecutor {
 public:
  // Both outlive the executor.
  PythonExecutor(ProcessRunner& runner, const WorkerIdentity& identity);
  asio::awaitable<domain::Outcome> execute(const application::TaskExecution& execution, application::OutputSink& sink,
                                           StopSignal& stop) override;

 private:
  ProcessRunner& runner_;
  const WorkerIdentity& identity_;
  const EnvironmentOverrides inherited_;
};

}  // namespace scheduler::infrastructure
