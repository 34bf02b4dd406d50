#include "infrastructure/executors/task_environment.hpp"

#include <algorithm>
#include <array>
#include <unistd.h>

namespace scheduler::infrastructure {
namespace {

constexpr auto kInherited =
    std::to_array<std::string_view>({"PATH", "HOME", "LANG", "TZ", "TMPDIR", "USER", "LOGNAME", "SHELL"});
constexpr std::string_view kPathWithoutOne = "/usr/local/bin:/usr/bin:/bin";

}  // namespace

EnvironmentOverrides inherited_environment() {
  EnvironmentOverrides inherited{{"PATH", std::string(kPathWithoutOne)}};
  for (char** entry = ::environ; entry != nullptr && *entry != nullptr; ++entry) {
    const std::string_view text = *entry;
    const auto equals = text.find('=');
    if (equals == text.npos) continue;
    const auto name = text.substr(0, equals);
    if (name.starts_with("LC_") || std::ranges::find(kInherited, name) != kInherited.end())
      inherited[std::string(name)] = text.substr(equals + 1);
  }
  return inherited;
}

std::vector<std::string> task_environment(const EnvironmentOverrides& inherited, const EnvironmentOverrides& overrides,
                                          const application::TaskExecution& execution, const WorkerIdentity& identity) {
  auto all = inherited;
  for (const auto& [name, value] : overrides) all[name] = value;
  all["SCHEDULER_RUN_ID"] = std::to_string(execution.run.value);
  all["SCHEDULER_TASK_ID"] = std::to_string(execution.task.value);
  all["SCHEDULER_TASK_NAME"] = execution.task_name;
  all["SCHEDULER_ATTEMPT"] = std::to_string(execution.attempt);
  all["SCHEDULER_TOKEN"] = std::to_string(execution.token);
  if (execution.slot) all["SCHEDULER_SLOT"] = format_rfc3339(*execution.slot);
  all["SCHEDULER_SHARD_INDEX"] = std::to_string(execution.shard_index);
  all["SCHEDULER_SHARD_TOTAL"] = std::to_string(execution.shard_total);
  all["SCHEDULER_WORKER_ID"] = identity.worker.value;
  all["SCHEDULER_INCARNATION"] = std::to_string(identity.incarnation.value);
  std::vector<std::string> texts;
  for (const auto& [name, value] : all) texts.push_back(name + "=" + value);
  return texts;
}

}  // namespace scheduler::infrastructure
