#include "cli/failure.hpp"

#include "core/utf8.hpp"

#include <ostream>

namespace scheduler::cli {

std::unexpected<Failure> failed(Exit exit, std::string message) {
  return std::unexpected(Failure{exit, std::move(message)});
}

std::unexpected<Failure> failed(SchedulerError error) {
  return std::unexpected(Failure{exit_of(error.kind), std::move(error.message), std::move(error.fields)});
}

Exit exit_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::TaskNotFound:
    case ErrorKind::RunNotFound:
    case ErrorKind::WorkerNotFound:
    case ErrorKind::NotFound:
      return Exit::not_found;
    case ErrorKind::Validation:
    case ErrorKind::InvalidSchedule:
    case ErrorKind::DuplicateTaskName:
    case ErrorKind::DependencyCycle:
    case ErrorKind::Conflict:
    case ErrorKind::PreconditionFailed:
    case ErrorKind::StaleToken:
    case ErrorKind::PayloadTooLarge:
    case ErrorKind::BacklogFull:
    case ErrorKind::Config:
      return Exit::refused;
    case ErrorKind::Unauthenticated:
    case ErrorKind::InvalidToken:
    case ErrorKind::Forbidden:
      return Exit::auth;
    case ErrorKind::RateLimited:
    case ErrorKind::Unavailable:
    case ErrorKind::Timeout:
      return Exit::unreachable;
    case ErrorKind::MethodNotAllowed:
    case ErrorKind::Database:
    case ErrorKind::MessageQueue:
    case ErrorKind::Internal:
      return Exit::error;
  }
  return Exit::error;
}

void print_failure(std::ostream& err, const Failure& failure) {
  const auto shown = [](std::string_view text) { return with_hidden_escaped(text, U"\n"); };
  err << "error: " << shown(failure.message) << '\n';
  // A single fault is the message itself.
  if (failure.fields.size() == 1 && failure.message.ends_with(failure.fields[0].message)) return;
  for (const auto& [pointer, message] : failure.fields)
    err << "  " << (pointer.empty() ? "(body)" : shown(pointer)) << ": " << shown(message) << '\n';
}

}  // namespace scheduler::cli
