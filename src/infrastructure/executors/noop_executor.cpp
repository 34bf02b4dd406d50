#include "infrastructure/executors/noop_executor.hpp"

#include "infrastructure/executors/executor_parameters.hpp"
#include "infrastructure/executors/outcomes.hpp"

namespace scheduler::infrastructure {

asio::awaitable<domain::Outcome> NoopExecutor::execute(const application::TaskExecution& execution,
                                                       application::OutputSink&, StopSignal&) {
  if (const auto parameters = parse_noop_parameters(execution.parameters); !parameters)
    co_return not_executed(parameters.error(), true);
  co_return domain::Outcome{};
}

}  // namespace scheduler::infrastructure
