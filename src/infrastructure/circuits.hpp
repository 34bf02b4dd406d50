// infrastructure/circuits.hpp — the circuits of one process, told in its metrics.
//
// The servers that it may lose have one: PostgreSQL, and the broker. A SQLite file and the embedded queue have none:
// they cannot be away while the process is there, and what they refuse they refuse at once.
#pragma once

#include "application/ports/metrics.hpp"
#include "core/circuit.hpp"

#include <memory>

namespace scheduler::infrastructure {

// All of it outlives the circuits; `io` is the loop of their owner.
struct CircuitPorts {
  asio::io_context& io;
  const Clock& clock;
  Timer& timer;
  application::Metrics& metrics;
};

[[nodiscard]] std::shared_ptr<Circuit> make_store_circuit(CircuitPorts ports);
[[nodiscard]] std::shared_ptr<Circuit> make_queue_circuit(CircuitPorts ports);

}  // namespace scheduler::infrastructure
