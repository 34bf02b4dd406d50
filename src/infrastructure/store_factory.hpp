// infrastructure/store_factory.hpp — settings in, store out.
#pragma once

#include "application/ports/store.hpp"
#include "config/app_config.hpp"
#include "core/clock.hpp"

#include <memory>
#include <string>

namespace scheduler::infrastructure {

// The database file of these settings: database.url, or scheduler.db in data_dir.
[[nodiscard]] SchedulerResult<std::string> sqlite_path(const config::DatabaseConfig& settings,
                                                       const std::string& data_dir);

// The directory that holds it; "." for a plain file name.
[[nodiscard]] std::string directory_of(const std::string& path);

class StoreFactory {
 public:
  // Opens the database and brings its schema up to date; `clock` outlives the store. Config or Database.
  [[nodiscard]] static SchedulerResult<std::unique_ptr<application::Store>> create(
      const config::DatabaseConfig& settings, const std::string& data_dir, const Clock& clock);
};

}  // namespace scheduler::infrastructure
