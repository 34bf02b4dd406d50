// tests/support/recording_metrics.hpp — metrics that a test can read.
#pragma once

#include "application/ports/metrics.hpp"

#include <map>
#include <vector>

namespace scheduler::testing_support {

class RecordingMetrics final : public application::Metrics {
 public:
  void add(application::Counter counter, std::size_t n) override { counted_[counter] += n; }
  void observe(application::Histogram histogram, Micros value) override { observed_[histogram].push_back(value); }
  void set(application::Gauge gauge, std::int64_t value) override { gauges_[gauge] = value; }
  void observe_tick(std::string_view loop, Micros) override { ++ticks_[std::string(loop)]; }
  void observe_request(std::string_view, std::string_view, int, Micros) override {}
  [[nodiscard]] std::string exposition() override { return {}; }

  [[nodiscard]] std::size_t count(application::Counter counter) const {
    const auto found = counted_.find(counter);
    return found == counted_.end() ? 0 : found->second;
  }
  [[nodiscard]] std::vector<Micros> values(application::Histogram histogram) const {
    const auto found = observed_.find(histogram);
    return found == observed_.end() ? std::vector<Micros>{} : found->second;
  }
  [[nodiscard]] std::int64_t value(application::Gauge gauge) const {
    const auto found = gauges_.find(gauge);
    return found == gauges_.end() ? 0 : found->second;
  }
  [[nodiscard]] int ticks(const std::string& loop) const {
    const auto found = ticks_.find(loop);
    return found == ticks_.end() ? 0 : found->second;
  }

 private:
  std::map<application::Counter, std::size_t> counted_;
  std::map<application::Histogram, std::vector<Micros>> observed_;
  std::map<application::Gauge, std::int64_t> gauges_;
  std::map<std::string, int> ticks_;
};

}  // namespace scheduler::testing_support
