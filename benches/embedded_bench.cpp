// benches/embedded_bench.cpp — how fast the embedded shape is, beside the bare SQLite loop in the same run.
//
//   embedded_bench [--scheduler PATH] [--quick]
//   embedded_bench --schedules N [--quick]          the lateness of N schedules alone
//
// Everything durable (WAL, synchronous=FULL), history kept, at least once. Prints one table.
#include "application/service_factory.hpp"
#include "bench_support.hpp"
#include "core/log.hpp"
#include "core/task_group.hpp"
#include "dispatcher/dispatcher.hpp"
#include "infrastructure/asio_timer.hpp"
#include "infrastructure/embedded_message_queue.hpp"
#include "infrastructure/executors/executor_parameters.hpp"
#include "infrastructure/prometheus_metrics.hpp"
#include "infrastructure/sqlite/sqlite_store.hpp"
#include "infrastructure/system_clock.hpp"
#include "infrastructure/system_random.hpp"
#include "infrastructure/system_time_zones.hpp"
#include "worker/worker.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include <cstdio>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <signal.h>
#include <spawn.h>
#include <sstream>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

namespace scheduler {
namespace {

using namespace application;
using namespace std::chrono_literals;

double percentile(std::vector<double>& values, double p) {
  if (values.empty()) return 0;
  std::ranges::sort(values);
  return values[std::min(values.size() - 1, static_cast<std::size_t>(p * static_cast<double>(values.size())))];
}

class TempDir {
 public:
  TempDir() {
    char name[] = "./bench.XXXXXX";  // on the disk of the work tree, not in memory
    path_ = ::mkdtemp(name);
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  [[nodiscard]] std::string file(std::string_view name) const { return path_ + "/" + std::string(name); }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// Succeeds at once and notes when it was started.
class StartRecorder final : public TaskExecutor, public ExecutorRegistry {
 public:
  explicit StartRecorder(const Clock& clock) : clock_(clock) {}
  TaskExecutor* find(std::string_view) override { return this; }
  std::vector<std::string> task_types() const override { return {"noop"}; }
  asio::awaitable<domain::Outcome> execute(const TaskExecution& work, OutputSink&, StopSignal&) override {
    ++started;
    if (recording) starts.push_back({work.run, work.slot, clock_.now()});
    co_return domain::Outcome{};
  }
  struct Start {
    RunId run;
    std::optional<TimePoint> slot;
    TimePoint at;
  };
  std::vector<Start> starts;
  std::int64_t started = 0;
  bool recording = false;

 private:
  const Clock& clock_;
};

class EndCounter final : public Metrics {
 public:
  void add(Counter counter, std::size_t n) override {
    if (counter == Counter::runs_succeeded) ended += static_cast<std::int64_t>(n);
  }
  void observe(Histogram, Micros) override {}
  void set(Gauge, std::int64_t) override {}
  void observe_tick(std::string_view, Micros) override {}
  void observe_request(std::string_view, std::string_view, int, Micros) override {}
  std::string exposition() override { return {}; }
  std::int64_t ended = 0;
};

// The parts of the embedded shape, wired as in the scheduler program.
struct Embedded {
  explicit Embedded(const std::string& file)
      : store(must(infrastructure::SqliteStore::open(clock, {.path = file}))),
        executors(clock),
        factory({*store, queue, zones, parameters, clock, timer}),
        control(factory.create_task_control_service()),
        tasks(factory.create_task_service()),
        dispatcher({*store, queue, zones, metrics, clock, timer, random}, {}),
        worker(io,
               {queue, executors, clock, timer, random, [] { return worker::HostLoad{}; },
                [](IncarnationId) -> asio::awaitable<void> { co_return; }},
               {.id = {"bench"}, .slots = 16}) {}

  void start() {
    parts.spawn("dispatcher", dispatcher.run(io));
    parts.spawn("worker", run_worker());
  }
  asio::awaitable<void> run_worker() { (void)co_await worker.run(); }
  asio::awaitable<void> stop() {
    worker.stop();
    co_await timer.sleep(300ms);
    dispatcher.stop();
    co_await parts.join();
    io.stop();
  }
  void run(asio::awaitable<void> work) {
    asio::co_spawn(io, std::move(work), asio::detached);
    io.run();
  }

  infrastructure::SystemClock clock;
  infrastructure::SystemRandom random;
  asio::io_context io{1};
  infrastructure::AsioTimer timer{io};
  infrastructure::SystemTimeZones zones;
  infrastructure::ExecutorParameterCheck parameters;
  infrastructure::EmbeddedMessageQueue queue{timer};
  EndCounter metrics;
  std::unique_ptr<infrastructure::SqliteStore> store;
  StartRecorder executors;
  ServiceFactory factory;
  std::unique_ptr<TaskControlService> control;
  std::unique_ptr<TaskService> tasks;
  dispatcher::Dispatcher dispatcher;
  worker::Worker worker;
  TaskGroup parts{io, timer};
};

asio::awaitable<TaskId> make_noop(Embedded& it, std::string name, std::optional<std::string> schedule) {
  TaskDraft draft;
  draft.spec.name = std::move(name);
  draft.spec.task_type = "noop";
  draft.spec.schedule = std::move(schedule);
  draft.spec.overlap_policy = domain::OverlapPolicy::allow;
  co_return must(co_await it.tasks->create(std::move(draft))).id;
}

// --- the bare loop: insert, mark dispatched, mark ended; one connection, batches of 1,000, a commit each ---

double bare_loop(int rows) {
  using namespace database::sqlite;
  const TempDir dir;
  const auto connection = must(Connection::open(dir.file("bare.db"), Connection::Access::read_write));
  must(connection->execute_script(
      "CREATE TABLE runs (id INTEGER PRIMARY KEY, priority INTEGER NOT NULL, state INTEGER NOT NULL, attempt INTEGER "
      "NOT NULL,"
      " worker TEXT, created_at INTEGER NOT NULL, started_at INTEGER, ended_at INTEGER, payload TEXT NOT NULL);"
      "CREATE INDEX runs_pending ON runs (priority, id) WHERE state = 0"));
  const auto transaction = [&](auto work) {
    auto tx = must(Transaction::begin(*connection, Transaction::Kind::write));
    work();
    must(tx.commit());
  };
  constexpr int kBatch = 1000;
  const auto began = SteadyClock::now();
  for (int done = 0; done < rows; done += kBatch)
    transaction([&] {
      for (int i = 0; i < kBatch; ++i)
        must(connection->execute(
            "INSERT INTO runs (priority, state, attempt, created_at, payload) VALUES (5, 0, 0, ?, '{}')", done + i));
    });
  for (int done = 0; done < rows; done += kBatch) {
    std::vector<std::int64_t> ids;
    transaction([&] {
      ids = must(connection->query("SELECT id FROM runs WHERE state = 0 ORDER BY priority, id LIMIT ?", kBatch)
                     .values<std::int64_t>());
      for (const auto id : ids)
        must(connection->execute(
            "UPDATE runs SET state = 1, attempt = attempt + 1, worker = 'w', started_at = ? WHERE id = ? AND state = 0",
            done, id));
    });
    transaction([&] {
      for (const auto id : ids)
        must(connection->execute("UPDATE runs SET state = 2, ended_at = ? WHERE id = ? AND state = 1", done, id));
    });
  }
  return rows / seconds_since(began);
}

// --- a backlog of no-ops, from the first dispatch to the last committed end ---

asio::awaitable<void> fill(Embedded& it, TaskId task, int runs, int& left) {
  for (int i = 0; i < runs; ++i) (void)must(co_await it.store->runs().insert({.task = task}));
  --left;
}

asio::awaitable<void> drain_backlog(Embedded& it, int runs, double& per_second) {
  const auto task = co_await make_noop(it, "noop", std::nullopt);
  constexpr int kClients = 100;  // they share commits
  int left = kClients;
  for (int i = 0; i < kClients; ++i) asio::co_spawn(it.io, fill(it, task, runs / kClients, left), asio::detached);
  while (left > 0) co_await it.timer.sleep(5ms);
  const auto began = SteadyClock::now();
  it.start();
  while (it.metrics.ended < runs) co_await it.timer.sleep(1ms);
  per_second = runs / seconds_since(began);
  co_await it.stop();
}

double backlog_throughput(int runs) {
  const TempDir dir;
  Embedded it(dir.file("scheduler.db"));
  double per_second = 0;
  it.run(drain_backlog(it, runs, per_second));
  return per_second;
}

// --- one trigger at a time, idle system: from the call to the start of the work ---

asio::awaitable<void> trigger_often(Embedded& it, int times, std::vector<double>& latency_ms) {
  const auto task = co_await make_noop(it, "noop", std::nullopt);
  it.start();
  co_await it.timer.sleep(500ms);
  it.executors.recording = true;
  for (int i = 0; i < times; ++i) {
    const auto asked = it.clock.now();
    const auto seen = it.executors.starts.size();
    (void)must(co_await it.control->trigger_task(task, {}));
    while (it.executors.starts.size() == seen) co_await it.timer.sleep(100us);
    latency_ms.push_back(std::chrono::duration<double, std::milli>(it.executors.starts.back().at - asked).count());
    co_await it.timer.sleep(3ms);
  }
  co_await it.stop();
}

std::vector<double> trigger_latency(int times) {
  const TempDir dir;
  Embedded it(dir.file("scheduler.db"));
  std::vector<double> latency;
  it.run(trigger_often(it, times, latency));
  return latency;
}

// --- schedules that fire every second: from the slot to the start of the work ---

struct Lateness {
  std::vector<double> ms;
  std::int64_t expected = 0;
};

asio::awaitable<void> make_some(Embedded& it, int first, int count, int& left) {
  for (int i = 0; i < count; ++i) co_await make_noop(it, fmt::format("every second {}", first + i), "* * * * * *");
  --left;
}

asio::awaitable<void> fire_for(Embedded& it, int schedules, int seconds, Lateness& lateness) {
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
      lateness.ms.push_back(std::chrono::duration<double, std::milli>(start.at - *start.slot).count());
  lateness.expected = std::int64_t{schedules} * seconds;
  co_await it.stop();
}

Lateness fire_lateness(int schedules, int seconds) {
  const TempDir dir;
  Embedded it(dir.file("scheduler.db"));
  Lateness lateness;
  it.run(fire_for(it, schedules, seconds, lateness));
  return lateness;
}

// --- the real program, doing nothing ---

struct Idle {
  double cpu_percent = 0;
  double resident_mib = 0;
};

double cpu_seconds(pid_t pid) {
  std::ifstream stat(fmt::format("/proc/{}/stat", pid));
  std::string text((std::istreambuf_iterator<char>(stat)), {});
  std::istringstream fields(text.substr(text.rfind(')') + 2));
  std::string skipped;
  double user = 0, system = 0;
  for (int i = 0; i < 11; ++i) fields >> skipped;
  fields >> user >> system;
  return (user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

double resident_mib(pid_t pid) {
  std::ifstream statm(fmt::format("/proc/{}/statm", pid));
  double size = 0, resident = 0;
  statm >> size >> resident;
  return resident * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

Idle idle(const std::string& program, int seconds) {
  const TempDir dir;
  const auto data = "--data-dir=" + dir.path();
  const char* argv[] = {program.c_str(), data.c_str(), "--bind=127.0.0.1:0", "--log-level=error", nullptr};
  pid_t pid = 0;
  if (::posix_spawn(&pid, program.c_str(), nullptr, nullptr, const_cast<char**>(argv), environ) != 0) return {};
  std::this_thread::sleep_for(3s);
  const double before = cpu_seconds(pid);
  std::this_thread::sleep_for(std::chrono::seconds{seconds});
  const Idle seen{100 * (cpu_seconds(pid) - before) / seconds, resident_mib(pid)};
  ::kill(pid, SIGTERM);
  int status = 0;
  ::waitpid(pid, &status, 0);
  return seen;
}

void row(std::string_view what, std::string_view seen, std::string_view goal) {
  fmt::print("| {:<52} | {:>26} | {:<34} |\n", what, seen, goal);
  std::fflush(stdout);
}

void show_lateness(int schedules, int seconds) {
  auto lateness = fire_lateness(schedules, seconds);
  row(fmt::format("slot to start, {} schedules each second, p50 / p99", schedules),
      fmt::format("{:.2f} / {:.2f} ms", percentile(lateness.ms, 0.5), percentile(lateness.ms, 0.99)),
      schedules == 1'000 ? "p99 < 50 ms" : "");
  row("  fired of due", fmt::format("{} of {}", lateness.ms.size(), lateness.expected), "all");
}

void run_all(const std::string& program, bool quick) {
  const int runs = quick ? 10'000 : 50'000;
  const int seconds = quick ? 3 : 10;
  row("measure", "seen", "goal");
  row("---", "---", "---");
  const double bare = bare_loop(runs);
  row("bare SQLite loop, insert + dispatched + ended", fmt::format("{:.0f} rows/s", bare), "the reference");
  const double ours = backlog_throughput(runs);
  row(fmt::format("no-op runs end to end, backlog of {}", runs), fmt::format("{:.0f} runs/s", ours), "");
  row("  the same as a share of the bare loop", fmt::format("{:.2f}", ours / bare), ">= 0.25");
  auto latency = trigger_latency(quick ? 100 : 500);
  row("trigger to start, idle, p50 / p99",
      fmt::format("{:.2f} / {:.2f} ms", percentile(latency, 0.5), percentile(latency, 0.99)), "p50 < 5 ms");
  for (const int schedules : {1, 1'000, 10'000}) show_lateness(schedules, seconds);
  const auto resting = idle(program, seconds);
  row("idle, the scheduler program: CPU of one core", fmt::format("{:.2f} %", resting.cpu_percent), "< 1 %");
  row("idle, the scheduler program: resident memory", fmt::format("{:.1f} MiB", resting.resident_mib), "< 40 MiB");
}

}  // namespace
}  // namespace scheduler

int main(int argc, char** argv) {
  std::string program = std::filesystem::path(argv[0]).parent_path().string() + "/../bin/scheduler";
  bool quick = false;
  int schedules = 0;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--quick") == 0) quick = true;
    if (std::strcmp(argv[i], "--scheduler") == 0 && i + 1 < argc) program = argv[++i];
    if (std::strcmp(argv[i], "--schedules") == 0 && i + 1 < argc) schedules = std::atoi(argv[++i]);
  }
  if (schedules > 0)
    scheduler::show_lateness(schedules, quick ? 3 : 10);
  else
    scheduler::run_all(program, quick);
}
