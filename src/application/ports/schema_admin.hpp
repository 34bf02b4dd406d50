// application/ports/schema_admin.hpp — the store's schema, as an operator sees it.
//
// For command-line tools and the start of a program: calls block, and no loop may wait for them.
#pragma once

#include "core/time.hpp"
#include "errors/result.hpp"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scheduler::application {

struct MigrationStatus {
  int version = 0;  // 1, 2, …
  std::string name;
  std::optional<TimePoint> applied_at;  // nothing: not yet
};

class SchemaAdmin {
 public:
  virtual ~SchemaAdmin() = default;
  // Applies what is missing, in order; returns how many that were. Running again is harmless. Config when the stored
  // schema is newer than this program or differs from it; Database.
  virtual SchedulerResult<int> run() = 0;
  // In order of version.
  virtual SchedulerResult<std::vector<MigrationStatus>> status() = 0;
  // Drops every table with all that is in it.
  virtual SchedulerResult<void> reset() = 0;
};

// Opens the store that `database_url` names ("sqlite:PATH", "postgresql://…").
using OpenSchemaAdmin = std::function<SchedulerResult<std::unique_ptr<SchemaAdmin>>(const std::string& database_url)>;

}  // namespace scheduler::application
