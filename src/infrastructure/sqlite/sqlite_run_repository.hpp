// infrastructure/sqlite/sqlite_run_repository.hpp — runs and their output, as people see them.
#pragma once

#include "application/ports/run_repository.hpp"
#include "core/clock.hpp"
#include "database/sqlite/database.hpp"
#include "infrastructure/store/backlog_memory.hpp"

namespace scheduler::infrastructure {

class SqliteRunRepository final : public application::RunRepository {
 public:
  SqliteRunRepository(const Clock& clock, database::sqlite::Database& database) : clock_(clock), database_(database) {}

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
  const Clock& clock_;
  database::sqlite::Database& database_;
  BacklogMemory backlog_;  // of write jobs alone: they run one after the other
};

class SqliteRunLogRepository final : public application::RunLogRepository {
 public:
  explicit SqliteRunLogRepository(database::sqlite::Database& database) : database_(database) {}

  Async<void> append(std::vector<application::LogChunk> chunks) override;
  Async<std::vector<application::LogChunk>> read(RunId run, int attempt, std::int64_t after_line,
                                                 std::size_t bytes_max) override;

 private:
  database::sqlite::Database& database_;
};

}  // namespace scheduler::infrastructure
