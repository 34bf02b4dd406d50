// benches/postgres_bench.cpp — the life of runs in batches of a thousand over PostgreSQL, beside bare SQL in the same
// run.
//
//   postgres_bench [--quick]     the server is SCHEDULER_TEST_POSTGRES_URL; without it there is nothing to measure
//
// The server's own settings (durable by default), history kept. Works in a schema of its own. Prints one table.
#include "core/log.hpp"
#include "infrastructure/postgres/postgres_store.hpp"
#include "support/run_async.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ranges>

namespace scheduler {
namespace {

using namespace application;
using testing_support::run_all;
using testing_support::run_async;
using Steady = std::chrono::steady_clock;
namespace postgres = database::postgres;

constexpr int kBatch = 1000;
const WorkerId kWorker{"bench"};
const IncarnationId kIncarnation{1};

template <class T>
T must(SchedulerResult<T> result) {
  if (!result) {
    std::fprintf(stderr, "postgres_bench: %s\n", result.error().message.c_str());
    std::exit(1);
  }
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

void print(const std::string& what, int rows, Steady::duration took) {
  const auto seconds = std::chrono::duration<double>(took).count();
  fmt::print("| {} | {:.0f}/s | |\n", what, rows / seconds);
  std::fflush(stdout);
}

// One dispatcher's share: its runs of `task`, dispatched and ended batch by batch.
Async<void> dispatch_all(Store& store, std::vector<RunId> runs) {
  for (std::size_t at = 0; at < runs.size(); at += kBatch) {
    std::vector<Dispatching> batch;
    for (std::size_t i = at; i < std::min(at + kBatch, runs.size()); ++i)
      batch.push_back({runs[i], 0, kWorker, kIncarnation});
    CO_TRY(const auto won, store.dispatch().mark_dispatched(std::move(batch)));
    if (std::ranges::count(won, true) != std::ssize(won)) co_return fail(ErrorKind::Internal, "a dispatch was lost");
  }
  co_return SchedulerResult<void>{};
}

Async<void> end_all(Store& store, std::vector<RunId> runs) {
  CO_TRY(const auto now, store.now());
  for (std::size_t at = 0; at < runs.size(); at += kBatch) {
    std::vector<RunChange> batch;
    for (std::size_t i = at; i < std::min(at + kBatch, runs.size()); ++i)
      batch.push_back(Ended{.run = runs[i], .token = 1, .started_at = now, .ended_at = now, .next = domain::End{}});
    CO_TRY(const auto won, store.dispatch().apply(std::move(batch)));
    if (std::ranges::count(won, true) != std::ssize(won)) co_return fail(ErrorKind::Internal, "an end was lost");
  }
  co_return SchedulerResult<void>{};
}

// The least that could be done: one indexed row per run, two updates of it by id, nothing guarded or decided.
Async<void> bare_updates(postgres::Database& database, std::string sql, std::vector<RunId> runs) {
  for (std::size_t at = 0; at < runs.size(); at += kBatch) {
    const std::vector<RunId> batch(runs.begin() + static_cast<std::ptrdiff_t>(at),
                                   runs.begin() + static_cast<std::ptrdiff_t>(std::min(at + kBatch, runs.size())));
    CO_TRY(const auto rows, database.query(sql, batch));
  }
  co_return SchedulerResult<void>{};
}

std::vector<RunId> ids(postgres::Database& database, const std::string& sql) {
  auto rows = must(run_async(database.query(sql)));
  return must(rows.values<RunId>());
}

template <class Work>
void measure(const std::string& what, const std::vector<RunId>& runs, std::size_t at_once, Work work) {
  std::vector<Async<void>> works;
  const auto share = runs.size() / at_once;
  for (std::size_t i = 0; i < at_once; ++i)
    works.push_back(work(std::vector<RunId>(runs.begin() + static_cast<std::ptrdiff_t>(i * share),
                                            runs.begin() + static_cast<std::ptrdiff_t>((i + 1) * share))));
  const auto began = Steady::now();
  for (auto& it : run_all(std::move(works))) must(std::move(it));
  print(fmt::format("{}, {} at once", what, at_once), static_cast<int>(runs.size()), Steady::now() - began);
}

void measure_all(infrastructure::PostgresStore& store, int rows) {
  auto& database = store.database();
  must(run_async(database.query(
      "CREATE TABLE bare (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, state INTEGER NOT NULL DEFAULT 0,"
      " token BIGINT NOT NULL DEFAULT 0, at TIMESTAMPTZ, message TEXT NOT NULL DEFAULT '')")));
  must(run_async(database.query("CREATE INDEX bare_pending ON bare (id) WHERE state = 0")));
  const auto task = must(run_async(store.tasks().create({.spec = {.name = "bench", .task_type = "noop"}})));
  const auto insert_runs = fmt::format(
      "INSERT INTO task_runs (task_id, triggered_by, shard_index, shard_total, state, route, priority, created_at, "
      "due_at)"
      " SELECT {}, 'manual', 0, 1, 'pending', 'noop', 5, now(), now() FROM generate_series(1, {}) RETURNING id",
      task.id.value, rows);
  const auto insert_bare =
      fmt::format("INSERT INTO bare (state) SELECT 0 FROM generate_series(1, {}) RETURNING id", rows);
  for (const std::size_t at_once : {1u, 2u}) {
    const auto bare = ids(database, insert_bare);
    measure("bare SQL: claim by id, batches of 1000", bare, at_once, [&](auto share) {
      return bare_updates(database, "UPDATE bare SET state = 1, token = token + 1, at = now() WHERE id = ANY ($1)",
                          share);
    });
    measure("bare SQL: end by id, batches of 1000", bare, at_once, [&](auto share) {
      return bare_updates(database, "UPDATE bare SET state = 2, at = now() WHERE id = ANY ($1)", share);
    });
    const auto runs = ids(database, insert_runs);
    measure("mark_dispatched, batches of 1000", runs, at_once, [&](auto share) { return dispatch_all(store, share); });
    measure("apply (ended, attempt row), batches of 1000", runs, at_once,
            [&](auto share) { return end_all(store, share); });
  }
}

}  // namespace
}  // namespace scheduler

int main(int argc, char** argv) {
  using namespace scheduler;
  const char* server = std::getenv("SCHEDULER_TEST_POSTGRES_URL");
  if (!server) {
    std::puts("postgres_bench: no SCHEDULER_TEST_POSTGRES_URL, nothing measured");
    return 0;
  }
  const bool quick = argc > 1 && std::strcmp(argv[1], "--quick") == 0;
  const std::string schema = fmt::format("bench_{}", Steady::now().time_since_epoch().count());
  postgres::Database outside({.connection = {.url = server}, .connections_max = 1});
  must(run_async(outside.query("CREATE SCHEMA " + schema)));
  {
    const auto store = must(infrastructure::PostgresStore::open(
        {.connection = {.url = fmt::format("{}?options=-csearch_path%3D{}", server, schema)}, .connections_max = 4}));
    measure_all(*store, quick ? 10'000 : 50'000);
  }
  must(run_async(outside.query(fmt::format("DROP SCHEMA {} CASCADE", schema))));
}
