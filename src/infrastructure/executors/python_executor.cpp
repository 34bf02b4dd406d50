#include "infrastructure/executors/python_executor.hpp"

#include "infrastructure/executors/outcomes.hpp"
#include "infrastructure/executors/upstream_values.hpp"

#include <iterator>

namespace scheduler::infrastructure {
namespace {

// The interpreter of the virtual environment, never silently the system's instead. An executable with a slash is taken
// at its word.
std::string interpreter_of(const PythonParameters& parameters) {
  if (parameters.virtual_env.empty() || parameters.python_executable.find('/') != std::string::npos)
    return parameters.python_executable;
  return parameters.virtual_env + "/bin/" + parameters.python_executable;
}

// What `source bin/activate` would set; the task's own variables win over ours, but not over the PATH's new beginning.
EnvironmentOverrides overrides_of(const PythonParameters& parameters, const EnvironmentOverrides& inherited) {
  auto overrides = parameters.environment;
  overrides.try_emplace("PYTHONUNBUFFERED", "1");
  if (parameters.virtual_env.empty()) return overrides;
  overrides.try_emplace("VIRTUAL_ENV", parameters.virtual_env);
  auto& path = overrides.try_emplace("PATH", inherited.at("PATH")).first->second;
  path = parameters.virtual_env + "/bin:" + path;
  return overrides;
}

// A script's text goes through standard input ("python3 -"): no limit of an argument's length applies, nothing is
// written to a disk, and the script, which finds its input at the end, cannot wait for it.
ProcessSpec spec_for(PythonParameters parameters) {
  ProcessSpec spec;
  spec.plan.program = interpreter_of(parameters);
  spec.plan.arguments.push_back(parameters.script_path.value_or("-"));
  std::ranges::move(parameters.arguments, std::back_inserter(spec.plan.arguments));
  spec.plan.working_directory = std::move(parameters.working_directory);
  spec.input = std::move(parameters.script).value_or("");
  return spec;
}

}  // namespace

PythonExecutor::PythonExecutor(ProcessHost host) : host_(host), inherited_(inherited_environment()) {}

asio::awaitable<domain::Outcome> PythonExecutor::execute(const application::TaskExecution& execution,
                                                         application::OutputSink& sink, StopSignal& stop) {
  auto parameters = parse_python_parameters(execution.parameters);
  if (!parameters) co_return not_executed(parameters.error(), true);
  if (const auto inserted = insert_upstream_values(*parameters, execution.upstream); !inserted)
    co_return without_upstream(inserted.error());
  auto overrides = overrides_of(*parameters, inherited_);
  auto spec = spec_for(std::move(*parameters));
  co_return co_await run_task_process(host_, std::move(spec), inherited_, std::move(overrides), execution, sink, stop);
}

}  // namespace scheduler::infrastructure
