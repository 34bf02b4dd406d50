// infrastructure/queue_ports.hpp — what a queue over a broker sees of the world. All of it outlives the queue; `io` is
// the loop of its owner, and everything of the queue is called on it.
#pragma once

#include "application/ports/metrics.hpp"
#include "core/async.hpp"
#include "core/clock.hpp"
#include "core/random.hpp"
#include "core/timer.hpp"

namespace scheduler::infrastructure {

struct QueuePorts {
  asio::io_context& io;
  const Clock& clock;
  Timer& timer;
  Random& random;
  application::Metrics& metrics;
};

}  // namespace scheduler::infrastructure
