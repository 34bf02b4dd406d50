#include "infrastructure/store_factory.hpp"

#include "infrastructure/sqlite/sqlite_store.hpp"

#include <fmt/format.h>

#include <filesystem>
#include <system_error>

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

std::string directory_of(const std::string& path) {
  const auto parent = std::filesystem::path(path).parent_path().string();
  return parent.empty() ? "." : parent;
}

SchedulerResult<std::unique_ptr<application::Store>> StoreFactory::create(const config::DatabaseConfig& settings,
                                                                          const std::string& data_dir,
                                                                          const Clock& clock) {
  TRY(auto path, sqlite_path(settings, data_dir));
  std::error_code ec;  // a failure shows, with its reason, when the file is opened
  if (std::filesystem::create_directories(directory_of(path), ec))
    std::filesystem::permissions(directory_of(path), std::filesystem::perms::owner_all, ec);
  return SqliteStore::open(clock,
                           {.path = std::move(path), .readers = static_cast<std::size_t>(settings.max_connections)});
}

}  // namespace scheduler::infrastructure
