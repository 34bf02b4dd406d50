// database/migration_history.hpp — what every engine asks of its migrations, whatever runs them.
//
// The files are migrations/<engine>/NNNN_verb_noun.sql, built into the library.
#pragma once

#include "core/time.hpp"
#include "errors/result.hpp"

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::database {

struct Migration {
  int version = 0;  // 1, 2, …
  std::string_view name;
  std::string_view sql;
};

struct MigrationStatus {
  int version = 0;
  std::string name;
  std::optional<TimePoint> applied_at;  // nothing: not yet
};

// A row of schema_migrations.
struct AppliedMigration {
  std::string name, checksum;
  TimePoint at{};
};
using MigrationHistory = std::map<int, AppliedMigration>;  // by version

// Tells an edited file, not an attacker.
[[nodiscard]] std::string checksum_of(std::string_view sql);

// Config when the database's schema is newer than what is known, or an applied migration has another content.
[[nodiscard]] SchedulerResult<void> check_history(const MigrationHistory& history, std::span<const Migration> known);

// Ours in order, after them those that only the database knows.
[[nodiscard]] std::vector<MigrationStatus> status_of(MigrationHistory history, std::span<const Migration> known);

}  // namespace scheduler::database
