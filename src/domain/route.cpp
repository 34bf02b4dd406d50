#include "domain/route.hpp"

#include <algorithm>

namespace scheduler::domain {

// Label words cannot hold '|', '=' or ',' (task.cpp), nor can task types, so the text is unambiguous.
std::string route_of(std::string_view task_type, const Labels& worker_labels) {
  std::string route(task_type);
  char separator = '|';
  for (const auto& [key, value] : worker_labels) {
    route.append(1, separator).append(key).append("=").append(value);
    separator = ',';
  }
  return route;
}

bool serves(const WorkerInfo& worker, std::string_view route) {
  const auto bar = route.find('|');
  const auto type = route.substr(0, bar);
  if (std::ranges::find(worker.task_types, type) == worker.task_types.end()) return false;
  auto rest = bar == route.npos ? std::string_view() : route.substr(bar + 1);
  while (!rest.empty()) {
    const auto label = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), label.size() + 1));
    const auto equals = label.find('=');
    const auto found = worker.labels.find(std::string(label.substr(0, equals)));
    if (found == worker.labels.end() || found->second != label.substr(equals + 1)) return false;
  }
  return true;
}

}  // namespace scheduler::domain
