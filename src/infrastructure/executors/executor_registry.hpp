// infrastructure/executors/executor_registry.hpp — the task types that one worker offers.
#pragma once

#include "application/ports/task_executor.hpp"
#include "infrastructure/executors/attempt_files.hpp"
#include "infrastructure/executors/process.hpp"
#include "infrastructure/executors/task_environment.hpp"

#include <map>
#include <memory>
#include <span>

namespace scheduler::infrastructure {

class BuiltInExecutors final : public application::ExecutorRegistry {
 public:
  // What executors need; all of it outlives the registry.
  struct Surroundings {
    asio::io_context& io;
    Timer& timer;
    ProcessRunner& processes;
    const WorkerIdentity& identity;
    std::string_view version;
  };

  // Error: Config, for a name that is no built-in task type, or where attempts would have no place for their files.
  // Naming one twice is naming it once.
  [[nodiscard]] static SchedulerResult<std::unique_ptr<BuiltInExecutors>> create(
      std::span<const std::string> task_types, Surroundings surroundings);

  [[nodiscard]] application::TaskExecutor* find(std::string_view task_type) override;
  [[nodiscard]] std::vector<std::string> task_types() const override;

 private:
  std::unique_ptr<AttemptFiles> files_;  // where a type starts processes
  std::map<std::string, std::unique_ptr<application::TaskExecutor>, std::less<>> executors_;
};

}  // namespace scheduler::infrastructure
