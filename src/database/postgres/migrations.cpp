#include "database/postgres/migrations.hpp"

#include <fmt/format.h>

namespace scheduler::database::postgres {
namespace {

// An index over a large table takes its time.
constexpr Millis kPatience = std::chrono::minutes{30};

// One number for all schedulers of a database: two that migrate different schemas wait for each other without need.
constexpr std::int64_t kLock = 0x7363686564756c65;  // "schedule"

Async<MigrationHistory> history_of(Connection& connection) {
  MigrationHistory history;
  CO_TRY(auto exists, connection.query("SELECT 1 FROM pg_tables WHERE schemaname = current_schema()"
                                       " AND tablename = 'schema_migrations'"));
  if (exists.size() == 0) co_return history;
  CO_TRY(auto rows, connection.query("SELECT version, name, checksum, applied_at FROM schema_migrations"));
  const auto read = rows.all([&history](Row& row) {
    int version = 0;
    AppliedMigration applied;
    row.read(version, applied.name, applied.checksum, applied.at);
    return history.emplace(version, std::move(applied)).second;
  });
  if (!read) co_return std::unexpected(read.error());
  co_return history;
}

// A text in SQL: our own constants, which hold no backslash.
std::string quoted(std::string_view text) {
  std::string quoted = "'";
  for (const char c : text) quoted += c == '\'' ? std::string("''") : std::string(1, c);
  return quoted + "'";
}

Async<void> apply(Connection& connection, const Migration& migration) {
  const auto script = fmt::format(
      "BEGIN; SET LOCAL statement_timeout = 0;"
      " CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
      " checksum TEXT NOT NULL, applied_at TIMESTAMPTZ NOT NULL);\n{}\n;"
      "INSERT INTO schema_migrations VALUES ({}, {}, {}, now()); COMMIT",
      migration.sql, migration.version, quoted(migration.name), quoted(checksum_of(migration.sql)));
  const auto done = co_await connection.execute_script(script, kPatience);
  if (done) co_return SchedulerResult<void>{};
  connection.abandon_transaction();
  co_return fail(done.error().kind,
                 fmt::format("migration {:04}_{}: {}", migration.version, migration.name, done.error().message));
}

Async<int> apply_missing(Connection& connection, std::span<const Migration> known) {
  CO_TRY(const auto history, history_of(connection));
  CO_ENSURE(check_history(history, known));
  int applied = 0;
  for (const auto& migration : known) {
    if (history.contains(migration.version)) continue;
    CO_CHECK(apply(connection, migration));
    ++applied;
  }
  co_return applied;
}

}  // namespace

Async<int> apply_migrations(Connection& connection, std::span<const Migration> known) {
  CO_TRY(const auto schema, connection.query("SELECT 1 WHERE current_schema() IS NOT NULL"));
  if (schema.size() == 0)
    co_return fail(ErrorKind::Config, "the database has no schema to work in: create the first one of its search_path");
  CO_CHECK(connection.execute_script(fmt::format("SET statement_timeout = 0; SELECT pg_advisory_lock({})", kLock),
                                     kPatience));
  auto applied = co_await apply_missing(connection, known);
  if (!applied) co_return applied;  // closing the connection gives the lock back
  CO_CHECK(connection.execute_script(fmt::format("SELECT pg_advisory_unlock({})", kLock), kPatience));
  co_return applied;
}

Async<std::vector<MigrationStatus>> migration_status(Connection& connection, std::span<const Migration> known) {
  CO_TRY(auto history, history_of(connection));
  co_return status_of(std::move(history), known);
}

Async<void> reset_schema(Connection& connection) {
  CO_TRY(auto tables, connection.query("SELECT tablename::text FROM pg_tables WHERE schemaname = current_schema()"));
  CO_UNWRAP(const auto names, tables.values<std::string>());
  if (names.empty()) co_return SchedulerResult<void>{};
  if (std::ranges::find(names, "schema_migrations") == names.end())
    co_return fail(ErrorKind::Config,
                   "the schema holds tables and no schema_migrations: it is not a scheduler's, and stays as it is");
  CO_TRY(auto drops, connection.query("SELECT format('DROP TABLE %I.%I CASCADE', schemaname, tablename) FROM pg_tables"
                                      " WHERE schemaname = current_schema() UNION ALL"
                                      " SELECT format('DROP FUNCTION %s CASCADE', p.oid::regprocedure) FROM pg_proc p"
                                      " WHERE p.pronamespace = current_schema()::regnamespace AND p.prokind = 'f'"));
  CO_UNWRAP(const auto statements, drops.values<std::string>());
  co_return co_await connection.execute_script(fmt::format("BEGIN; {}; COMMIT", fmt::join(statements, "; ")),
                                               kPatience);
}

}  // namespace scheduler::database::postgres
