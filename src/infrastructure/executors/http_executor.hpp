// infrastructure/executors/http_executor.hpp — task type "http" (parameters: HttpParameters).
//
// The request bears Idempotency-Key (unless the task sets its own), X-Scheduler-Run-Id, X-Scheduler-Attempt and
// X-Scheduler-Token, so that the other side can refuse a doubled or late one; and X-Scheduler-Shard-Index, -Total.
#pragma once

#include "application/ports/task_executor.hpp"
#include "infrastructure/executors/http_client.hpp"

namespace scheduler::infrastructure {

class HttpExecutor final : public application::TaskExecutor {
 public:
  // `io` and `timer` outlive the executor. `version` is told to servers as User-Agent: scheduler/<version>.
  HttpExecutor(asio::io_context& io, Timer& timer, std::string_view version);
  asio::awaitable<domain::Outcome> execute(const application::TaskExecution& execution, application::OutputSink& sink,
                                           StopSignal& stop) override;

 private:
  HttpClient client_;
};

}  // namespace scheduler::infrastructure
