#include "infrastructure/executors/shell_executor.hpp"

#include "infrastructure/executors/outcomes.hpp"

namespace scheduler::infrastructure {
namespace {

ChildPlan plan_for(ShellParameters parameters, std::vector<std::string> environment) {
  ChildPlan plan{.working_directory = std::move(parameters.working_directory), .environment = std::move(environment)};
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

ShellExecutor::ShellExecutor(ProcessRunner& runner, const WorkerIdentity& identity)
    : runner_(runner), identity_(identity), inherited_(inherited_environment()) {}

asio::awaitable<domain::Outcome> ShellExecutor::execute(const application::TaskExecution& execution,
                                                        application::OutputSink& sink, StopSignal& stop) {
  auto parameters = parse_shell_parameters(execution.parameters);
  if (!parameters) co_return not_executed(parameters.error(), true);
  auto environment = task_environment(inherited_, parameters->environment, execution, identity_);
  ProcessSpec spec{.plan = plan_for(std::move(*parameters), std::move(environment))};
  const auto end = co_await runner_.run(std::move(spec), sink, stop);
  co_return end ? outcome_of(*end) : not_executed(end.error(), false);
}

}  // namespace scheduler::infrastructure
