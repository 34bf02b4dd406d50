#include "infrastructure/executors/shell_executor.hpp"

#include "infrastructure/executors/outcomes.hpp"
#include "infrastructure/executors/upstream_values.hpp"

namespace scheduler::infrastructure {
namespace {

ChildPlan plan_for(ShellParameters parameters) {
  ChildPlan plan{.working_directory = std::move(parameters.working_directory)};
  if (parameters.args) {
    plan.program = std::move(parameters.command);
    plan.arguments = std::move(*parameters.args);
  } else {
    plan.program = std::move(parameters.shell);
    plan.arguments = {"-c", std::move(parameters.command)};
  }
  return plan;
}

}  // namespace

ShellExecutor::ShellExecutor(ProcessHost host) : host_(host), inherited_(inherited_environment()) {}

asio::awaitable<domain::Outcome> ShellExecutor::execute(const application::TaskExecution& execution,
                                                        application::OutputSink& sink, StopSignal& stop) {
  auto parameters = parse_shell_parameters(execution.parameters);
  if (!parameters) co_return not_executed(parameters.error(), true);
  if (const auto inserted = insert_upstream_values(*parameters, execution.upstream); !inserted)
    co_return without_upstream(inserted.error());
  auto overrides = std::move(parameters->environment);
  ProcessSpec spec{.plan = plan_for(std::move(*parameters))};
  co_return co_await run_task_process(host_, std::move(spec), inherited_, std::move(overrides), execution, sink, stop);
}

}  // namespace scheduler::infrastructure
