#include "domain/task_run.hpp"

#include <fmt/format.h>

namespace scheduler::domain {

std::string cancel_message(Reason why, std::string_view when) {
  return fmt::format("{} {}", why == Reason::overlap ? "replaced by the run of a later fire time" : "cancelled", when);
}

}  // namespace scheduler::domain
