#include "infrastructure/executors/task_process.hpp"

#include "infrastructure/executors/outcomes.hpp"

namespace scheduler::infrastructure {
namespace {

// Well below what the system takes in one variable (128 KiB), and in all of them together.
constexpr std::size_t kUpstreamVariableBytesMax = 64 * 1024;

SchedulerResult<void> add_data(std::vector<std::string>& environment, const AttemptDirectory& directory,
                               const application::TaskExecution& execution) {
  environment.push_back("SCHEDULER_OUTPUT=" + directory.output_path());
  if (!execution.upstream) return {};
  TRY(const auto path, directory.write("upstream.json", *execution.upstream));
  environment.push_back("SCHEDULER_UPSTREAM_FILE=" + path);
  if (execution.upstream->size() <= kUpstreamVariableBytesMax)
    environment.push_back("SCHEDULER_UPSTREAM=" + *execution.upstream);
  return {};
}

}  // namespace

asio::awaitable<domain::Outcome> run_task_process(ProcessHost host, ProcessSpec spec,
                                                  const EnvironmentOverrides& inherited, EnvironmentOverrides overrides,
                                                  const application::TaskExecution& execution,
                                                  application::OutputSink& sink, StopSignal& stop) {
  const auto directory = host.files.make();
  if (!directory) co_return not_executed(directory.error(), false);
  spec.plan.environment = task_environment(inherited, overrides, execution, host.identity);
  if (const auto added = add_data(spec.plan.environment, **directory, execution); !added)
    co_return not_executed(added.error(), false);
  const auto end = co_await host.runner.run(std::move(spec), sink, stop);
  if (!end) co_return not_executed(end.error(), false);
  auto outcome = outcome_of(*end);
  if (outcome.state == domain::AttemptState::succeeded) take_output((*directory)->read_output(), outcome);
  co_return outcome;
}

}  // namespace scheduler::infrastructure
