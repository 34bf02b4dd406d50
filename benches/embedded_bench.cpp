// benches/embedded_bench.cpp — how fast the embedded shape is, beside the bare SQLite loop in the same run.
//
//   embedded_bench [--scheduler PATH] [--quick]
//   embedded_bench --schedules N [--quick]          the lateness of N schedules alone
//
// Everything durable (WAL, synchronous=FULL), history kept, at least once. Prints one table.
#include "bench_support.hpp"
#include "child_process.hpp"
#include "infrastructure/embedded_message_queue.hpp"
#include "infrastructure/sqlite/sqlite_store.hpp"
#include "measures.hpp"

#include <fmt/format.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <unistd.h>

namespace scheduler {
namespace {

using namespace std::chrono_literals;

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

// The embedded shape over one file.
Shape embedded(const TempDir& dir) {
  return {
      .open_store = [file = dir.file("scheduler.db")](
                        const Clock& clock) { return must(infrastructure::SqliteStore::open(clock, {.path = file})); },
      .open_queue =
          [](infrastructure::QueuePorts ports) {
            return std::make_unique<infrastructure::EmbeddedMessageQueue>(ports.timer);
          }};
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
  const ChildProcess scheduler({program, "--data-dir=" + dir.path(), "--bind=127.0.0.1:0", "--log-level=error"});
  const auto pid = scheduler.pid();
  std::this_thread::sleep_for(3s);
  const double before = cpu_seconds(pid);
  std::this_thread::sleep_for(std::chrono::seconds{seconds});
  return {100 * (cpu_seconds(pid) - before) / seconds, resident_mib(pid)};
}

double backlog_throughput(int runs) {
  const TempDir dir;
  return runs / measure_backlog(embedded(dir), runs).drain_seconds;
}

std::vector<double> trigger_latency(int times) {
  const TempDir dir;
  return measure_trigger_latency(embedded(dir), times);
}

void show_lateness(int schedules, int seconds) {
  const TempDir dir;
  const auto lateness = measure_steady_fires(embedded(dir), schedules, seconds);
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
  const auto latency = trigger_latency(quick ? 100 : 500);
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
