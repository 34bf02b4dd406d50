// infrastructure/executors/task_environment.hpp — the variables that a task's process sees: a few of the worker's own,
// the task's, and ours. Nothing else of the worker's environment leaks: it may hold secrets.
#pragma once

#include "application/messages.hpp"
#include "infrastructure/executors/executor_parameters.hpp"

#include <string>
#include <vector>

namespace scheduler::infrastructure {

// Who executes. The incarnation changes when the worker starts a new one; attempts take it as it is when they start.
struct WorkerIdentity {
  WorkerId worker;
  IncarnationId incarnation;
};

// What a task may inherit: PATH, HOME, LANG, LC_*, TZ, TMPDIR, USER, LOGNAME and SHELL of this process.
[[nodiscard]] EnvironmentOverrides inherited_environment();

// `inherited`, replaced by `overrides`, replaced by SCHEDULER_RUN_ID and the like. "NAME=value" texts.
[[nodiscard]] std::vector<std::string> task_environment(const EnvironmentOverrides& inherited,
                                                        const EnvironmentOverrides& overrides,
                                                        const application::TaskExecution& execution,
                                                        const WorkerIdentity& identity);

}  // namespace scheduler::infrastructure
