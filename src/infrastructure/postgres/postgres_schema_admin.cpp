#include "infrastructure/postgres/postgres_schema_admin.hpp"

#include "database/postgres/migrations.hpp"
#include "infrastructure/postgres/blocking.hpp"
#include "infrastructure/postgres/rows.hpp"
#include "infrastructure/postgres/schema_use.hpp"

namespace scheduler::infrastructure {
namespace {

using application::MigrationStatus;
using database::postgres::Connection;
using database::postgres::embedded_migrations;
using postgres::blocking;

Async<int> run_on(std::string url) {
  CO_TRY(const auto connection, Connection::open({.url = std::move(url)}));
  co_return co_await database::postgres::apply_migrations(*connection, embedded_migrations());
}

Async<std::vector<MigrationStatus>> status_on(std::string url) {
  CO_TRY(const auto connection, Connection::open({.url = std::move(url)}));
  CO_TRY(const auto known, database::postgres::migration_status(*connection, embedded_migrations()));
  std::vector<MigrationStatus> all;
  for (const auto& it : known) all.push_back({it.version, it.name, it.applied_at});
  co_return all;
}

Async<void> reset_on(std::string url) {
  CO_TRY(const auto connection, Connection::open({.url = std::move(url)}));
  CO_TRY(auto rows, connection->query(postgres::kTryUseSchemaAlone));
  CO_UNWRAP(const auto alone, rows.value<bool>());
  if (!*alone)
    co_return fail(ErrorKind::Conflict, "a scheduler is connected to the database: stop it first, then reset");
  co_return co_await database::postgres::reset_schema(*connection);
}

class PostgresSchemaAdmin final : public application::SchemaAdmin {
 public:
  explicit PostgresSchemaAdmin(std::string url) : url_(std::move(url)) {}

  SchedulerResult<int> run() override { return blocking(run_on(url_)); }
  SchedulerResult<std::vector<MigrationStatus>> status() override { return blocking(status_on(url_)); }
  SchedulerResult<void> reset() override { return blocking(reset_on(url_)); }

 private:
  std::string url_;
};

}  // namespace

SchedulerResult<std::unique_ptr<application::SchemaAdmin>> open_postgres_schema(const std::string& database_url) {
  return std::make_unique<PostgresSchemaAdmin>(database_url);
}

}  // namespace scheduler::infrastructure
