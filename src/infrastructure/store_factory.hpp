// infrastructure/store_factory.hpp — settings in, store out.
#pragma once

#include "application/ports/schema_admin.hpp"
#include "application/ports/store.hpp"
#include "config/app_config.hpp"
#include "infrastructure/circuits.hpp"

#include <memory>
#include <string>

namespace scheduler::infrastructure {

// The file of "sqlite:PATH". Config for another kind of URL.
[[nodiscard]] SchedulerResult<std::string> sqlite_path(const std::string& database_url);

// The directory that holds it; "." for a plain file name.
[[nodiscard]] std::string directory_of(const std::string& path);

// Given back when it is destroyed.
class StoreClaim {
 public:
  virtual ~StoreClaim() = default;
};

class StoreFactory {
 public:
  // Opens the database and brings its schema up to date. SQLite tells the time of ports.clock; PostgreSQL its server's,
  // and comes behind a circuit breaker. Config, Unavailable or Database.
  [[nodiscard]] static SchedulerResult<std::unique_ptr<application::Store>> create(const config::AppConfig& settings,
                                                                                   CircuitPorts ports);

  // Before a dispatcher starts: where only one process may dispatch from the store, this is the one. So it is with a
  // SQLite file, and with the embedded queue, which no other process hears. Unavailable, and a sentence that says who
  // is there, when another one is.
  [[nodiscard]] static SchedulerResult<std::unique_ptr<StoreClaim>> claim(const config::AppConfig& settings);
};

// For OpenSchemaAdmin.
[[nodiscard]] SchedulerResult<std::unique_ptr<application::SchemaAdmin>> open_schema(const std::string& database_url);

}  // namespace scheduler::infrastructure
