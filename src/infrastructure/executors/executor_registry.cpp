#include "infrastructure/executors/executor_registry.hpp"

#include "core/suggest.hpp"
#include "infrastructure/executors/executor_parameters.hpp"
#include "infrastructure/executors/http_executor.hpp"
#include "infrastructure/executors/noop_executor.hpp"
#include "infrastructure/executors/python_executor.hpp"
#include "infrastructure/executors/shell_executor.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

// Null for a name that is unknown.
std::unique_ptr<application::TaskExecutor> make_executor(std::string_view task_type,
                                                         const BuiltInExecutors::Surroundings& with) {
  if (task_type == "shell") return std::make_unique<ShellExecutor>(with.processes, with.identity);
  if (task_type == "python") return std::make_unique<PythonExecutor>(with.processes, with.identity);
  if (task_type == "http") return std::make_unique<HttpExecutor>(with.io, with.timer, with.version);
  if (task_type == "noop") return std::make_unique<NoopExecutor>();
  return nullptr;
}

}  // namespace

SchedulerResult<std::unique_ptr<BuiltInExecutors>> BuiltInExecutors::create(std::span<const std::string> task_types,
                                                                            Surroundings surroundings) {
  auto registry = std::make_unique<BuiltInExecutors>();
  for (const auto& type : task_types) {
    if (registry->executors_.contains(type)) continue;
    auto executor = make_executor(type, surroundings);
    if (!executor)
      return fail(ErrorKind::Config, fmt::format("unknown task type '{}': must be http, noop, python or shell{}", type,
                                                 suggestion(type, kBuiltInTaskTypes)));
    registry->executors_.emplace(type, std::move(executor));
  }
  return registry;
}

application::TaskExecutor* BuiltInExecutors::find(std::string_view task_type) {
  const auto at = executors_.find(task_type);
  return at == executors_.end() ? nullptr : at->second.get();
}

std::vector<std::string> BuiltInExecutors::task_types() const {
  std::vector<std::string> types;
  for (const auto& [type, executor] : executors_) types.push_back(type);
  return types;
}

}  // namespace scheduler::infrastructure
