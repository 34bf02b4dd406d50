// dispatcher/dispatcher.hpp — all loops of one dispatcher, running.
#pragma once

#include "application/ports/message_queue.hpp"
#include "application/ports/store.hpp"
#include "core/clock.hpp"
#include "core/random.hpp"
#include "core/task_group.hpp"
#include "dispatcher/loop.hpp"
#include "domain/dispatch_plan.hpp"
#include "domain/time_zone.hpp"

#include <memory>
#include <vector>

namespace scheduler::dispatcher {

struct Ports {
  application::Store& store;
  application::MessageQueue& queue;
  const domain::TimeZones& zones;
  application::Metrics& metrics;
  const Clock& clock;
  Timer& timer;
  Random& random;
};

struct Settings {
  domain::Strategy strategy = domain::Strategy::least_loaded;
  Seconds worker_timeout{30};
  Seconds priority_ageing{60};  // of waiting are worth a level of priority; 0: nothing is
  Micros receive_wait =
      kPoll;  // how long the loops that read a queue wait in one tick; zero where ticks are driven by hand
};

// Any number of dispatchers may run over one store and queue. Single-threaded, like everything it is given.
class Dispatcher {
 public:
  Dispatcher(Ports ports, Settings settings);
  ~Dispatcher();

  // Where the queue lives in this process nobody but this process can hear from it: every worker that the store knows
  // lived in an earlier start. Before run(): else the first work after a crash is sent to the dead.
  Async<std::size_t> retire_known_workers();
  // Runs every loop until stop(); returns when the last tick has ended.
  asio::awaitable<void> run(asio::io_context& io);
  void stop();

  // For driving it by hand: each loop's tick(), in a fixed order.
  [[nodiscard]] const std::vector<std::unique_ptr<Loop>>& loops() const { return loops_; }

 private:
  asio::awaitable<void> drive(std::size_t loop);

  Ports ports_;
  Seconds worker_timeout_;
  IncarnationId life_;  // random
  std::unique_ptr<WakeSignal> fire_, dispatch_, rescue_, resting_;
  Hearing hearing_;
  std::vector<std::unique_ptr<Loop>> loops_;
  std::vector<WakeSignal*> wake_of_;                 // loops_[i] rests on wake_of_[i] …
  std::vector<std::unique_ptr<WakeSignal>> pauses_;  // … and pauses_[i] after an error
  bool stopping_ = false;
};

}  // namespace scheduler::dispatcher
