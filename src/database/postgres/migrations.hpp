// database/postgres/migrations.hpp — brings a PostgreSQL schema to what this program knows.
//
// Always true:
//   - everything lives in the connection's current schema (the first of its search_path), beside nothing of others;
//   - migrations are applied in the order of their versions, each in one transaction together with its row in
//     schema_migrations; processes that start at the same time wait for each other (an advisory lock);
//   - the connection is for this alone and is closed afterwards: it has no time limits any more;
//   - a schema that is newer than this program, or whose history differs from ours, is refused untouched.
#pragma once

#include "database/migration_history.hpp"
#include "database/postgres/connection.hpp"

#include <span>
#include <vector>

namespace scheduler::database::postgres {

using database::Migration;

// In order of version.
[[nodiscard]] std::span<const Migration> embedded_migrations();

// Applies what is missing; returns how many that were. Error: Config when the schema is newer or different; Database.
[[nodiscard]] Async<int> apply_migrations(Connection& connection, std::span<const Migration> known);

[[nodiscard]] Async<std::vector<MigrationStatus>> migration_status(Connection& connection,
                                                                   std::span<const Migration> known);

// Drops what the migrations made, with all that is in it: every table and function of the current schema. Refuses a
// schema that has tables and no schema_migrations: it is somebody else's.
[[nodiscard]] Async<void> reset_schema(Connection& connection);

}  // namespace scheduler::database::postgres
