// infrastructure/sqlite/sqlite_worker_repository.hpp — workers and their incarnations.
#pragma once

#include "application/ports/worker_repository.hpp"
#include "core/clock.hpp"
#include "database/sqlite/database.hpp"

namespace scheduler::infrastructure {

class SqliteWorkerRepository final : public application::WorkerRepository {
 public:
  SqliteWorkerRepository(const Clock& clock, database::sqlite::Database& database)
      : clock_(clock), database_(database) {}

  Async<application::HeartbeatReply> heartbeat(application::WorkerHeartbeat beat, Seconds timeout) override;
  Async<std::vector<domain::WorkerInfo>> expire() override;
  Async<void> extend_deadlines(Seconds timeout) override;
  Async<std::vector<domain::WorkerInfo>> list() override;
  Async<domain::WorkerInfo> get(WorkerId id) override;
  Async<domain::WorkerInfo> set_draining(WorkerId id, bool draining) override;

 private:
  const Clock& clock_;
  database::sqlite::Database& database_;
};

}  // namespace scheduler::infrastructure
