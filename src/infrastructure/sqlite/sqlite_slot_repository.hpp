// infrastructure/sqlite/sqlite_slot_repository.hpp — the ledger of fire times.
#pragma once

#include "application/ports/slot_repository.hpp"
#include "core/clock.hpp"
#include "database/sqlite/database.hpp"

namespace scheduler::infrastructure {

// Records slots of a task that will not fire, inside the caller's transaction. False: recorded already.
[[nodiscard]] SchedulerResult<bool> record_skipped(database::sqlite::Connection& connection, TaskId task,
                                                   const domain::SlotDecision& slots, TimePoint now,
                                                   std::optional<RunId> cause);

class SqliteSlotRepository final : public application::SlotRepository {
 public:
  SqliteSlotRepository(const Clock& clock, database::sqlite::Database& database) : clock_(clock), database_(database) {}

  Async<application::FireView> due(std::size_t limit) override;
  Async<application::FireReport> commit(std::vector<application::Fire> fires) override;
  Async<void> quarantine(TaskId task, std::int64_t version) override;
  Async<std::vector<domain::SlotRecord>> recorded(TaskId task, std::vector<TimePoint> slots) override;

 private:
  const Clock& clock_;
  database::sqlite::Database& database_;
};

}  // namespace scheduler::infrastructure
