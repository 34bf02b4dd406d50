#include "infrastructure/store_factory.hpp"

#include "infrastructure/instance_lock.hpp"
#include "infrastructure/postgres/postgres_claim.hpp"
#include "infrastructure/postgres/postgres_schema_admin.hpp"
#include "infrastructure/postgres/postgres_store.hpp"
#include "infrastructure/sqlite/sqlite_schema_admin.hpp"
#include "infrastructure/sqlite/sqlite_store.hpp"

#include <filesystem>
#include <system_error>

namespace scheduler::infrastructure {
namespace {

constexpr std::string_view kScheme = "sqlite:";

// What max_connections = 0 means. Most work waits for the disk, not for a connection.
constexpr std::size_t kSqliteReaders = 2, kPostgresConnections = 8;

std::size_t connections(const config::DatabaseConfig& settings, std::size_t otherwise) {
  return settings.max_connections == 0 ? otherwise : static_cast<std::size_t>(settings.max_connections);
}

SchedulerResult<std::unique_ptr<application::Store>> open_sqlite(const config::AppConfig& settings,
                                                                 const Clock& clock) {
  TRY(auto path, sqlite_path(config::store_url(settings)));
  std::error_code ec;  // a failure shows, with its reason, when the file is opened
  if (std::filesystem::create_directories(directory_of(path), ec))
    std::filesystem::permissions(directory_of(path), std::filesystem::perms::owner_all, ec);
  return SqliteStore::open(clock, {.path = std::move(path), .readers = connections(settings.database, kSqliteReaders)});
}

class FileClaim final : public StoreClaim {
 public:
  explicit FileClaim(InstanceLock lock) : lock_(std::move(lock)) {}

 private:
  InstanceLock lock_;
};

class NoClaim final : public StoreClaim {};

}  // namespace

SchedulerResult<std::string> sqlite_path(const std::string& database_url) {
  if (database_url.starts_with(kScheme)) return database_url.substr(kScheme.size());
  return fail(ErrorKind::Config, "the URL of the database is not known; there are sqlite:PATH and postgresql://…");
}

std::string directory_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

SchedulerResult<std::unique_ptr<application::Store>> StoreFactory::create(const config::AppConfig& settings,
                                                                          CircuitPorts ports) {
  const auto url = config::store_url(settings);
  if (!config::is_postgres(url)) return open_sqlite(settings, ports.clock);
  return PostgresStore::open({.connection = {.url = url},
                              .connections_max = connections(settings.database, kPostgresConnections),
                              .circuit = make_store_circuit(ports)});
}

// By the file and not by data_dir: two dispatchers over one file would take each other's work away.
SchedulerResult<std::unique_ptr<StoreClaim>> StoreFactory::claim(const config::AppConfig& settings) {
  const auto url = config::store_url(settings);
  if (config::is_postgres(url)) {
    if (settings.message_queue.type != "embedded") return std::make_unique<NoClaim>();
    return PostgresClaim::take(url);
  }
  TRY(const auto path, sqlite_path(url));
  TRY(auto lock, InstanceLock::take(directory_of(path)));
  return std::make_unique<FileClaim>(std::move(lock));
}

SchedulerResult<std::unique_ptr<application::SchemaAdmin>> open_schema(const std::string& database_url) {
  return config::is_postgres(database_url) ? open_postgres_schema(database_url) : open_sqlite_schema(database_url);
}

}  // namespace scheduler::infrastructure
