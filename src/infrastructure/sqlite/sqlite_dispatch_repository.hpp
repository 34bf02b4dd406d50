// infrastructure/sqlite/sqlite_dispatch_repository.hpp — the hot path of a run.
#pragma once

#include "application/ports/dispatch_repository.hpp"
#include "core/clock.hpp"
#include "database/sqlite/database.hpp"

namespace scheduler::infrastructure {

class SqliteDispatchRepository final : public application::DispatchRepository {
 public:
  SqliteDispatchRepository(const Clock& clock, database::sqlite::Database& database)
      : clock_(clock), database_(database) {}

  Async<application::DispatchView> view() override;
  Async<std::vector<application::DueRun>> due(std::vector<std::string> routes, std::size_t limit,
                                              Seconds ageing) override;
  Async<std::size_t> join_line() override;
  Async<std::unordered_map<RunId, application::UpstreamOutput>> upstream_outputs(std::vector<RunId> runs,
                                                                                 std::size_t bytes_max) override;
  Async<std::vector<bool>> mark_dispatched(std::vector<application::Dispatching> batch) override;
  Async<application::RunContexts> contexts(std::vector<RunId> runs) override;
  Async<std::vector<application::Applied>> apply(std::vector<application::RunChange> batch) override;
  Async<std::vector<application::AssignedRun>> assigned(IncarnationId incarnation, TimePoint before) override;
  Async<void> mark_missing(std::vector<RunId> missing, std::vector<RunId> found) override;
  Async<application::RescueView> to_rescue(std::size_t limit) override;

 private:
  const Clock& clock_;
  database::sqlite::Database& database_;
};

}  // namespace scheduler::infrastructure
