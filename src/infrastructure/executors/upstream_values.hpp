// infrastructure/executors/upstream_values.hpp — what upstream runs left, put where parameters name it
// (domain/upstream_reference.hpp).
//
// Always true:
//   - a value goes into arguments, values of variables and bodies alone, never into a text that somebody executes;
//   - an argument stays one argument, a variable one variable, a text of a JSON body one text: whatever the value
//   holds;
//   - texts are inserted as they are, numbers and booleans as JSON writes them; nothing else has a text.
#pragma once

#include "infrastructure/executors/executor_parameters.hpp"

#include <optional>
#include <string>

namespace scheduler::infrastructure {

// `upstream`: TaskExecution::upstream. Error: Validation; a sentence that names the reference at fault.
[[nodiscard]] SchedulerResult<void> insert_upstream_values(ShellParameters& into,
                                                           const std::optional<std::string>& upstream);
[[nodiscard]] SchedulerResult<void> insert_upstream_values(PythonParameters& into,
                                                           const std::optional<std::string>& upstream);
[[nodiscard]] SchedulerResult<void> insert_upstream_values(HttpParameters& into,
                                                           const std::optional<std::string>& upstream);

}  // namespace scheduler::infrastructure
