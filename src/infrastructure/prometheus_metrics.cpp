#include "infrastructure/prometheus_metrics.hpp"

#include "infrastructure/process_stats.hpp"

#include <fmt/format.h>
#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <mutex>
#include <shared_mutex>
#include <tuple>

namespace scheduler::infrastructure {
namespace {

using application::Counter;
using application::Gauge;
using application::Histogram;
using Buckets = prometheus::Histogram::BucketBoundaries;

constexpr std::size_t kCounters = static_cast<std::size_t>(Counter::message_queue_circuit_opened) + 1;
constexpr std::size_t kHistograms = static_cast<std::size_t>(Histogram::attempt_duration) + 1;
constexpr std::size_t kGauges = static_cast<std::size_t>(Gauge::message_queue_circuit) + 1;

// Seconds. A tick or a request takes from a fraction of a millisecond; waits up to minutes; attempts up to a day.
const Buckets kShort{0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
const Buckets kWaits{0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};
const Buckets kAttempts{0.01, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 900, 3600, 21600, 86400};

struct CounterRow {
  Counter counter;
  const char *name, *help;
  prometheus::Labels labels = {};
};
constexpr auto kOpensHelp = "How often a circuit breaker opened: its target did not answer again and again.";
const CounterRow kCounterRows[] = {
    {Counter::slots_fired, "scheduler_slots_fired_total", "Fire times that made a run."},
    {Counter::slots_skipped, "scheduler_slots_skipped_total", "Fire times that made no run, for a recorded reason."},
    {Counter::runs_dispatched, "scheduler_runs_dispatched_total", "Attempts handed to a worker."},
    {Counter::runs_succeeded, "scheduler_runs_ended_total", "Runs that ended, by state.", {{"state", "succeeded"}}},
    {Counter::runs_failed, "scheduler_runs_ended_total", "Runs that ended, by state.", {{"state", "failed"}}},
    {Counter::runs_timed_out, "scheduler_runs_ended_total", "Runs that ended, by state.", {{"state", "timed_out"}}},
    {Counter::runs_cancelled, "scheduler_runs_ended_total", "Runs that ended, by state.", {{"state", "cancelled"}}},
    {Counter::attempts_retried, "scheduler_attempts_retried_total", "Attempts that failed and will be made again."},
    {Counter::runs_rescued, "scheduler_runs_rescued_total", "Runs taken back from dead workers or lost messages."},
    {Counter::reports_refused, "scheduler_reports_refused_total", "Reports with a token that is no longer current."},
    {Counter::workers_dead, "scheduler_workers_dead_total", "Workers declared dead after silence."},
    {Counter::tick_errors, "scheduler_tick_errors_total", "Ticks of a dispatcher loop that ended with an error."},
    {Counter::messages_dropped, "scheduler_messages_dropped_total", "Messages that could not be read or kept."},
    {Counter::store_circuit_opened, "scheduler_circuit_breaker_opens_total", kOpensHelp, {{"target", "store"}}},
    {Counter::message_queue_circuit_opened,
     "scheduler_circuit_breaker_opens_total",
     kOpensHelp,
     {{"target", "message_queue"}}},
};
static_assert(std::size(kCounterRows) == kCounters);

struct HistogramRow {
  Histogram histogram;
  const char *name, *help;
  const Buckets& buckets;
  prometheus::Labels labels = {};
};
const HistogramRow kHistogramRows[] = {
    {Histogram::fire_lateness, "scheduler_fire_lateness_seconds", "From the fire time to its decision.", kWaits},
    {Histogram::start_latency, "scheduler_start_latency_seconds", "From due to started on a worker.", kWaits},
    {Histogram::attempt_duration, "scheduler_attempt_duration_seconds", "From started to ended.", kAttempts},
};
static_assert(std::size(kHistogramRows) == kHistograms);

struct GaugeRow {
  Gauge gauge;
  const char *name, *help;
  prometheus::Labels labels = {};
};
constexpr auto kCircuitHelp = "0: closed, calls go through. 1: half-open, one probe asks. 2: open, calls fail at once.";
const GaugeRow kGaugeRows[] = {
    {Gauge::store_circuit, "scheduler_circuit_breaker_state", kCircuitHelp, {{"target", "store"}}},
    {Gauge::message_queue_circuit, "scheduler_circuit_breaker_state", kCircuitHelp, {{"target", "message_queue"}}},
};
static_assert(std::size(kGaugeRows) == kGauges);

double to_seconds(Micros value) { return std::chrono::duration<double>(value).count(); }

using RequestKey = std::tuple<std::string, std::string, int>;  // method, route, status / 100
using RequestView = std::tuple<std::string_view, std::string_view, int>;

struct ByRequest {
  using is_transparent = void;
  bool operator()(const auto& a, const auto& b) const { return RequestView(a) < RequestView(b); }
};

}  // namespace

class PrometheusMetrics::Impl {
 public:
  explicit Impl(std::string version) {
    for (const auto& row : kCounterRows)
      counters_[static_cast<std::size_t>(row.counter)] =
          &prometheus::BuildCounter().Name(row.name).Help(row.help).Register(registry_).Add(row.labels);
    for (const auto& row : kHistogramRows)
      histograms_[static_cast<std::size_t>(row.histogram)] =
          &prometheus::BuildHistogram().Name(row.name).Help(row.help).Register(registry_).Add(row.labels, row.buckets);
    for (const auto& row : kGaugeRows)
      gauges_[static_cast<std::size_t>(row.gauge)] =
          &prometheus::BuildGauge().Name(row.name).Help(row.help).Register(registry_).Add(row.labels);
    prometheus::BuildGauge()
        .Name("scheduler_build_info")
        .Help("1; the label tells what is running.")
        .Register(registry_)
        .Add({{"version", std::move(version)}})
        .Set(1);
    start_time_.Set(read_process_stats().start_time_seconds);
  }

