#include "infrastructure/prometheus_metrics.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <set>
#include <sstream>
#include <thread>

using namespace scheduler;
using namespace scheduler::infrastructure;
using application::Counter;
using application::Gauge;
using application::Histogram;
using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

// Reads text format 0.0.4 strictly; faults say which line.
struct Exposition {
  std::map<std::string, std::string> samples;  // name and labels -> value
  std::map<std::string, std::string> types;    // family -> type
  std::vector<std::string> faults;

  explicit Exposition(const std::string& text) {
    static const std::regex kSample(
        R"re(([a-zA-Z_:][a-zA-Z0-9_:]*)(\{[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*"(?:,[a-zA-Z_]\w*="(?:[^"\\\n]|\\.)*")*\})? (\S+))re");
    std::set<std::string> helps;
    std::istringstream in(text);
    std::smatch m;
    for (std::string line; std::getline(in, line);) {
      std::istringstream words(line);
      std::string hash, kind, name, rest;
      if (line.starts_with("#")) {
        words >> hash >> kind >> name >> rest;
        const bool fresh = kind == "HELP" ? helps.insert(name).second : types.emplace(name, rest).second;
        if (!fresh || rest.empty()) faults.push_back("twice or empty: " + line);
      } else if (!std::regex_match(line, m, kSample)) {
        faults.push_back("not a sample: " + line);
      } else {
        if (!samples.emplace(m[1].str() + m[2].str(), m[3].str()).second) faults.push_back("twice: " + line);
        if (!types.contains(family_of(m[1].str()))) faults.push_back("no TYPE before: " + line);
      }
    }
    for (const auto& [name, type] : types)
      if (!helps.contains(name)) faults.push_back("no HELP: " + name);
  }

  std::string family_of(const std::string& name) const {
    for (const std::string_view end : {"_bucket", "_sum", "_count"})
      if (name.ends_with(end))
        if (const auto base = name.substr(0, name.size() - end.size()); types.contains(base)) return base;
    return name;
  }
  std::string operator[](const std::string& sample) const {
    const auto it = samples.find(sample);
    return it == samples.end() ? "absent" : it->second;
  }
};

}  // namespace

TEST(PrometheusMetrics, NothingHappenedYet_EveryFamilyIsThereWithHelpAndType) {
  PrometheusMetrics metrics("1.2.3");
  const Exposition seen(metrics.exposition());
  EXPECT_THAT(seen.faults, testing::IsEmpty());
  for (const auto* name :
       {"scheduler_slots_fired_total", "scheduler_slots_skipped_total", "scheduler_runs_dispatched_total",
        "scheduler_attempts_retried_total", "scheduler_runs_rescued_total", "scheduler_reports_refused_total",
        "scheduler_workers_dead_total", "scheduler_tick_errors_total", "scheduler_messages_dropped_total",
        "scheduler_runs_ended_total{state=\"succeeded\"}", "scheduler_runs_ended_total{state=\"failed\"}",
        "scheduler_runs_ended_total{state=\"timed_out\"}", "scheduler_runs_ended_total{state=\"cancelled\"}",
        "scheduler_fire_lateness_seconds_count", "scheduler_start_latency_seconds_count",
        "scheduler_attempt_duration_seconds_count", "scheduler_circuit_breaker_state{target=\"store\"}",
        "scheduler_circuit_breaker_state{target=\"message_queue\"}"})
    EXPECT_EQ(seen[name], "0") << name;
  EXPECT_EQ(seen["scheduler_build_info{version=\"1.2.3\"}"], "1");
  EXPECT_GT(std::stod(seen["process_resident_memory_bytes"]), 1e6);
  EXPECT_GT(std::stod(seen["process_start_time_seconds"]), 1.7e9);
  EXPECT_GE(std::stod(seen["process_open_fds"]), 3);
  EXPECT_NE(seen["process_cpu_seconds_total"], "absent");
  EXPECT_EQ(seen.types.at("process_cpu_seconds_total"), "counter");
  EXPECT_EQ(seen.types.at("scheduler_fire_lateness_seconds"), "histogram");
}

