// benches/graph_bench.cpp — a graph of 5,000 tasks: the cycle check alone, and as part of a write on each engine.
//
//   graph_bench       PostgreSQL where SCHEDULER_TEST_POSTGRES_URL names a server, in a schema of its own
//
// Every task runs after up to ten of the hundred before it, so that the last one has all others upstream. Worst of ten.
#include "bench_support.hpp"
#include "core/log.hpp"
#include "domain/dependencies.hpp"
#include "infrastructure/postgres/postgres_store.hpp"
#include "infrastructure/sqlite/sqlite_store.hpp"
#include "infrastructure/system_clock.hpp"
#include "support/postgres_schema.hpp"
#include "support/run_async.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <unistd.h>

namespace scheduler {
namespace {

using namespace application;
using testing_support::run_async;

constexpr std::int64_t kTasks = 5000;

template <class Work>
void measure(const std::string& what, std::string_view goal, Work work) {
  double worst = 0;
  for (int i = 0; i < 10; ++i) {
    const auto began = SteadyClock::now();
    work();
    worst = std::max(worst, seconds_since(began));
  }
  fmt::print("| {} | {:.1f} ms | {} |\n", what, worst * 1000, goal);
  std::fflush(stdout);
}

std::vector<TaskId> upstreams_of(std::int64_t task) {
  std::vector<TaskId> all;
  for (std::int64_t back = 1; back <= 91 && back < task; back += 10) all.push_back(TaskId{task - back});
  return all;
}

void measure_check() {
  domain::DependencyGraph graph;
  for (std::int64_t task = 1; task <= kTasks; ++task) graph[TaskId{task}] = upstreams_of(task);
  const auto find = [&](bool expected) {
    if (domain::find_cycle(graph, TaskId{kTasks}).has_value() != expected) std::abort();
  };
  measure("cycle check, 5,000 tasks, 50,000 edges: none", "200 ms", [&] { find(false); });
  graph[TaskId{1}] = {TaskId{kTasks}};
  measure("cycle check, 5,000 tasks: one through all", "200 ms", [&] { find(true); });
}

void measure_writes(const std::string& engine, Store& store) {
  std::vector<TaskId> ids;
  domain::Task last;
  for (std::int64_t task = 1; task <= kTasks; ++task) {
    domain::TaskSpec spec;
    spec.name = fmt::format("task {}", task);
    spec.task_type = "noop";
    for (const auto upstream : upstreams_of(task))
      spec.dependencies.push_back(ids[static_cast<std::size_t>(upstream.value - 1)]);
    last = must(run_async(store.tasks().create({.spec = spec})));
    ids.push_back(last.id);
  }
  // Something runs after it, so that its upstreams have to be looked at: all 4,998 of them.
  auto next_to_last = must(run_async(store.tasks().get(ids[ids.size() - 2])));
  measure(engine + ": write a task behind 5,000 others", "200 ms", [&] {
    std::ranges::reverse(next_to_last.spec.dependencies);
    next_to_last = must(run_async(store.tasks().update(next_to_last, {})));
  });
  auto first = must(run_async(store.tasks().get(ids.front())));
  first.spec.dependencies = {last.id};
  measure(engine + ": refuse a cycle through 5,000 tasks", "200 ms", [&] {
    const auto refused = run_async(store.tasks().update(first, {}));
    if (refused || refused.error().kind != ErrorKind::DependencyCycle) std::abort();
  });
}

void measure_sqlite() {
  char dir[] = "./bench.XXXXXX";  // on the disk of the work tree, not in memory
  const std::string path = ::mkdtemp(dir);
  {
    const infrastructure::SystemClock clock;
    const auto store = must(infrastructure::SqliteStore::open(clock, {.path = path + "/scheduler.db"}));
    measure_writes("SQLite", *store);
  }
  std::filesystem::remove_all(path);
}

void measure_postgres(const char* server) {
  const testing_support::PostgresSchema schema(server);
  const auto store =
      must(infrastructure::PostgresStore::open({.connection = {.url = schema.url()}, .connections_max = 2}));
  measure_writes("PostgreSQL", *store);
}

}  // namespace
}  // namespace scheduler

int main() {
  using namespace scheduler;
  measure_check();
  measure_sqlite();
  if (const char* server = std::getenv("SCHEDULER_TEST_POSTGRES_URL")) measure_postgres(server);
}
