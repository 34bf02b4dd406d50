// infrastructure/store/report_rules.hpp — what a report about an attempt makes of its run, the same in every store.
#pragma once

#include "application/ports/dispatch_repository.hpp"
#include "domain/transitions.hpp"

#include <optional>
#include <string>

namespace scheduler::infrastructure {

// What happens to the run when its attempt has ended so.
struct NextStep {
  domain::Event event = domain::Event::succeed;
  std::optional<TimePoint> retry_at;  // nothing: the run ends
};
[[nodiscard]] NextStep next_step(const application::Ended& it, domain::Reason cancel_reason);

// How a run ends, where it ends.
struct RunEnd {
  domain::RunState state = domain::RunState::succeeded;
  domain::Reason reason = domain::Reason::none;
  std::string message;
  std::optional<int> exit_code, http_status;
};

// The mark won over what would have followed.
[[nodiscard]] RunEnd cancelled(domain::Reason cancel_reason);

// The run ends in state `to`, which the table of transitions gave.
[[nodiscard]] RunEnd end_of(const application::Ended& it, domain::RunState to, domain::Reason cancel_reason);

}  // namespace scheduler::infrastructure
