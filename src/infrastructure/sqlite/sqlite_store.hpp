// infrastructure/sqlite/sqlite_store.hpp — the store over one SQLite file (or memory, for tests and simulations).
//
// Opening brings the file's schema up to date. `clock` decides all instants of the store; it is asked on the database's
// threads, so its now() is thread-safe, and it outlives the store.
#pragma once

#include "application/ports/store.hpp"
#include "core/clock.hpp"
#include "database/sqlite/database.hpp"
#include "infrastructure/sqlite/sqlite_account_store.hpp"
#include "infrastructure/sqlite/sqlite_dispatch_repository.hpp"
#include "infrastructure/sqlite/sqlite_run_repository.hpp"
#include "infrastructure/sqlite/sqlite_slot_repository.hpp"
#include "infrastructure/sqlite/sqlite_task_repository.hpp"
#include "infrastructure/sqlite/sqlite_worker_repository.hpp"

#include <memory>

namespace scheduler::infrastructure {

class SqliteStore final : public application::Store {
 public:
  [[nodiscard]] static SchedulerResult<std::unique_ptr<SqliteStore>> open(const Clock& clock,
                                                                          database::sqlite::Options options);

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
  [[nodiscard]] std::string describe() const override;

  // For checks that look behind the ports.
  [[nodiscard]] database::sqlite::Database& database() { return *database_; }

 private:
  SqliteStore(const Clock& clock, std::unique_ptr<database::sqlite::Database> database);

  const Clock& clock_;
  std::unique_ptr<database::sqlite::Database> database_;
  SqliteTaskRepository tasks_;
  SqliteSlotRepository slots_;
  SqliteDispatchRepository dispatch_;
  SqliteRunRepository runs_;
  SqliteRunLogRepository logs_;
  SqliteWorkerRepository workers_;
  SqliteAccountStore accounts_;
};

}  // namespace scheduler::infrastructure
