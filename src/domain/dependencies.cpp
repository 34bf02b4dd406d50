#include "domain/dependencies.hpp"

#include <algorithm>
#include <set>

namespace scheduler::domain {

std::optional<std::vector<TaskId>> find_cycle(const DependencyGraph& graph, TaskId start) {
  struct Step {
    TaskId task;
    std::size_t next = 0;  // the upstream to look at next
  };
  static const std::vector<TaskId> kNone;
  const auto upstreams = [&](TaskId task) -> const std::vector<TaskId>& {
    const auto found = graph.find(task);
    return found == graph.end() ? kNone : found->second;
  };
  std::vector<Step> path{{start}};
  std::set<TaskId> seen{start};
  while (!path.empty()) {
    auto& step = path.back();
    const auto& up = upstreams(step.task);
    if (step.next == up.size()) {
      path.pop_back();
      continue;
    }
    const auto task = up[step.next++];
    if (task == start) {
      std::vector<TaskId> cycle;
      for (const auto& s : path) cycle.push_back(s.task);
      cycle.push_back(start);
      return cycle;
    }
    if (seen.insert(task).second) path.push_back({task});
  }
  return std::nullopt;
}

bool runs_after(TriggerRule rule, std::span<const RunState> upstreams) {
  const auto succeeded = [](RunState s) { return s == RunState::succeeded; };
  const auto bad = [](RunState s) { return s != RunState::succeeded && s != RunState::skipped; };
  switch (rule) {
    case TriggerRule::all_success:
      return std::ranges::all_of(upstreams, succeeded);
    case TriggerRule::all_done:
      return true;
    case TriggerRule::any_success:
      return std::ranges::any_of(upstreams, succeeded);
    case TriggerRule::none_failed:
      return std::ranges::none_of(upstreams, bad);
  }
  return false;
}

}  // namespace scheduler::domain
