// infrastructure/postgres/postgres_worker_repository.hpp — workers and their incarnations.
#pragma once

#include "application/ports/worker_repository.hpp"
#include "database/postgres/database.hpp"
#include "infrastructure/postgres/store_clock.hpp"

namespace scheduler::infrastructure {

class PostgresWorkerRepository final : public application::WorkerRepository {
 public:
  PostgresWorkerRepository(StoreClock clock, database::postgres::Database& database)
      : clock_(clock), database_(database) {}

  Async<application::HeartbeatReply> heartbeat(application::WorkerHeartbeat beat, Seconds timeout) override;
  Async<std::vector<domain::WorkerInfo>> expire() override;
  Async<void> extend_deadlines(Seconds timeout) override;
  Async<std::vector<domain::WorkerInfo>> list() override;
  Async<domain::WorkerInfo> get(WorkerId id) override;
  Async<domain::WorkerInfo> set_draining(WorkerId id, bool draining) override;

 private:
  StoreClock clock_;
  database::postgres::Database& database_;
};

}  // namespace scheduler::infrastructure
