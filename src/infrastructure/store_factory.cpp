#include "infrastructure/store_factory.hpp"

#include "infrastructure/sqlite/sqlite_store.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

constexpr std::string_view kScheme = "sqlite:";

}  // namespace

SchedulerResult<std::string> sqlite_path(const config::DatabaseConfig& settings, const std::string& data_dir) {
  if (settings.url.empty()) return data_dir + "/scheduler.db";
  if (settings.url.starts_with(kScheme)) return settings.url.substr(kScheme.size());
  return fail(ErrorKind::Config,
              fmt::format("database.url '{}' is not known; this version has sqlite:PATH", settings.url));
}

SchedulerResult<std::unique_ptr<application::Store>> StoreFactory::create(const config::DatabaseConfig& settings,
                                                                          const std::string& data_dir,
                                                                          const Clock& clock) {
  TRY(auto path, sqlite_path(settings, data_dir));
  return SqliteStore::open(clock,
                           {.path = std::move(path), .readers = static_cast<std::size_t>(settings.max_connections)});
}

}  // namespace scheduler::infrastructure
