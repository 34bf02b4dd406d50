#include "database/sqlite/migrations.hpp"

#include <fmt/format.h>

#include <map>

namespace scheduler::database::sqlite {
namespace {

struct Applied {
  std::string name, checksum;
  TimePoint at{};
};
using History = std::map<int, Applied>;

// FNV-1a, 64 bits: tells an edited file, not an attacker.
std::string checksum_of(std::string_view sql) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : sql) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("{:016x}", hash);
}

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
    Applied applied;
    rows.read(version, applied.name, applied.checksum, applied.at);
    history.emplace(version, std::move(applied));
  }
}

SchedulerResult<void> check_history(const History& history, std::span<const Migration> known) {
  const int newest = known.empty() ? 0 : known.back().version;
  if (!history.empty() && history.rbegin()->first > newest)
    return fail(ErrorKind::Config, fmt::format("the database has schema version {} and this program knows only {}; use "
                                               "the newer program, or a copy of the database from before the upgrade",
                                               history.rbegin()->first, newest));
  for (const auto& migration : known) {
    const auto applied = history.find(migration.version);
    if (applied != history.end() && applied->second.checksum != checksum_of(migration.sql))
      return fail(ErrorKind::Config,
                  fmt::format("migration {:04}_{} was applied to the database with another content than this program "
                              "has; an applied migration must never be edited: use the program that applied it, or add "
                              "a new migration",
                              migration.version, migration.name));
  }
  return {};
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
  std::vector<MigrationStatus> status;
  for (const auto& migration : known) {
    const auto applied = history.extract(migration.version);
    status.push_back({migration.version, std::string(migration.name),
                      applied.empty() ? std::nullopt : std::optional(applied.mapped().at)});
  }
  for (const auto& [version, applied] : history) status.push_back({version, applied.name, applied.at});
  return status;
}

SchedulerResult<void> reset_database(Connection& connection) {
  CHECK(connection.execute_script("PRAGMA foreign_keys = OFF"));
  const auto dropped = drop_tables(connection);
  CHECK(connection.execute_script("PRAGMA foreign_keys = ON"));
  return dropped;
}

}  // namespace scheduler::database::sqlite
