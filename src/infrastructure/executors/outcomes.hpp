// infrastructure/executors/outcomes.hpp — how ends of processes and refusals read as outcomes.
#pragma once

#include "domain/retry.hpp"
#include "errors/error.hpp"
#include "infrastructure/executors/process.hpp"

namespace scheduler::infrastructure {

// Failed, executor_error. `permanent`: the parameters themselves are wrong, so that no other try can help.
[[nodiscard]] domain::Outcome not_executed(const SchedulerError& error, bool permanent);

// Success, "exited with code 3", or "killed by SIGSEGV".
[[nodiscard]] domain::Outcome outcome_of(const ProcessEnd& end);

}  // namespace scheduler::infrastructure
