#include "infrastructure/sqlite/sqlite_schema_admin.hpp"

#include "database/sqlite/migrations.hpp"
#include "infrastructure/instance_lock.hpp"
#include "infrastructure/store_factory.hpp"
#include "infrastructure/system_clock.hpp"

#include <filesystem>

namespace scheduler::infrastructure {
namespace {

using database::sqlite::Connection;
using database::sqlite::embedded_migrations;

class SqliteSchemaAdmin final : public application::SchemaAdmin {
 public:
  explicit SqliteSchemaAdmin(std::string path) : path_(std::move(path)) {}

  SchedulerResult<int> run() override {
    std::error_code ec;
    std::filesystem::create_directories(directory_of(path_),
                                        ec);  // a failure shows, with its reason, when the file is opened
    TRY(const auto connection, Connection::open(path_, Connection::Access::read_write));
    return database::sqlite::apply_migrations(*connection, embedded_migrations(), SystemClock().now());
  }

  SchedulerResult<std::vector<application::MigrationStatus>> status() override {
    std::vector<application::MigrationStatus> all;
    if (!std::filesystem::exists(path_)) {
      for (const auto& it : embedded_migrations()) all.push_back({it.version, std::string(it.name), std::nullopt});
      return all;
    }
    TRY(const auto connection, Connection::open(path_, Connection::Access::read_only));
    TRY(const auto known, database::sqlite::migration_status(*connection, embedded_migrations()));
    for (const auto& it : known) all.push_back({it.version, it.name, it.applied_at});
    return all;
  }

  SchedulerResult<void> reset() override {
    TRY(const auto lock, InstanceLock::take(directory_of(path_)));  // nobody works on it meanwhile
    TRY(const auto connection, Connection::open(path_, Connection::Access::read_write));
    return database::sqlite::reset_database(*connection);
  }

 private:
  std::string path_;
};

}  // namespace

SchedulerResult<std::unique_ptr<application::SchemaAdmin>> open_sqlite_schema(const std::string& database_url) {
  TRY(auto path, sqlite_path(database_url));
  return std::make_unique<SqliteSchemaAdmin>(std::move(path));
}

}  // namespace scheduler::infrastructure
