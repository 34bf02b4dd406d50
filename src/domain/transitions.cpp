#include "domain/transitions.hpp"

namespace scheduler::domain {

std::vector<RunState> sources(Event event) {
  std::vector<RunState> states;
  for (const auto& t : kTransitions)
    if (t.event == event) states.push_back(t.from);
  return states;
}

}  // namespace scheduler::domain
