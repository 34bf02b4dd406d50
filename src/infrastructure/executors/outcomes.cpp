#include "infrastructure/executors/outcomes.hpp"

#include <fmt/format.h>

#include <cstring>

namespace scheduler::infrastructure {
namespace {

std::string signal_name(int signal) {
  const char* name = ::sigabbrev_np(signal);
  return name != nullptr ? fmt::format("SIG{}", name) : fmt::format("signal {}", signal);
}

}  // namespace

domain::Outcome not_executed(const SchedulerError& error, bool permanent) {
  return {.state = domain::AttemptState::failed,
          .reason = domain::Reason::executor_error,
          .message = error.message,
          .permanent = permanent};
}

domain::Outcome without_upstream(const SchedulerError& error) {
  return {.state = domain::AttemptState::failed,
          .reason = domain::Reason::output_missing,
          .message = error.message,
          .permanent = true};
}

void take_output(SchedulerResult<std::optional<std::string>> output, domain::Outcome& outcome) {
  if (output) {
    outcome.output = *std::move(output);
    return;
  }
  outcome.state = domain::AttemptState::failed;
  outcome.reason = domain::Reason::output_invalid;
  outcome.message = std::move(output).error().message;
}

domain::Outcome outcome_of(const ProcessEnd& end) {
  if (end.signal)
    return {.state = domain::AttemptState::failed,
            .reason = domain::Reason::signal,
            .message = fmt::format("killed by {}", signal_name(*end.signal)),
            .exit_code = 128 + *end.signal};
  if (end.exit_code.value_or(0) != 0)
    return {.state = domain::AttemptState::failed,
            .reason = domain::Reason::exit_code,
            .message = fmt::format("exited with code {}", *end.exit_code),
            .exit_code = end.exit_code};
  return {.exit_code = 0};
}

}  // namespace scheduler::infrastructure
