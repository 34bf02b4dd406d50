#include "infrastructure/store/report_rules.hpp"

#include <cassert>

namespace scheduler::infrastructure {

using application::Ended;
using domain::Event;
using domain::RunState;

NextStep next_step(const Ended& it, domain::Reason cancel_reason) {
  const bool lost = it.attempt_state == domain::AttemptState::lost;
  const auto* end = std::get_if<domain::End>(&it.next);
  // The mark came after the decision: what was cancelled is not tried again, and whatever else it met than success,
  // that it ends here is the cancel's doing (domain::after_attempt).
  const bool well = end != nullptr && end->state == RunState::succeeded;
  if (cancel_reason != domain::Reason::none && !well) return {Event::cancel, std::nullopt};
  if (!end) return {lost ? Event::rescue : Event::retry, std::get<domain::RetryAt>(it.next).due};
  switch (end->state) {
    case RunState::succeeded:
      return {Event::succeed, std::nullopt};
    case RunState::timed_out:
      return {Event::time_out, std::nullopt};
    case RunState::cancelled:
      return {Event::cancel, std::nullopt};
    case RunState::failed:
      return {lost ? Event::give_up : Event::fail, std::nullopt};
    default:
      assert(false && "an attempt ends its run succeeded, failed, timed_out or cancelled");
      return {};
  }
}

RunEnd cancelled(domain::Reason cancel_reason) {
  return {RunState::cancelled, cancel_reason, domain::cancel_message(cancel_reason, "before another attempt")};
}

RunEnd end_of(const Ended& it, RunState to, domain::Reason cancel_reason) {
  // Whatever its attempt met (an exit code, a lost worker): that the run ends here is the cancel's doing.
  if (to == RunState::cancelled && it.attempt_state != domain::AttemptState::cancelled) return cancelled(cancel_reason);
  const auto& outcome = it.outcome;
  return {to, outcome.reason, outcome.message, outcome.exit_code, outcome.http_status};
}

}  // namespace scheduler::infrastructure
