// infrastructure/prometheus_metrics.hpp — the counters and histograms of one process, in Prometheus' text format.
//
// add, observe and set touch atomics only; observe_request also takes a shared lock to find its series.
#pragma once

#include "application/ports/metrics.hpp"

#include <memory>
#include <string>

namespace scheduler::infrastructure {

class PrometheusMetrics final : public application::Metrics {
 public:
  explicit PrometheusMetrics(std::string version);  // of this build, for scheduler_build_info
  ~PrometheusMetrics() override;
  void add(application::Counter counter, std::size_t n) override;
  void observe(application::Histogram histogram, Micros value) override;
  void set(application::Gauge gauge, std::int64_t value) override;
  void observe_tick(std::string_view loop, Micros value) override;
  void observe_request(std::string_view method, std::string_view route, int status, Micros value) override;
  [[nodiscard]] std::string exposition() override;

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace scheduler::infrastructure
