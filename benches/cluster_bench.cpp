// benches/cluster_bench.cpp — how fast the scheduler is on PostgreSQL with each queue, beside the bare SQL loop on the
// same server and two schedulers of others (benches/peers), all in one run.
//
//   cluster_bench [--quick] [--queue embedded|redis_stream|rabbitmq]… [--runs N] [--rounds N] [--history N]
//                 [--only throughput|latency|burst|history]… [--peers DIRECTORY]
//
// With the embedded queue all parts share this process. With a broker the dispatcher is the real program, a process of
// its own; the worker, and what triggers, is this one. Everything durable as the servers are set, history kept.
// Servers: SCHEDULER_TEST_{POSTGRES,REDIS,RABBITMQ}_URL, as `./dev services up` writes them to build/services/env; what
// is not up is left out. --peers names where `npm ci` has installed them; without it they are left out too.
#include "bench_support.hpp"
#include "child_process.hpp"
#include "core/log.hpp"
#include "infrastructure/message_queue_factory.hpp"
#include "infrastructure/postgres/postgres_store.hpp"
#include "measures.hpp"
#include "support/run_async.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <sstream>
#include <unistd.h>

namespace scheduler {
namespace {

using namespace std::chrono_literals;
using testing_support::run_all;
using testing_support::run_async;
namespace postgres = database::postgres;

struct Options {
  std::string programs;  // where scheduler-dispatcher is
  std::string peers;
  std::vector<std::string> queues;
  std::set<std::string> only;
  int runs = 50'000, rounds = 3, history = 5'000'000, triggers = 300;
  [[nodiscard]] bool wants(const std::string& part) const { return only.empty() || only.contains(part); }
};

std::string server(const char* name) {
  const char* url = std::getenv(fmt::format("SCHEDULER_TEST_{}_URL", name).c_str());
  return url ? url : "";
}

// ---- a schema of its own --------------------------------------------------------------------------------------------

Async<void> execute(std::string url, std::string script) {
  postgres::ConnectionOptions options{.url = std::move(url), .call_timeout = 600s};
  CO_TRY(const auto connection, postgres::Connection::open(std::move(options)));
  co_return co_await connection->execute_script(std::move(script), 600s);
}

class Schema {
 public:
  Schema() {
    static int made = 0;
    name_ = fmt::format("bench_{}_{}", ::getpid(), ++made);
    // Every measurement begins with the same distance to the next checkpoint.
    must(run_async(execute(server("POSTGRES"), "CHECKPOINT")));
    must(run_async(execute(server("POSTGRES"), "CREATE SCHEMA " + name_)));
  }
  ~Schema() { must(run_async(execute(server("POSTGRES"), fmt::format("DROP SCHEMA {} CASCADE", name_)))); }
  Schema(const Schema&) = delete;
  Schema& operator=(const Schema&) = delete;

  [[nodiscard]] const std::string& name() const { return name_; }
  [[nodiscard]] std::string url() const {
    return fmt::format("{}?options=-csearch_path%3D{}", server("POSTGRES"), name_);
  }
  [[nodiscard]] std::unique_ptr<infrastructure::PostgresStore> open_store() const {
    return must(infrastructure::PostgresStore::open({.connection = {.url = url()}, .connections_max = 8}));
  }

