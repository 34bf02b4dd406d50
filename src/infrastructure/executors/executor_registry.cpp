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

bool starts_processes(std::string_view task_type) { return task_type == "shell" || task_type == "python"; }

// `files`: set where the type starts processes. Null for a name that is unknown.
std::unique_ptr<application::TaskExecutor> make_executor(std::string_view task_type,
                                                         const BuiltInExecutors::Surroundings& with,
                                                         AttemptFiles* files) {
  if (task_type == "shell") return std::make_unique<ShellExecutor>(ProcessHost{with.processes, with.identity, *files});
  if (task_type == "python")
    return std::make_unique<PythonExecutor>(ProcessHost{with.processes, with.identity, *files});
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
    if (starts_processes(type) && !registry->files_) {
      TRY(registry->files_, AttemptFiles::create());
    }
    auto executor = make_executor(type, surroundings, registry->files_.get());
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
