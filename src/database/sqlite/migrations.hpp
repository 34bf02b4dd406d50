// database/sqlite/migrations.hpp — brings a database file to the schema this program knows.
//
// Always true:
//   - migrations are applied in the order of their versions, each in one transaction together with its row in
//     schema_migrations; applying again changes nothing, and two processes may try at the same time;
//   - a file whose schema is newer than this program, or whose history differs from ours, is refused untouched.
// The files are migrations/sqlite/NNNN_verb_noun.sql, built into the library.
#pragma once

#include "core/time.hpp"
#include "database/migration_history.hpp"
#include "database/sqlite/connection.hpp"

#include <span>
#include <vector>

namespace scheduler::database::sqlite {

// In order of version.
[[nodiscard]] std::span<const Migration> embedded_migrations();

// Applies what is missing; returns how many that were. Not inside a transaction. Error: Config when the file's schema
// is newer or different; Database.
[[nodiscard]] SchedulerResult<int> apply_migrations(Connection& connection, std::span<const Migration> known,
                                                    TimePoint now);

// Ours in order, after them those that only the file knows.
[[nodiscard]] SchedulerResult<std::vector<MigrationStatus>> migration_status(Connection& connection,
                                                                             std::span<const Migration> known);

// Drops every table with all that is in it. Not inside a transaction.
[[nodiscard]] SchedulerResult<void> reset_database(Connection& connection);

}  // namespace scheduler::database::sqlite