 private:
  std::string name_;
};

// ---- shapes ---------------------------------------------------------------------------------------------------------

std::string broker_of(const std::string& queue) {
  if (queue == "redis_stream") return server("REDIS");
  return queue == "rabbitmq" ? server("RABBITMQ") : "";
}

Shape shape_of(const Schema& schema, const std::string& queue) {
  const config::MessageQueueConfig settings{.type = queue, .url = broker_of(queue), .prefix = schema.name()};
  return {.open_store = [&schema](const Clock&) { return schema.open_store(); },
          .open_queue =
              [settings](infrastructure::QueuePorts ports) {
                return must(infrastructure::MessageQueueFactory::create(settings, ports));
              },
          .with_dispatcher = queue == "embedded"};
}

// The other process of the shape, where there is one.
std::unique_ptr<ChildProcess> dispatcher_of(const Options& options, const Schema& schema, const std::string& queue) {
  if (queue == "embedded") return nullptr;
  (void)schema.open_store();  // the tables are there before anybody looks
  return std::make_unique<ChildProcess>(
      std::vector{options.programs + "/scheduler-dispatcher", std::string("--log-level=error")},
      std::vector{"SCHEDULER_DATABASE__URL=" + schema.url(), "SCHEDULER_MESSAGE_QUEUE__TYPE=" + queue,
                  "SCHEDULER_MESSAGE_QUEUE__URL=" + broker_of(queue),
                  "SCHEDULER_MESSAGE_QUEUE__PREFIX=" + schema.name()});
}

Backlog backlog(const Options& options, const Schema& schema, const std::string& queue) {
  const auto dispatcher = dispatcher_of(options, schema, queue);
  return measure_backlog(shape_of(schema, queue), options.runs);
}

// ---- the references -------------------------------------------------------------------------------------------------

// The least that keeps the promise: a row is inserted, claimed and completed, in batches, each durably, by two
// connections at once. Nothing is decided, sent or executed.
constexpr int kBatch = 1000;
constexpr int kClients = 2;

Async<void> bare_insert(std::string url, int rows) {
  postgres::ConnectionOptions options{.url = std::move(url)};
  CO_TRY(const auto connection, postgres::Connection::open(std::move(options)));
  const std::vector<std::string> payloads(kBatch, "{}");
  for (int done = 0; done < rows; done += kBatch)
    CO_CHECK(connection->query("INSERT INTO bare (payload) SELECT unnest($1::text[])", payloads));
  co_return SchedulerResult<void>{};
}

Async<void> bare_drain(std::string url) {
  postgres::ConnectionOptions options{.url = std::move(url)};
  CO_TRY(const auto connection, postgres::Connection::open(std::move(options)));
  for (;;) {
    CO_TRY(auto claimed,
           connection->query("UPDATE bare SET state = 1, attempt = attempt + 1, worker = 'w', started_at = now()"
                             " WHERE id = ANY (ARRAY(SELECT id FROM bare WHERE state = 0 ORDER BY priority, id LIMIT $1"
                             " FOR UPDATE SKIP LOCKED)) RETURNING id",
                             kBatch));
    CO_UNWRAP(const auto ids, claimed.values<RunId>());
    if (ids.empty()) co_return SchedulerResult<void>{};
    CO_CHECK(connection->query("UPDATE bare SET state = 2, ended_at = now() WHERE id = ANY ($1)", ids));
  }
}

Backlog bare_loop(int rows) {
  const Schema schema;
  must(run_async(execute(schema.url(),
                         "CREATE TABLE bare (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, priority INTEGER NOT"
                         " NULL DEFAULT 5, state INTEGER NOT NULL DEFAULT 0, attempt INTEGER NOT NULL DEFAULT 0, worker"
                         " TEXT, created_at TIMESTAMPTZ NOT NULL DEFAULT now(), started_at TIMESTAMPTZ, ended_at"
                         " TIMESTAMPTZ, payload TEXT NOT NULL);"
                         "CREATE INDEX bare_pending ON bare (priority, id) WHERE state = 0")));
  const auto both = [&](auto work) {
    std::vector<Async<void>> works;
    for (int i = 0; i < kClients; ++i) works.push_back(work());
    const auto began = SteadyClock::now();
    for (auto& it : run_all(std::move(works))) must(std::move(it));
    return seconds_since(began);
  };
  Backlog seen;
  seen.insert_seconds = both([&] { return bare_insert(schema.url(), rows / kClients); });
  seen.drain_seconds = both([&] { return bare_drain(schema.url()); });
  return seen;
}

// node says "insert_seconds drain_seconds".
Backlog peer(const Options& options, const std::string& name, int jobs, int processes) {
  const auto command = fmt::format("cd '{}' && DATABASE_URL='{}' REDIS_URL='{}' node {}.mjs {} {} 2>/dev/null",
                                   options.peers, server("POSTGRES"), server("REDIS"), name, jobs, processes);
  must(run_async(execute(server("POSTGRES"), "CHECKPOINT")));
  std::unique_ptr<FILE, int (*)(FILE*)> said(::popen(command.c_str(), "r"), ::pclose);
  std::string text;
  for (std::array<char, 256> part{}; std::fgets(part.data(), part.size(), said.get());) text += part.data();
  Backlog seen;
  std::istringstream(text) >> seen.insert_seconds >> seen.drain_seconds;
  return seen;
}

// ---- what is measured -----------------------------------------------------------------------------------------------

struct Rates {
  std::vector<double> cycle, drain;
  void add(const Backlog& seen, int jobs) {
    if (seen.drain_seconds <= 0) return;
    cycle.push_back(jobs / seen.cycle_seconds());
    drain.push_back(jobs / seen.drain_seconds);
  }
};

std::string median_and_range(std::vector<double> rates) {
  if (rates.empty()) return "-";
  std::ranges::sort(rates);
  return fmt::format("{:.0f} /s ({:.0f}-{:.0f})", median(rates), rates.front(), rates.back());
}

void show(const std::string& what, const Rates& rates, std::string_view note) {
  row(what + ", cycle", median_and_range(rates.cycle), "");
  row(what + ", drain", median_and_range(rates.drain), note);
}

void show_ratio(const Rates& ours, const std::string& reference, const Rates& theirs, std::string_view goal) {
  if (theirs.drain.empty()) return;
  row("  cycle, drain as a share of " + reference,
      fmt::format("{:.2f}, {:.2f}", median(ours.cycle) / median(theirs.cycle),
                  median(ours.drain) / median(theirs.drain)),
      goal);
}

// With the number of processes that was fastest on two cores.
const std::map<std::string, int> kPeers = {{"graphile", 2}, {"bullmq", 1}};

// Round by round, so that a slow minute of the machine meets everybody.
void measure_throughput(const Options& options) {
  Rates bare;
  std::map<std::string, Rates> ours, peers;
  for (int round = 0; round < options.rounds; ++round) {
    bare.add(bare_loop(options.runs), options.runs);
    for (const auto& queue : options.queues) {
      const Schema schema;
      ours[queue].add(backlog(options, schema, queue), options.runs);
    }
    if (options.peers.empty()) continue;
    for (const auto& [name, processes] : kPeers)
      peers[name].add(peer(options, name, options.runs, processes), options.runs);
  }
  show("bare SQL, insert + claim + complete", bare, "reference");
  if (!options.peers.empty()) {
    show("graphile-worker, tuned, PostgreSQL", peers["graphile"], "reference");
    show("BullMQ, Redis", peers["bullmq"], "reference");
  }
  for (const auto& queue : options.queues) {
    show(fmt::format("no-op runs, PostgreSQL + {}", queue), ours[queue], "");
    show_ratio(ours[queue], "bare SQL", bare, "");
    show_ratio(ours[queue], "graphile-worker", peers["graphile"], queue == "rabbitmq" ? "drain >= 0.5" : "drain >= 1");
    show_ratio(ours[queue], "BullMQ", peers["bullmq"], "");
  }
}

void measure_latency(const Options& options) {
  for (const auto& queue : options.queues) {
    const Schema schema;
    const auto dispatcher = dispatcher_of(options, schema, queue);
    const auto latency = measure_trigger_latency(shape_of(schema, queue), options.triggers);
    row(fmt::format("trigger to start, idle, {}, p50 / p99", queue),
        fmt::format("{:.2f} / {:.2f} ms", percentile(latency, 0.5), percentile(latency, 0.99)),
        "p50 < 10 ms, p99 < 40 ms");
  }
}

// `count` more tasks like this one.
void clone_task(const Schema& schema, TaskId like, int count) {
  constexpr auto kColumns =
      "description, task_type, schedule, timezone, timeout_seconds, max_retries, backoff_base_seconds, backoff_factor,"
      " backoff_cap_seconds, trigger_rule, overlap_policy, misfire_policy, delivery, priority, labels, worker_labels,"
      " route, shard_count, status, version, created_at, updated_at, watermark, next_fire_at, archived_at, parameters";
  must(run_async(execute(schema.url(), fmt::format("INSERT INTO tasks (name, {0}) SELECT name || ' ' || n, {0} FROM"
                                                   " tasks, generate_series(1, {2}) n WHERE id = {1}; ANALYZE tasks",
                                                   kColumns, like.value, count))));
}

void measure_burst(const Options& options) {
  constexpr int kSchedules = 10'000;
  for (const auto& queue : options.queues) {
    const Schema schema;
    const auto dispatcher = dispatcher_of(options, schema, queue);
    auto late = measure_burst(shape_of(schema, queue), kSchedules,
                              [&](TaskId like, int count) { clone_task(schema, like, count); });
    row(fmt::format("{} fires due at once, {}: started", kSchedules, queue),
        fmt::format("{} of {}", late.ms.size(), late.expected), "all");
    row("  slot to start, p50 / p99 / last",
        fmt::format("{:.0f} / {:.0f} / {:.0f} ms", percentile(late.ms, 0.5), percentile(late.ms, 0.99),
                    percentile(late.ms, 1)),
        "last < 2000 ms");
  }
}

// Finished runs of a thousand tasks, as the scheduler would have left them.
void add_history(const Schema& schema, int runs) {
  constexpr int kParts = 4;

  std::vector<Async<void>> works;
  for (int part = 0; part < kParts; ++part)
    works.push_back(execute(
        schema.url(),
        fmt::format(
            "SET synchronous_commit = off;"
            "WITH made AS (INSERT INTO task_runs (task_id, created_at, due_at, token, incarnation, dispatched_at,"
            " started_at, ended_at, shard_index, shard_total, priority, attempt, triggered_by, state, route, worker)"
            " SELECT n % 1000 + 1, t, t, 1, 1, t, t, t, 0, 1, 5, 1, 'manual', 'succeeded', 'noop', 'bench'"
            " FROM generate_series(1, {}) n CROSS JOIN LATERAL (SELECT now() - n * interval '1 second') s (t)"
            " RETURNING id, dispatched_at)"
            " INSERT INTO task_attempts SELECT id, 1, 1, dispatched_at, dispatched_at, dispatched_at, 0, 1, NULL,"
            " NULL, 'succeeded', 'bench', 'none', '' FROM made",
            runs / kParts)));
  for (auto& it : run_all(std::move(works))) must(std::move(it));
  for (const auto* sql : {"VACUUM ANALYZE", "CHECKPOINT"}) must(run_async(execute(schema.url(), sql)));
}

void measure_history(const Options& options) {
  const auto& queue = options.queues.front();
  const Schema full;
  (void)full.open_store();
  const auto began = SteadyClock::now();
  add_history(full, options.history);
  fmt::print("{} finished runs written in {:.0f} s\n", options.history, seconds_since(began));
  Rates with, without;
  for (int round = 0; round < options.rounds; ++round) {
    const Schema empty;
    without.add(backlog(options, empty, queue), options.runs);
    with.add(backlog(options, full, queue), options.runs);
  }
  row(fmt::format("drain with an empty history, {}", queue), median_and_range(without.drain), "reference");
  row(fmt::format("drain with {} finished runs", options.history), median_and_range(with.drain), "");
  row("  cycle, drain as a share of the empty one",
      fmt::format("{:.2f}, {:.2f}", median(with.cycle) / median(without.cycle),
                  median(with.drain) / median(without.drain)),
      "drain >= 0.9");
}

void run(Options options) {
  if (server("POSTGRES").empty()) {
    std::puts("cluster_bench: no SCHEDULER_TEST_POSTGRES_URL, nothing measured");
    return;
  }
  std::erase_if(options.queues, [](const auto& queue) { return queue != "embedded" && broker_of(queue).empty(); });
  if (options.wants("throughput")) measure_throughput(options);
  if (options.wants("latency")) measure_latency(options);
  if (options.wants("burst")) measure_burst(options);
  if (options.wants("history") && options.history > 0) measure_history(options);
}

}  // namespace
}  // namespace scheduler

