// infrastructure/executors/task_process.hpp — what task types that start a process have in common: its environment, the
// files for its upstreams' outputs and for its own, its end as an outcome.
#pragma once

#include "application/ports/task_executor.hpp"
#include "infrastructure/executors/attempt_files.hpp"
#include "infrastructure/executors/process.hpp"
#include "infrastructure/executors/task_environment.hpp"

namespace scheduler::infrastructure {

// All of it outlives its user.
struct ProcessHost {
  ProcessRunner& runner;
  const WorkerIdentity& identity;
  AttemptFiles& files;
};

// `spec` without its environment: that is made of `inherited`, `overrides` and what we tell every task.
[[nodiscard]] asio::awaitable<domain::Outcome> run_task_process(ProcessHost host, ProcessSpec spec,
                                                                const EnvironmentOverrides& inherited,
                                                                EnvironmentOverrides overrides,
                                                                const application::TaskExecution& execution,
                                                                application::OutputSink& sink, StopSignal& stop);

}  // namespace scheduler::infrastructure
