#include "infrastructure/store/guards.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {

std::string may_leave(domain::Event event, Side side) {
  std::string states;
  int count = 0;
  for (const auto& it : domain::kTransitions) {
    if (it.event != event || side_of(it) != side) continue;
    states.append(count++ == 0 ? "'" : ", '").append(name_of(it.from)).append("'");
  }
  // One state alone is compared with '=': only then does a partial index on that state match.
  return count == 1 ? "state = " + states : "state IN (" + states + ")";
}

std::string run_goes(std::string_view now) {
  return fmt::format(
      "(r.state IN ('dispatched', 'running')"
      " OR r.state = 'pending' AND (r.attempt > 0 OR r.slot IS NOT NULL OR r.due_at <= {}))",
      now);
}

// '%' and '_' are wildcards.
std::string like_pattern(std::string_view part) {
  std::string pattern = "%";
  for (const char c : part) {
    if (c == '%' || c == '_' || c == '\\') pattern += '\\';
    pattern += c;
  }
  return pattern + "%";
}

}  // namespace scheduler::infrastructure
