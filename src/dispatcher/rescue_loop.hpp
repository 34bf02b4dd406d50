// dispatcher/rescue_loop.hpp — silent workers are declared dead, and only then their runs are taken back.
#pragma once

#include "application/ports/message_queue.hpp"
#include "application/ports/store.hpp"
#include "core/clock.hpp"
#include "dispatcher/loop.hpp"

namespace scheduler::dispatcher {

class RescueLoop final : public Loop {
 public:
  RescueLoop(application::Store& store, application::MessageQueue& queue, application::Metrics& metrics,
             const Clock& clock, Seconds worker_timeout, const Hearing& hearing, WakeSignal& dispatch)
      : store_(store),
        queue_(queue),
        metrics_(metrics),
        clock_(clock),
        worker_timeout_(worker_timeout),
        hearing_(hearing),
        dispatch_(dispatch) {}
  std::string_view name() const override { return "rescue"; }
  Async<Tick> tick() override;

 private:
  Async<std::size_t> bury(Micros now);
  Async<void> forgive_own_silence(Micros now);
  Async<std::size_t> take_back(application::RescueView view);

  application::Store& store_;
  application::MessageQueue& queue_;
  application::Metrics& metrics_;
  const Clock& clock_;
  Seconds worker_timeout_;
  const Hearing& hearing_;
  WakeSignal& dispatch_;
  std::optional<Micros> last_heard_;  // when the store last told who is silent; monotonic; nothing: not since we hear
};

}  // namespace scheduler::dispatcher
