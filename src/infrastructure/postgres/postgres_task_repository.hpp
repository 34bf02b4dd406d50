// infrastructure/postgres/postgres_task_repository.hpp — task definitions and the graph of their dependencies.
#pragma once

#include "application/ports/task_repository.hpp"
#include "database/postgres/database.hpp"
#include "infrastructure/postgres/store_clock.hpp"

namespace scheduler::infrastructure {

class PostgresTaskRepository final : public application::TaskRepository {
 public:
  PostgresTaskRepository(StoreClock clock, database::postgres::Database& database)
      : clock_(clock), database_(database) {}

  Async<domain::Task> create(domain::Task task) override;
  Async<domain::Task> get(TaskId id) override;
  Async<domain::Task> find(std::string name) override;
  Async<application::Page<domain::Task>> list(application::TaskFilter filter, application::Paging paging) override;
  Async<domain::Task> update(domain::Task task, std::optional<domain::SlotDecision> skipped) override;
  Async<void> archive(TaskId id) override;
  Async<std::vector<TaskId>> dependants(TaskId id) override;
  Async<std::vector<application::DependencyEdge>> edges(std::vector<TaskId> of, std::size_t limit) override;
  Async<std::vector<application::TaskStanding>> standings(std::vector<TaskId> ids) override;

 private:
  StoreClock clock_;
  database::postgres::Database& database_;
};

}  // namespace scheduler::infrastructure
