// infrastructure/postgres/postgres_store.hpp — the store over a PostgreSQL database, shared by many processes.
//
// Opening brings the schema up to date (whoever comes first; the others wait) and refuses a server whose limit of
// connections is smaller than what we and those already there may need. Instants are the server's, unless a test brings
// a clock of its own.
#pragma once

#include "application/ports/store.hpp"
#include "database/postgres/database.hpp"
#include "infrastructure/postgres/postgres_account_store.hpp"
#include "infrastructure/postgres/postgres_dispatch_repository.hpp"
#include "infrastructure/postgres/postgres_run_repository.hpp"
#include "infrastructure/postgres/postgres_slot_repository.hpp"
#include "infrastructure/postgres/postgres_task_repository.hpp"
#include "infrastructure/postgres/postgres_worker_repository.hpp"

#include <memory>
#include <string>

namespace scheduler::infrastructure {

class PostgresStore final : public application::Store {
 public:
  // Blocks: for the start of a program. `clock`, when given, decides all instants and outlives the store.
  [[nodiscard]] static SchedulerResult<std::unique_ptr<PostgresStore>> open(database::postgres::Options options,
                                                                            const Clock* clock = nullptr);

  application::TaskRepository& tasks() override { return tasks_; }
  application::SlotRepository& slots() override { return slots_; }
  application::DispatchRepository& dispatch() override { return dispatch_; }
  application::RunRepository& runs() override { return runs_; }
  application::RunLogRepository& logs() override { return logs_; }
  application::WorkerRepository& workers() override { return workers_; }
  application::AccountStore& accounts() override { return accounts_; }

  Async<TimePoint> now() override;
  Async<application::StoreStats> stats() override;
  Async<void> check_writable() override;
  Async<void> note_dispatcher(IncarnationId life, Seconds silence) override;
  Async<application::DispatchersSeen> dispatchers() override;
  [[nodiscard]] std::optional<Circuit::Report> circuit() const override;
  [[nodiscard]] std::string describe() const override;

  // For checks that look behind the ports.
  [[nodiscard]] database::postgres::Database& database() { return database_; }

 private:
  PostgresStore(database::postgres::Options options, std::string engine, const Clock* clock);

  StoreClock clock_;
  std::string engine_;  // "PostgreSQL 15.4"
  database::postgres::Database database_;
  PostgresTaskRepository tasks_;
  PostgresSlotRepository slots_;
  PostgresDispatchRepository dispatch_;
  PostgresRunRepository runs_;
  PostgresRunLogRepository logs_;
  PostgresWorkerRepository workers_;
  PostgresAccountStore accounts_;
};

}  // namespace scheduler::infrastructure
