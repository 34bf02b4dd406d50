#include "infrastructure/postgres/postgres_store.hpp"

#include "database/postgres/migrations.hpp"
#include "infrastructure/postgres/blocking.hpp"
#include "infrastructure/postgres/rows.hpp"
#include "infrastructure/postgres/schema_use.hpp"

#include <fmt/format.h>

#include <unistd.h>

namespace scheduler::infrastructure {
namespace {

using application::DispatchersSeen;
using application::StoreStats;
using database::postgres::Access;
using database::postgres::Connection;
using database::postgres::Options;
using domain::RunState;
using postgres::instant_of;
using postgres::Row;

constexpr int kOldestServer = 140'000;
constexpr Seconds kDispatcherKeptFor = std::chrono::days{1};

// What the server takes, and what others may come to need of it. Each scheduler says in its application_name who it is
// and how large its pool may grow, because it opens connections only as it needs them; all else counts as it is.
constexpr auto kRoom =
    "SELECT current_setting('max_connections')::bigint - current_setting('superuser_reserved_connections')::bigint,"
    " (SELECT count(*) FROM pg_stat_activity WHERE coalesce(backend_type, 'client backend') = 'client backend'"
    " AND pid <> pg_backend_pid() AND coalesce(application_name, '') NOT LIKE 'scheduler % pool %') + (SELECT"
    " coalesce(sum(substring(application_name FROM 'pool ([0-9]+)$')::bigint), 0)::bigint"
    " FROM (SELECT DISTINCT application_name FROM pg_stat_activity WHERE application_name LIKE 'scheduler % pool %'"
    " AND pid <> pg_backend_pid()) schedulers)";

// "scheduler 4711@host-1 pool 8"
std::string application_name(std::size_t connections_max) {
  char host[25] = {};  // the server keeps 63 bytes
  if (::gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
  return fmt::format("scheduler {}@{} pool {}", ::getpid(), host, connections_max);
}

// Every statement is written for an index. What the server knows about a table may be minutes old, and plans are kept:
// one that read a whole table while it was small goes on doing so when a burst has filled it.
constexpr std::string_view kPlanning =
    "SET enable_seqscan = off; SET enable_bitmapscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;";

Async<void> check_room(Connection& connection, std::size_t wanted) {
  CO_TRY(auto rows, connection.query(kRoom));
  CO_UNWRAP(const auto room, rows.first([](Row& row) {
    std::pair<std::int64_t, std::int64_t> it;
    row.read(it.first, it.second);
    return it;
  }));
  const auto [limit, taken] = *room;
  if (taken + static_cast<std::int64_t>(wanted) <= limit) co_return SchedulerResult<void>{};
  co_return fail(ErrorKind::Config,
                 fmt::format("the PostgreSQL server takes {} connections, others may need {} of them, and "
                             "database.max_connections asks for {} more; lower database.max_connections, or raise "
                             "max_connections of the server",
                             limit, taken, wanted));
}

// Returns "PostgreSQL 15.4".
Async<std::string> prepare(Options options) {
  CO_TRY(const auto connection, Connection::open(options.connection));
  const int version = connection->server_version();
  if (version < kOldestServer)
    co_return fail(ErrorKind::Config,
                   fmt::format("the server runs PostgreSQL {}; this program needs 14 or newer", version / 10'000));
  CO_CHECK(check_room(*connection, options.connections_max));
  CO_CHECK(database::postgres::apply_migrations(*connection, database::postgres::embedded_migrations()));
  co_return fmt::format("PostgreSQL {}.{}", version / 10'000, version % 10'000);
}

}  // namespace

SchedulerResult<std::unique_ptr<PostgresStore>> PostgresStore::open(Options options, const Clock* clock) {
  options.connection.application_name = application_name(options.connections_max);
  options.connection.session_script = fmt::format("{} {}", kPlanning, postgres::kUseSchema);
  TRY(auto engine, postgres::blocking(prepare(options)));
  return std::unique_ptr<PostgresStore>(new PostgresStore(std::move(options), std::move(engine), clock));
}

PostgresStore::PostgresStore(Options options, std::string engine, const Clock* clock)
    : clock_(clock),
      engine_(std::move(engine)),
      database_(std::move(options)),
      tasks_(clock_, database_),
      slots_(clock_, database_),
      dispatch_(clock_, database_),
      runs_(clock_, database_),
      logs_(database_),
      workers_(clock_, database_),
      accounts_(clock_, database_) {}

Async<TimePoint> PostgresStore::now() {
  CO_TRY(auto rows, database_.query(kSelectNow, clock_.own()));
  co_return instant_of(rows);
}

// Index counts only.
Async<StoreStats> PostgresStore::stats() {
  CO_TRY(auto tx, database_.begin(Access::read));
  tx.send(
      "SELECT count(*) FILTER (WHERE status = 'active'), count(*) FILTER (WHERE status = 'paused') FROM tasks"
      " WHERE archived_at IS NULL");
  tx.send("SELECT state, count(*) FROM task_runs WHERE ended_at IS NULL GROUP BY state");
  tx.send("SELECT min(due_at) FROM task_runs WHERE state = 'pending' AND due_at <= " SCHEDULER_NOW, clock_.own());
  CO_TRY(auto results, tx.finish());
  StoreStats stats;
  CO_UNWRAP(const auto tasks,
            results[0].all([&stats](Row& row) { return row.read(stats.tasks_active, stats.tasks_paused); }));
  for (const auto state : {RunState::waiting, RunState::pending, RunState::dispatched, RunState::running})
    stats.active_runs[std::string(name_of(state))] = 0;
  CO_UNWRAP(const auto counts, results[1].all([&stats](Row& row) {
    std::string state;
    std::int64_t count = 0;
    row.read(state, count);
    return stats.active_runs[state] = count;
  }));
  CO_UNWRAP(const auto oldest, results[2].value<std::optional<TimePoint>>());
  stats.oldest_due = *oldest;
  co_return stats;
}

Async<void> PostgresStore::check_writable() {
  CO_TRY(const auto rows, database_.query("INSERT INTO write_checks (id, checked_at) VALUES (1, " SCHEDULER_NOW
                                          ") ON CONFLICT (id) DO UPDATE SET checked_at = excluded.checked_at",
                                          clock_.own()));
  co_return SchedulerResult<void>{};
}

Async<void> PostgresStore::note_dispatcher(IncarnationId life, Seconds silence) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send(
      "INSERT INTO dispatchers (life, seen_at, due) VALUES ($2, " SCHEDULER_NOW ", " SCHEDULER_NOW
      " + $3 * interval '1 second') ON CONFLICT (life) DO UPDATE SET seen_at = excluded.seen_at, due = excluded.due",
      clock_.own(), life, silence);
  tx.send("DELETE FROM dispatchers WHERE due < " SCHEDULER_NOW " - $2 * interval '1 second'", clock_.own(),
          kDispatcherKeptFor);
  co_return co_await tx.commit();
}

Async<DispatchersSeen> PostgresStore::dispatchers() {
  CO_TRY(auto rows,
         database_.query("SELECT count(*) FILTER (WHERE due > " SCHEDULER_NOW "), max(seen_at) FROM dispatchers",
                         clock_.own()));
  CO_UNWRAP(const auto seen, rows.first([](Row& row) {
    std::int64_t alive = 0;
    DispatchersSeen it;
    row.read(alive, it.last_seen);
    it.alive = static_cast<int>(alive);
    return it;
  }));
  co_return *seen;
}

std::optional<Circuit::Report> PostgresStore::circuit() const {
  const auto& circuit = database_.options().circuit;
  return circuit ? std::optional(circuit->report()) : std::nullopt;
}

std::string PostgresStore::describe() const {
  return fmt::format("{}, {}", engine_, database::postgres::place_of(database_.options().connection.url));
}

}  // namespace scheduler::infrastructure