int main(int argc, char** argv) {
  scheduler::Options options{.programs = std::filesystem::path(argv[0]).parent_path().string() + "/../bin"};
  if (const char* peers = std::getenv("SCHEDULER_BENCH_PEERS")) options.peers = peers;
  for (int i = 1; i < argc; ++i) {
    const std::string flag = argv[i];
    if (flag == "--quick") {
      options.runs = 20'000;
      options.rounds = 1;
      options.history = 200'000;
      options.triggers = 100;
    } else if (i + 1 == argc) {
      std::fprintf(stderr, "cluster_bench: '%s' is not known, or its value is missing\n", argv[i]);
      return 2;
    } else if (const std::string value = argv[++i]; flag == "--queue") {
      options.queues.push_back(value);
    } else if (flag == "--only") {
      options.only.insert(value);
    } else if (flag == "--peers") {
      options.peers = value;
    } else if (flag == "--runs") {
      options.runs = std::stoi(value);
    } else if (flag == "--rounds") {
      options.rounds = std::stoi(value);
    } else if (flag == "--history") {
      options.history = std::stoi(value);
    } else {
      std::fprintf(stderr, "cluster_bench: '%s' is not known\n", flag.c_str());
      return 2;
    }
  }
  if (options.queues.empty()) options.queues = {"embedded", "redis_stream", "rabbitmq"};
  scheduler::run(std::move(options));
}
