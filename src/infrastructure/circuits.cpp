#include "infrastructure/circuits.hpp"

#include <string>

namespace scheduler::infrastructure {
namespace {

using application::Counter;
using application::Gauge;

std::shared_ptr<Circuit> make(CircuitPorts ports, std::string target, Gauge state, Counter opened) {
  auto circuit = Circuit::make({ports.io, ports.clock, ports.timer}, std::move(target));
  circuit->on_change([&metrics = ports.metrics, state, opened](Circuit::State before, Circuit::State now) {
    metrics.set(state, static_cast<std::int64_t>(now));
    if (before == Circuit::State::closed) metrics.add(opened);
  });
  return circuit;
}

}  // namespace

std::shared_ptr<Circuit> make_store_circuit(CircuitPorts ports) {
  return make(ports, "store", Gauge::store_circuit, Counter::store_circuit_opened);
}

std::shared_ptr<Circuit> make_queue_circuit(CircuitPorts ports) {
  return make(ports, "message queue", Gauge::message_queue_circuit, Counter::message_queue_circuit_opened);
}

}  // namespace scheduler::infrastructure
