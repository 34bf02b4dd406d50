#include "database/sqlite/migrations.hpp"

#include <fmt/format.h>

namespace scheduler::database::sqlite {
namespace {

using History = MigrationHistory;

SchedulerResult<History> history_of(Connection& connection) {
  History history;
  TRY(const auto exists,
      connection.query("SELECT 1 FROM sqlite_schema WHERE type = 'table' AND name = 'schema_migrations'").value<int>());
  if (!exists) return history;
  auto rows = connection.query("SELECT version, name, checksum, applied_at FROM schema_migrations");
  for (;;) {
    TRY(const bool found, rows.step());
    if (!found) return history;
    int version = 0;
    AppliedMigration applied;
    rows.read(version, applied.name, applied.checksum, applied.at);
    history.emplace(version, std::move(applied));
  }
}

constexpr auto kCreateHistory =
    "CREATE TABLE IF NOT EXISTS schema_migrations (version INTEGER PRIMARY KEY, name TEXT NOT NULL,"
    " checksum TEXT NOT NULL, applied_at INTEGER NOT NULL) STRICT";

// False: it was there already. Looks at the history again, because another process may have been faster.
SchedulerResult<bool> apply(Connection& connection, const Migration& migration, std::span<const Migration> known,
                            TimePoint now) {
  TRY(auto transaction, Transaction::begin(connection, Transaction::Kind::write));
  TRY(const auto history, history_of(connection));
  CHECK(check_history(history, known));
  if (history.contains(migration.version)) return false;
  CHECK(connection.execute_script(kCreateHistory));
  if (const auto done = connection.execute_script(std::string(migration.sql)); !done)
    return fail(ErrorKind::Database,
                fmt::format("migration {:04}_{}: {}", migration.version, migration.name, done.error().message));
  CHECK(connection.execute("INSERT INTO schema_migrations VALUES (?, ?, ?, ?)", migration.version, migration.name,
                           checksum_of(migration.sql), now));
  CHECK(transaction.commit());
  return true;
}

// Tables in an order that no foreign key forbids: reset_database() has switched those off.
SchedulerResult<void> drop_tables(Connection& connection) {
  TRY(auto transaction, Transaction::begin(connection, Transaction::Kind::write));
  TRY(const auto tables, connection
                             .query("SELECT format('\"%w\"', name) FROM sqlite_schema WHERE type = 'table'"
                                    " AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'")
                             .values<std::string>());
  for (const auto& table : tables) CHECK(connection.execute_script("DROP TABLE " + table));
  return transaction.commit();
}

}  // namespace

SchedulerResult<int> apply_migrations(Connection& connection, std::span<const Migration> known, TimePoint now) {
  TRY(const auto history, history_of(connection));
  CHECK(check_history(history, known));
  int applied = 0;
  for (const auto& migration : known) {
    if (history.contains(migration.version)) continue;
    TRY(const bool done, apply(connection, migration, known, now));
    applied += done;
  }
  return applied;
}

SchedulerResult<std::vector<MigrationStatus>> migration_status(Connection& connection,
                                                               std::span<const Migration> known) {
  TRY(auto history, history_of(connection));
  return status_of(std::move(history), known);
}

SchedulerResult<void> reset_database(Connection& connection) {
  CHECK(connection.execute_script("PRAGMA foreign_keys = OFF"));
  const auto dropped = drop_tables(connection);
  CHECK(connection.execute_script("PRAGMA foreign_keys = ON"));
  return dropped;
}

}  // namespace scheduler::database::sqlite
