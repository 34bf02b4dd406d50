// dispatcher/dispatch_loop.hpp — due runs go to workers.
#pragma once

#include "application/ports/dispatch_repository.hpp"
#include "application/ports/message_queue.hpp"
#include "core/clock.hpp"
#include "core/random.hpp"
#include "dispatcher/loop.hpp"

#include <map>

namespace scheduler::dispatcher {

class DispatchLoop final : public Loop {
 public:
  DispatchLoop(application::DispatchRepository& runs, application::MessageQueue& queue, application::Metrics& metrics,
               Random& random, domain::Strategy strategy, Seconds ageing)
      : runs_(runs), queue_(queue), metrics_(metrics), strategy_(strategy), ageing_(ageing), dice_(random.next()) {}
  std::string_view name() const override { return "dispatch"; }
  Async<Tick> tick() override;

 private:
  using Work = std::unordered_map<RunId, application::DueRun>;
  Async<void> add_upstreams(std::vector<domain::Assignment>& plan, Work& work);
  Async<void> send_again();
  asio::awaitable<void> publish(std::vector<domain::WorkerLoad> workers, std::vector<domain::Assignment> won,
                                std::vector<application::TaskExecution> work);
  asio::awaitable<void> send(IncarnationId to, std::vector<application::TaskExecution> work);

  application::DispatchRepository& runs_;
  application::MessageQueue& queue_;
  application::Metrics& metrics_;
  domain::Strategy strategy_;
  Seconds ageing_;      // domain/urgency.hpp
  std::uint64_t dice_;  // moves on with every plan, so that round_robin goes round
  // What a worker's queue did not take, as far as this process knows.
  std::map<IncarnationId, std::vector<application::TaskExecution>> unsent_;
};

}  // namespace scheduler::dispatcher
