#include "measures.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

namespace scheduler {
namespace {

using namespace application;
using namespace std::chrono_literals;

constexpr int kShards = 1000;  // runs that one call inserts
constexpr Micros kBurstNotice = 6s;
constexpr Micros kBurstPatience = 30s;

asio::awaitable<TaskId> make_noop(Parts& it, std::string name, std::optional<std::string> schedule, int shards = 1) {
  TaskDraft draft;
  draft.spec.name = std::move(name);
  draft.spec.task_type = "noop";
  draft.spec.schedule = std::move(schedule);
  draft.spec.overlap_policy = domain::OverlapPolicy::allow;
  draft.spec.shard_count = shards;
  co_return must(co_await it.tasks->create(std::move(draft))).id;
}

double milliseconds(Micros span) { return std::chrono::duration<double, std::milli>(span).count(); }

// --- backlog ---

asio::awaitable<void> insert_runs(Parts& it, TaskId task, int calls, RunId& last, int& left) {
  for (int i = 0; i < calls; ++i) {
    const auto made = must(co_await it.store->runs().insert({.task = task}));
    last = std::max(last, made.runs.back().id);
  }
  --left;
}

asio::awaitable<bool> all_ended(Parts& it) {
  const auto stats = must(co_await it.store->stats());
  co_return std::ranges::all_of(stats.active_runs, [](const auto& count) { return count.second == 0; });
}

asio::awaitable<void> drain(Parts& it, int runs, Backlog& seen) {
  // In a store that may hold the tasks of earlier measurements.
  const auto name = fmt::format("noop {}", to_micros(it.clock.now()));
  const auto task = co_await make_noop(it, name, std::nullopt, kShards);
  constexpr int kClients = 2;
  int left = kClients;
  RunId last{0};
  const auto began = SteadyClock::now();
  for (int i = 0; i < kClients; ++i)
    asio::co_spawn(it.io, insert_runs(it, task, runs / kShards / kClients, last, left), asio::detached);
  while (left > 0) co_await it.timer.sleep(1ms);
  seen.insert_seconds = seconds_since(began);
  it.start();
  // The last one ends nearly last; asking for the others costs the store something while there are many.
  while (!must(co_await it.store->runs().get(last)).ended_at) co_await it.timer.sleep(5ms);
  while (!co_await all_ended(it)) co_await it.timer.sleep(1ms);
  seen.drain_seconds = seconds_since(*it.executors.first_start);
  co_await it.stop();
}

// --- latency ---

asio::awaitable<void> trigger_often(Parts& it, int times, std::vector<double>& latency_ms) {
  const auto task = co_await make_noop(it, "noop", std::nullopt);
  it.executors.recording = true;
  it.start();
  (void)must(co_await it.control->trigger_task(task, {}));
  while (it.executors.starts.empty()) co_await it.timer.sleep(1ms);  // now the worker is known
  co_await it.timer.sleep(500ms);
  for (int i = 0; i < times; ++i) {
    const auto asked = it.clock.now();
    const auto seen = it.executors.starts.size();
    (void)must(co_await it.control->trigger_task(task, {}));
    while (it.executors.starts.size() == seen) co_await it.timer.sleep(100us);
    latency_ms.push_back(milliseconds(it.executors.starts.back().at - asked));
    co_await it.timer.sleep(3ms);
  }
  co_await it.stop();
}

// --- fires ---

asio::awaitable<void> make_some(Parts& it, int first, int count, int& left) {
  for (int i = 0; i < count; ++i) co_await make_noop(it, fmt::format("every second {}", first + i), "* * * * * *");
  --left;
}

asio::awaitable<void> fire_for(Parts& it, int schedules, int seconds, Lateness& lateness) {
  const int clients = std::min(schedules, 50);
  int left = clients;
  for (int i = 0; i < clients; ++i)
    asio::co_spawn(it.io, make_some(it, i * (schedules / clients), schedules / clients, left), asio::detached);
  while (left > 0) co_await it.timer.sleep(5ms);
  it.start();
  co_await it.timer.sleep(2s);  // the slots that passed meanwhile are caught up
  const auto from = std::chrono::ceil<Seconds>(it.clock.now()) + 1s;
  it.executors.recording = true;
  co_await it.timer.sleep(from - it.clock.now() + Seconds{seconds} + 500ms);
  const auto until = from + Seconds{seconds};
  for (const auto& start : it.executors.starts)
    if (start.slot && *start.slot >= from && *start.slot < until)
      lateness.ms.push_back(milliseconds(start.at - *start.slot));
  lateness.expected = std::int64_t{schedules} * seconds;
  co_await it.stop();
}

asio::awaitable<void> fire_once(Parts& it, int schedules, const std::function<void(TaskId, int)>& clone,
                                Lateness& lateness) {
  const auto slot = std::chrono::ceil<Seconds>(it.clock.now() + kBurstNotice);
  const auto task = co_await make_noop(it, "once", "@at " + format_rfc3339(slot));
  clone(task, schedules - 1);
  it.executors.recording = true;
  it.start();
  lateness.expected = schedules;
  while (std::ssize(it.executors.starts) < schedules && it.clock.now() < slot + kBurstPatience)
    co_await it.timer.sleep(20ms);
  for (const auto& start : it.executors.starts) lateness.ms.push_back(milliseconds(start.at - slot));
  co_await it.stop();
}

}  // namespace

double percentile(std::vector<double> values, double p) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1, static_cast<std::size_t>(p * static_cast<double>(values.size())))];
}

void row(std::string_view what, std::string_view seen, std::string_view goal) {
  fmt::print("| {:<54} | {:>28} | {:<30} |\n", what, seen, goal);
  std::fflush(stdout);
}

Backlog measure_backlog(const Shape& shape, int runs) {
  Parts it(shape);
  Backlog seen;
  it.run(drain(it, runs, seen));
  return seen;
}

std::vector<double> measure_trigger_latency(const Shape& shape, int times) {
  Parts it(shape);
  std::vector<double> latency;
  it.run(trigger_often(it, times, latency));
  return latency;
}

Lateness measure_steady_fires(const Shape& shape, int schedules, int seconds) {
  Parts it(shape);
  Lateness lateness;
  it.run(fire_for(it, schedules, seconds, lateness));
  return lateness;
}

Lateness measure_burst(const Shape& shape, int schedules, const std::function<void(TaskId, int)>& clone) {
  Parts it(shape);
  Lateness lateness;
  it.run(fire_once(it, schedules, clone, lateness));
  return lateness;
}

}  // namespace scheduler
