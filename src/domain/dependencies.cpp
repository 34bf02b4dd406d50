#include "domain/dependencies.hpp"

#include <fmt/format.h>

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

void UpstreamTally::add(std::optional<RunState> state, std::size_t count) {
  auto& kind = !state                          ? open
               : *state == RunState::succeeded ? succeeded
               : *state == RunState::skipped   ? skipped
                                               : failed;
  kind += count;
}

Verdict verdict_of(TriggerRule rule, const UpstreamTally& tally) {
  const auto refused = [&] {
    switch (rule) {
      case TriggerRule::all_success:
        return tally.failed + tally.skipped > 0;
      case TriggerRule::all_done:
        return false;
      case TriggerRule::any_success:
        return tally.open + tally.succeeded == 0 && tally.failed + tally.skipped > 0;
      case TriggerRule::none_failed:
        return tally.failed > 0;
    }
    return true;
  };
  if (refused()) return Verdict::skip;
  return tally.open > 0 ? Verdict::wait : Verdict::run;
}

std::string why_refused(const UpstreamRun& upstream) {
  if (upstream.run)
    return fmt::format("run {} of upstream task '{}' ended {}", upstream.run->value, upstream.task_name,
                       upstream.state ? name_of(*upstream.state) : "?");
  if (upstream.slot)
    return fmt::format("upstream task '{}' made no run at {}", upstream.task_name, format_rfc3339(*upstream.slot));
  return fmt::format("upstream task '{}' had no fire time yet", upstream.task_name);
}

bool runs_after(TriggerRule rule, std::span<const RunState> upstreams) {
  UpstreamTally tally;
  for (const auto state : upstreams) tally.add(state);
  return verdict_of(rule, tally) == Verdict::run;
}

}  // namespace scheduler::domain