TEST(PrometheusMetrics, EveryCounter_HasItsOwnSeries) {
  PrometheusMetrics metrics("1");
  const struct {
    Counter counter;
    const char* series;
  } rows[] = {
      {Counter::slots_fired, "scheduler_slots_fired_total"},
      {Counter::slots_skipped, "scheduler_slots_skipped_total"},
      {Counter::runs_dispatched, "scheduler_runs_dispatched_total"},
      {Counter::runs_succeeded, "scheduler_runs_ended_total{state=\"succeeded\"}"},
      {Counter::runs_failed, "scheduler_runs_ended_total{state=\"failed\"}"},
      {Counter::runs_timed_out, "scheduler_runs_ended_total{state=\"timed_out\"}"},
      {Counter::runs_cancelled, "scheduler_runs_ended_total{state=\"cancelled\"}"},
      {Counter::attempts_retried, "scheduler_attempts_retried_total"},
      {Counter::runs_rescued, "scheduler_runs_rescued_total"},
      {Counter::reports_refused, "scheduler_reports_refused_total"},
      {Counter::workers_dead, "scheduler_workers_dead_total"},
      {Counter::tick_errors, "scheduler_tick_errors_total"},
      {Counter::messages_dropped, "scheduler_messages_dropped_total"},
      {Counter::store_circuit_opened, "scheduler_circuit_breaker_opens_total{target=\"store\"}"},
      {Counter::message_queue_circuit_opened, "scheduler_circuit_breaker_opens_total{target=\"message_queue\"}"},
  };
  std::size_t n = 0;
  for (const auto& row : rows) metrics.add(row.counter, ++n);
  const Exposition seen(metrics.exposition());
  n = 0;
  for (const auto& row : rows) EXPECT_EQ(seen[row.series], std::to_string(++n)) << row.series;
}

TEST(PrometheusMetrics, EveryGauge_TellsItsLastValue) {
  PrometheusMetrics metrics("1");
  metrics.set(Gauge::store_circuit, 2);
  metrics.set(Gauge::message_queue_circuit, 2);
  metrics.set(Gauge::message_queue_circuit, 1);
  const Exposition seen(metrics.exposition());
  EXPECT_THAT(seen.faults, testing::IsEmpty());
  EXPECT_EQ(seen["scheduler_circuit_breaker_state{target=\"store\"}"], "2");
  EXPECT_EQ(seen["scheduler_circuit_breaker_state{target=\"message_queue\"}"], "1");
}

TEST(PrometheusMetrics, Observed_FallsIntoTheRightBucket) {
  PrometheusMetrics metrics("1");
  metrics.observe(Histogram::fire_lateness, 3ms);
  metrics.observe(Histogram::fire_lateness, 2h);
  metrics.observe_tick("status", 700us);
  const Exposition seen(metrics.exposition());
  EXPECT_THAT(seen.faults, testing::IsEmpty());
  EXPECT_EQ(seen["scheduler_fire_lateness_seconds_bucket{le=\"0.0025\"}"], "0");
  EXPECT_EQ(seen["scheduler_fire_lateness_seconds_bucket{le=\"0.005\"}"], "1");
  EXPECT_EQ(seen["scheduler_fire_lateness_seconds_bucket{le=\"+Inf\"}"], "2");
  EXPECT_EQ(seen["scheduler_fire_lateness_seconds_sum"], "7200.003");
  EXPECT_EQ(seen["scheduler_tick_duration_seconds_count{loop=\"status\"}"], "1");
  EXPECT_EQ(seen["scheduler_tick_duration_seconds_bucket{loop=\"status\",le=\"0.001\"}"], "1");
}

TEST(PrometheusMetrics, Requests_AreCountedByMethodRouteAndStatusClass) {
  PrometheusMetrics metrics("1");
  metrics.observe_request("GET", "/api/tasks/{id}", 200, 2ms);
  metrics.observe_request("GET", "/api/tasks/{id}", 204, 2ms);
  metrics.observe_request("GET", "/api/tasks/{id}", 404, 2ms);
  metrics.observe_request("POST", "a\"b\\c\nd", 200, 2ms);
  const Exposition seen(metrics.exposition());
  EXPECT_THAT(seen.faults, testing::IsEmpty());
  const std::string name = "scheduler_api_request_duration_seconds_count";
  EXPECT_EQ(seen[name + R"({method="GET",route="/api/tasks/{id}",status="2xx"})"], "2");
  EXPECT_EQ(seen[name + R"({method="GET",route="/api/tasks/{id}",status="4xx"})"], "1");
  EXPECT_EQ(seen[name + R"({method="POST",route="a\"b\\c\nd",status="2xx"})"], "1");
}

TEST(PrometheusMetrics, ManyThreads_LoseNothing) {
  PrometheusMetrics metrics("1");
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        metrics.add(Counter::slots_fired, 1);
        metrics.observe_request("GET", fmt::format("/r{}", i % 7), 200, 1ms);
        if (i % 250 == 0) (void)metrics.exposition();
      }
    });
  threads.clear();
  const Exposition seen(metrics.exposition());
  EXPECT_EQ(seen["scheduler_slots_fired_total"], "4000");
  int requests = 0;
  for (int r = 0; r < 7; ++r)
    requests += std::stoi(seen[fmt::format(
        "scheduler_api_request_duration_seconds_count{{method=\"GET\",route=\"/r{}\",status=\"2xx\"}}", r)]);
  EXPECT_EQ(requests, 4000);
}
