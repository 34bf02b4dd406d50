// infrastructure/postgres/postgres_schema_admin.hpp — the schema of a PostgreSQL database, for operators.
#pragma once

#include "application/ports/schema_admin.hpp"

namespace scheduler::infrastructure {

// "postgresql://…". reset() refuses while another scheduler is connected. Config for another kind of URL; Database.
[[nodiscard]] SchedulerResult<std::unique_ptr<application::SchemaAdmin>> open_postgres_schema(
    const std::string& database_url);

}  // namespace scheduler::infrastructure
