#include "database/migration_history.hpp"

#include <fmt/format.h>

namespace scheduler::database {

// FNV-1a, 64 bits.
std::string checksum_of(std::string_view sql) {
  std::uint64_t hash = 0xcbf29ce484222325u;
  for (const char c : sql) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return fmt::format("{:016x}", hash);
}

SchedulerResult<void> check_history(const MigrationHistory& history, std::span<const Migration> known) {
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

std::vector<MigrationStatus> status_of(MigrationHistory history, std::span<const Migration> known) {
  std::vector<MigrationStatus> status;
  for (const auto& migration : known) {
    const auto applied = history.extract(migration.version);
    status.push_back({migration.version, std::string(migration.name),
                      applied.empty() ? std::nullopt : std::optional(applied.mapped().at)});
  }
  for (const auto& [version, applied] : history) status.push_back({version, applied.name, applied.at});
  return status;
}

}  // namespace scheduler::database
