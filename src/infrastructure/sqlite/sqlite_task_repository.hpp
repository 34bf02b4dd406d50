// infrastructure/sqlite/sqlite_task_repository.hpp — task definitions and the graph of their dependencies.
#pragma once

#include "application/ports/task_repository.hpp"
#include "core/clock.hpp"
#include "database/sqlite/database.hpp"

namespace scheduler::infrastructure {

class SqliteTaskRepository final : public application::TaskRepository {
 public:
  SqliteTaskRepository(const Clock& clock, database::sqlite::Database& database) : clock_(clock), database_(database) {}

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
  const Clock& clock_;
  database::sqlite::Database& database_;
};

}  // namespace scheduler::infrastructure
