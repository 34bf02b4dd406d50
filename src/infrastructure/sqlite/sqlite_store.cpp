#include "infrastructure/sqlite/sqlite_store.hpp"

#include "database/sqlite/migrations.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

using application::DispatchersSeen;
using application::StoreStats;
using database::sqlite::Connection;
using database::sqlite::Database;
using database::sqlite::Statement;
using domain::RunState;

constexpr Seconds kDispatcherKeptFor = std::chrono::days{1};

// Index counts only; the held ones are told apart by the state in the index.
SchedulerResult<StoreStats> stats_of(Connection& connection, TimePoint now) {
  StoreStats stats;
  auto tasks = connection.query(
      "SELECT count(*) FILTER (WHERE status = 'active'), count(*) FILTER (WHERE status = 'paused') FROM tasks"
      " WHERE archived_at IS NULL");
  CHECK(tasks.step());
  tasks.read(stats.tasks_active, stats.tasks_paused);
  for (const auto state : {RunState::waiting, RunState::pending, RunState::dispatched, RunState::running}) {
    const bool held = state == RunState::dispatched || state == RunState::running;
    const auto sql = fmt::format("SELECT count(*) FROM task_runs WHERE state = '{}'{}", name_of(state),
                                 held ? " AND state IN ('dispatched', 'running')" : "");
    TRY(const auto count, connection.query(sql).value<std::int64_t>());
    stats.active_runs[std::string(name_of(state))] = *count;
  }
  TRY(const auto oldest,
      connection.query("SELECT min(due_at) FROM task_runs WHERE state = 'pending' AND due_at <= ?", now)
          .value<std::optional<TimePoint>>());
  stats.oldest_due = *oldest;
  return stats;
}

}  // namespace

SchedulerResult<std::unique_ptr<SqliteStore>> SqliteStore::open(const Clock& clock, database::sqlite::Options options) {
  options.prepare = [&clock](Connection& connection) -> SchedulerResult<void> {
    CHECK(database::sqlite::apply_migrations(connection, database::sqlite::embedded_migrations(), clock.now()));
    return {};
  };
  TRY(auto database, Database::open(std::move(options)));
  return std::unique_ptr<SqliteStore>(new SqliteStore(clock, std::move(database)));
}

SqliteStore::SqliteStore(const Clock& clock, std::unique_ptr<Database> database)
    : clock_(clock),
      database_(std::move(database)),
      tasks_(clock, *database_),
      slots_(clock, *database_),
      dispatch_(clock, *database_),
      runs_(clock, *database_),
      logs_(*database_),
      workers_(clock, *database_),
      accounts_(clock, *database_) {}

Async<TimePoint> SqliteStore::now() { co_return clock_.now(); }

Async<StoreStats> SqliteStore::stats() {
  return database_->read([this](Connection& connection) { return stats_of(connection, clock_.now()); });
}

Async<void> SqliteStore::check_writable() {
  return database_->write([this](Connection& connection) -> SchedulerResult<void> {
    CHECK(connection.execute("INSERT OR REPLACE INTO write_checks (id, checked_at) VALUES (1, ?)", clock_.now()));
    return {};
  });
}

Async<void> SqliteStore::note_dispatcher(IncarnationId life, Seconds silence) {
  return database_->write([this, life, silence](Connection& connection) -> SchedulerResult<void> {
    const auto now = clock_.now();
    CHECK(connection.execute("INSERT OR REPLACE INTO dispatchers (life, seen_at, due) VALUES (?, ?, ?)", life, now,
                             now + silence));
    CHECK(connection.execute("DELETE FROM dispatchers WHERE due < ?", now - kDispatcherKeptFor));
    return {};
  });
}

Async<DispatchersSeen> SqliteStore::dispatchers() {
  return database_->read([this](Connection& connection) -> SchedulerResult<DispatchersSeen> {
    TRY(const auto seen,
        connection.query("SELECT count(*) FILTER (WHERE due > ?), max(seen_at) FROM dispatchers", clock_.now())
            .first([](Statement& row) {
              DispatchersSeen it;
              row.read(it.alive, it.last_seen);
              return it;
            }));
    return *seen;
  });
}

std::string SqliteStore::describe() const {
  return fmt::format("{}, {}", database::sqlite::engine_version(), database_->path());
}

}  // namespace scheduler::infrastructure
