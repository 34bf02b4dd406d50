// infrastructure/executors/outcomes.hpp — how ends of processes and refusals read as outcomes.
#pragma once

#include "domain/retry.hpp"
#include "errors/result.hpp"
#include "infrastructure/executors/process.hpp"

namespace scheduler::infrastructure {

// Failed, executor_error. `permanent`: the parameters themselves are wrong, so that no other try can help.
[[nodiscard]] domain::Outcome not_executed(const SchedulerError& error, bool permanent);

// Failed, output_missing, for good: what upstream runs left does not change any more.
[[nodiscard]] domain::Outcome without_upstream(const SchedulerError& error);

// The output of a success, or its failure, output_invalid, where there is something else.
void take_output(SchedulerResult<std::optional<std::string>> output, domain::Outcome& outcome);

// Success, "exited with code 3", or "killed by SIGSEGV".
[[nodiscard]] domain::Outcome outcome_of(const ProcessEnd& end);

}  // namespace scheduler::infrastructure
