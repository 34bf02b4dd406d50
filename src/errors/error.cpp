#include "errors/error.hpp"

namespace scheduler {

std::string_view code_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Validation:
      return "VALIDATION_ERROR";
    case ErrorKind::InvalidSchedule:
      return "INVALID_SCHEDULE";
    case ErrorKind::DuplicateTaskName:
      return "DUPLICATE_TASK_NAME";
    case ErrorKind::DependencyCycle:
      return "DEPENDENCY_CYCLE";
    case ErrorKind::TaskNotFound:
      return "TASK_NOT_FOUND";
    case ErrorKind::RunNotFound:
      return "RUN_NOT_FOUND";
    case ErrorKind::WorkerNotFound:
      return "WORKER_NOT_FOUND";
    case ErrorKind::NotFound:
      return "NOT_FOUND";
    case ErrorKind::Conflict:
      return "CONFLICT";
    case ErrorKind::PreconditionFailed:
      return "PRECONDITION_FAILED";
    case ErrorKind::StaleToken:
      return "STALE_TOKEN";
    case ErrorKind::PayloadTooLarge:
      return "PAYLOAD_TOO_LARGE";
    case ErrorKind::BacklogFull:
      return "BACKLOG_FULL";
    case ErrorKind::MethodNotAllowed:
      return "METHOD_NOT_ALLOWED";
    case ErrorKind::Unauthenticated:
      return "AUTHENTICATION_REQUIRED";
    case ErrorKind::InvalidToken:
      return "INVALID_TOKEN";
    case ErrorKind::Forbidden:
      return "INSUFFICIENT_PERMISSIONS";
    case ErrorKind::RateLimited:
      return "RATE_LIMIT_EXCEEDED";
    case ErrorKind::Timeout:
      return "TIMEOUT";
    case ErrorKind::Unavailable:
      return "UNAVAILABLE";
    case ErrorKind::Database:
      return "DATABASE_ERROR";
    case ErrorKind::MessageQueue:
      return "MESSAGE_QUEUE_ERROR";
    case ErrorKind::Config:
      return "CONFIG_ERROR";
    case ErrorKind::Internal:
      return "INTERNAL_ERROR";
  }
  return "INTERNAL_ERROR";
}

}  // namespace scheduler
