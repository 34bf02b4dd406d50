// infrastructure/postgres/postgres_slot_repository.hpp — the ledger of fire times.
#pragma once

#include "application/ports/slot_repository.hpp"
#include "database/postgres/database.hpp"
#include "infrastructure/postgres/store_clock.hpp"

namespace scheduler::infrastructure {

// Queues the record of slots that will not fire: tasks[i] skips slots[i], because of the run causes[i] where there is
// one. Those that are recorded already stay.
void record_skipped(database::postgres::Transaction& tx, const std::vector<TaskId>& tasks,
                    const std::vector<domain::SlotDecision>& slots, const std::vector<std::optional<RunId>>& causes,
                    TimePoint now);

class PostgresSlotRepository final : public application::SlotRepository {
 public:
  PostgresSlotRepository(StoreClock clock, database::postgres::Database& database)
      : clock_(clock), database_(database) {}

  Async<application::FireView> due(std::size_t limit) override;
  Async<application::FireReport> commit(std::vector<application::Fire> fires) override;
  Async<void> quarantine(TaskId task, std::int64_t version) override;
  Async<std::vector<domain::SlotRecord>> recorded(TaskId task, std::vector<TimePoint> slots) override;

 private:
  StoreClock clock_;
  database::postgres::Database& database_;
};

}  // namespace scheduler::infrastructure
