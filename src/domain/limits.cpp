#include "domain/limits.hpp"

#include <algorithm>

namespace scheduler::domain {

std::optional<Wait> wait_of_new_run(std::optional<int> limit, int going, bool is_due) {
  if (!limit) return std::nullopt;  // a dispatcher sees its time coming by itself
  if (!is_due) return Wait::time;
  if (going >= *limit) return Wait::limit;
  return std::nullopt;
}

NextInLine next_in_line(const Line& line) {
  NextInLine next;
  next.queue_joins = line.has_queue && !line.has_line && line.going == 0;
  if (!line.has_line && !next.queue_joins)
    next.room = 0;
  else if (line.limit)
    next.room = std::max(0, *line.limit - line.going);
  return next;
}

}  // namespace scheduler::domain
