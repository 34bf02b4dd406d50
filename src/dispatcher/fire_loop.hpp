// dispatcher/fire_loop.hpp — slots that are due become runs.
#pragma once

#include "application/ports/message_queue.hpp"
#include "application/ports/slot_repository.hpp"
#include "core/clock.hpp"
#include "dispatcher/loop.hpp"
#include "domain/time_zone.hpp"

namespace scheduler::dispatcher {

class FireLoop final : public Loop {
 public:
  FireLoop(application::SlotRepository& slots, application::MessageQueue& queue, const domain::TimeZones& zones,
           application::Metrics& metrics, WakeSignal& dispatch)
      : slots_(slots), queue_(queue), zones_(zones), metrics_(metrics), dispatch_(dispatch) {}
  std::string_view name() const override { return "fire"; }
  Async<Tick> tick() override;

 private:
  Async<std::vector<application::Fire>> plan(application::FireView view);

  application::SlotRepository& slots_;
  application::MessageQueue& queue_;
  const domain::TimeZones& zones_;
  application::Metrics& metrics_;
  WakeSignal& dispatch_;
};

}  // namespace scheduler::dispatcher
