// application/ports/metrics.hpp — what is counted. Families are enums, so their number is fixed whatever users do.
#pragma once

#include "core/time.hpp"

#include <string>
#include <string_view>

namespace scheduler::application {

enum class Counter {
  slots_fired,
  slots_skipped,
  runs_dispatched,
  runs_succeeded,
  runs_failed,
  runs_timed_out,
  runs_cancelled,
  attempts_retried,
  runs_rescued,
  reports_refused,
  workers_dead,
  tick_errors,
  messages_dropped,
  store_circuit_opened,
  message_queue_circuit_opened,
};
enum class Histogram { fire_lateness, start_latency, attempt_duration };
enum class Gauge { store_circuit, message_queue_circuit };

// Thread-safe, never fails, costs nanoseconds.
class Metrics {
 public:
  virtual ~Metrics() = default;
  virtual void add(Counter counter, std::size_t n = 1) = 0;
  virtual void observe(Histogram histogram, Micros value) = 0;
  virtual void set(Gauge gauge, std::int64_t value) = 0;
  // `loop` is one of the dispatcher's loop names.
  virtual void observe_tick(std::string_view loop, Micros value) = 0;
  // method and route template as the router knows them: bounded.
  virtual void observe_request(std::string_view method, std::string_view route, int status, Micros value) = 0;
  [[nodiscard]] virtual std::string exposition() = 0;  // Prometheus text format 0.0.4
};

}  // namespace scheduler::application
