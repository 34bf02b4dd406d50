#include "support/fake_executor.hpp"

#include <algorithm>
#include <memory>

namespace scheduler::testing_support {

asio::awaitable<domain::Outcome> FakeExecutor::execute(const application::TaskExecution& execution,
                                                       application::OutputSink& sink, StopSignal& stop) {
  const auto found = scripts_.find(execution.run);
  const auto script = found == scripts_.end() ? others_ : found->second;
  began_.push_back({execution.run, execution.token, clock_.elapsed()});
  running_max_ = std::max(running_max_, ++running_);
  if (!script.output.empty()) sink.write(application::Stream::out, script.output);

  const std::shared_ptr<WakeSignal> woken = timer_.wake_signal();
  stop.on_request([woken] { woken->notify(); });
  const auto ends = clock_.elapsed() + script.takes;
  while (!stop.requested() && clock_.elapsed() < ends) co_await woken->wait(ends - clock_.elapsed());
  if (stop.requested()) {
    stopped_.push_back({execution.run, execution.token, *stop.reason(), clock_.elapsed()});
    if (script.stop_takes > Micros{0}) co_await timer_.sleep(script.stop_takes);
  }
  --running_;
  co_return script.outcome;
}

}  // namespace scheduler::testing_support
