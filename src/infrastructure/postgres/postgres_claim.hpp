// infrastructure/postgres/postgres_claim.hpp — the one process that may dispatch from a PostgreSQL schema, where its
// queue lives in its own memory.
#pragma once

#include "database/postgres/connection.hpp"
#include "infrastructure/store_factory.hpp"

namespace scheduler::infrastructure {

// A lock that the server holds for one connection, which serves nothing else: it goes when the process goes. A server
// that restarts forgets it; two processes would have to start within that second to miss each other.
class PostgresClaim final : public StoreClaim {
 public:
  // Waits a little for a process that has just been killed. Unavailable when another one holds it.
  [[nodiscard]] static SchedulerResult<std::unique_ptr<StoreClaim>> take(const std::string& url);

 private:
  explicit PostgresClaim(std::unique_ptr<database::postgres::Connection> connection)
      : connection_(std::move(connection)) {}
  std::unique_ptr<database::postgres::Connection> connection_;
};

}  // namespace scheduler::infrastructure