  void add(Counter counter, std::size_t n) {
    counters_[static_cast<std::size_t>(counter)]->Increment(static_cast<double>(n));
  }

  void observe(Histogram histogram, Micros value) {
    histograms_[static_cast<std::size_t>(histogram)]->Observe(to_seconds(value));
  }

  void set(Gauge gauge, std::int64_t value) {
    gauges_[static_cast<std::size_t>(gauge)]->Set(static_cast<double>(value));
  }

  void observe_request(std::string_view method, std::string_view route, int status, Micros value) {
    request_series({method, route, status / 100}).Observe(to_seconds(value));
  }

  void observe_tick(std::string_view loop, Micros value) {
    const std::scoped_lock lock(ticks_mutex_);
    auto it = ticks_.find(loop);
    if (it == ticks_.end()) it = ticks_.emplace(loop, &tick_family_.Add({{"loop", std::string(loop)}}, kShort)).first;
    it->second->Observe(to_seconds(value));
  }

  std::string exposition() {
    const std::scoped_lock lock(process_mutex_);
    const auto stats = read_process_stats();
    resident_.Set(static_cast<double>(stats.resident_bytes));
    fds_.Set(static_cast<double>(stats.open_fds));
    cpu_.Increment(std::max(0.0, stats.cpu_seconds - cpu_.Value()));
    return prometheus::TextSerializer().Serialize(registry_.Collect());
  }

 private:
  prometheus::Histogram& request_series(RequestView key) {
    {
      const std::shared_lock lock(requests_mutex_);
      if (const auto it = requests_.find(key); it != requests_.end()) return *it->second;
    }
    const std::unique_lock lock(requests_mutex_);
    const auto& [method, route, status] = key;
    auto& series = request_family_.Add(
        {{"method", std::string(method)}, {"route", std::string(route)}, {"status", fmt::format("{}xx", status)}},
        kShort);  // the same series, where another thread was first
    requests_.try_emplace(RequestKey(key), &series);
    return series;
  }

  prometheus::Gauge& process_gauge(const char* name, const char* help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry_).Add({});
  }

  prometheus::Registry registry_;
  std::array<prometheus::Counter*, kCounters> counters_{};
  std::array<prometheus::Histogram*, kHistograms> histograms_{};
  std::array<prometheus::Gauge*, kGauges> gauges_{};

  std::shared_mutex requests_mutex_;
  std::map<RequestKey, prometheus::Histogram*, ByRequest> requests_;
  prometheus::Family<prometheus::Histogram>& request_family_ =
      prometheus::BuildHistogram()
          .Name("scheduler_api_request_duration_seconds")
          .Help("From the request's head to the end of the reply.")
          .Register(registry_);

  std::mutex ticks_mutex_;
  std::map<std::string, prometheus::Histogram*, std::less<>> ticks_;
  prometheus::Family<prometheus::Histogram>& tick_family_ = prometheus::BuildHistogram()
                                                                .Name("scheduler_tick_duration_seconds")
                                                                .Help("One tick of a dispatcher loop.")
                                                                .Register(registry_);

  std::mutex process_mutex_;
  prometheus::Gauge& resident_ = process_gauge("process_resident_memory_bytes", "Resident memory.");
  prometheus::Gauge& fds_ = process_gauge("process_open_fds", "Open file descriptors.");
  prometheus::Gauge& start_time_ =
      process_gauge("process_start_time_seconds", "Start of the process, since the Unix epoch.");
  prometheus::Counter& cpu_ = prometheus::BuildCounter()
                                  .Name("process_cpu_seconds_total")
                                  .Help("User and system CPU time.")
                                  .Register(registry_)
                                  .Add({});
};

PrometheusMetrics::PrometheusMetrics(std::string version) : impl_(std::make_unique<Impl>(std::move(version))) {}
PrometheusMetrics::~PrometheusMetrics() = default;
void PrometheusMetrics::add(Counter counter, std::size_t n) { impl_->add(counter, n); }
void PrometheusMetrics::observe(Histogram histogram, Micros value) { impl_->observe(histogram, value); }
void PrometheusMetrics::set(Gauge gauge, std::int64_t value) { impl_->set(gauge, value); }
void PrometheusMetrics::observe_tick(std::string_view loop, Micros value) { impl_->observe_tick(loop, value); }
void PrometheusMetrics::observe_request(std::string_view method, std::string_view route, int status, Micros value) {
  impl_->observe_request(method, route, status, value);
}
std::string PrometheusMetrics::exposition() { return impl_->exposition(); }

}  // namespace scheduler::infrastructure
