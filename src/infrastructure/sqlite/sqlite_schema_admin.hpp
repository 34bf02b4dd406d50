// infrastructure/sqlite/sqlite_schema_admin.hpp — the schema of a SQLite file, for operators.
#pragma once

#include "application/ports/schema_admin.hpp"

namespace scheduler::infrastructure {

// "sqlite:PATH". status() makes no file; run() makes file and directory; reset() refuses while a scheduler runs there.
// Config for another kind of URL; Database.
[[nodiscard]] SchedulerResult<std::unique_ptr<application::SchemaAdmin>> open_sqlite_schema(
    const std::string& database_url);

}  // namespace scheduler::infrastructure
