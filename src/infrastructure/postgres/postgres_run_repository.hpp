// infrastructure/postgres/postgres_run_repository.hpp — runs and their output, as people see them.
#pragma once

#include "application/ports/run_repository.hpp"
#include "database/postgres/database.hpp"
#include "infrastructure/postgres/store_clock.hpp"
#include "infrastructure/store/backlog_memory.hpp"

namespace scheduler::infrastructure {

class PostgresRunRepository final : public application::RunRepository {
 public:
  PostgresRunRepository(StoreClock clock, database::postgres::Database& database)
      : clock_(clock), database_(database) {}

  Async<std::vector<application::NewRuns>> insert_all(std::vector<application::NewRun> batch) override;
  Async<std::vector<domain::TaskRun>> group(RunId any) override;
  Async<application::NewRuns> retry_group(RunId any) override;
  Async<domain::TaskRun> get(RunId id) override;
  Async<application::Page<domain::TaskRun>> list(application::RunFilter filter, application::Paging paging) override;
  Async<std::vector<domain::Attempt>> attempts(RunId id) override;
  Async<std::optional<std::string>> output(RunId id) override;
  Async<std::vector<domain::UpstreamRun>> upstreams(RunId id) override;
  Async<std::optional<std::int64_t>> log_lines(RunId id, int attempt) override;
  Async<application::Cancelled> cancel(RunId id) override;
  Async<application::TaskStats> stats(TaskId task) override;

 private:
  StoreClock clock_;
  database::postgres::Database& database_;
  BacklogMemory backlog_;
};

class PostgresRunLogRepository final : public application::RunLogRepository {
 public:
  explicit PostgresRunLogRepository(database::postgres::Database& database) : database_(database) {}

  Async<void> append(std::vector<application::LogChunk> chunks) override;
  Async<std::vector<application::LogChunk>> read(RunId run, int attempt, std::int64_t after_line,
                                                 std::size_t bytes_max) override;

 private:
  database::postgres::Database& database_;
};

}  // namespace scheduler::infrastructure
