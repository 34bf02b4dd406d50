#include "api/error_reply.hpp"

#include "api/json_writer.hpp"

#include <fmt/format.h>

namespace scheduler::api {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

}  // namespace

int status_of(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::Validation:
    case ErrorKind::InvalidSchedule:
      return 400;
    case ErrorKind::TaskNotFound:
    case ErrorKind::RunNotFound:
    case ErrorKind::WorkerNotFound:
    case ErrorKind::NotFound:
      return 404;
    case ErrorKind::Unauthenticated:
    case ErrorKind::InvalidToken:
      return 401;
    case ErrorKind::Forbidden:
      return 403;
    case ErrorKind::RateLimited:
      return 429;
    case ErrorKind::MethodNotAllowed:
      return 405;
    case ErrorKind::DuplicateTaskName:
    case ErrorKind::DependencyCycle:
    case ErrorKind::Conflict:
    case ErrorKind::StaleToken:
      return 409;
    case ErrorKind::PreconditionFailed:
      return 412;
    case ErrorKind::PayloadTooLarge:
      return 413;
    case ErrorKind::BacklogFull:
      return 429;
    case ErrorKind::Config:
    case ErrorKind::Internal:
      return 500;
    case ErrorKind::Unavailable:
    case ErrorKind::Database:
    case ErrorKind::MessageQueue:
      return 503;
    case ErrorKind::Timeout:
      return 504;
  }
  return 500;
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 201:
      return "Created";
    case 202:
      return "Accepted";
    case 204:
      return "No Content";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 401:
      return "Unauthorized";
    case 403:
      return "Forbidden";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 412:
      return "Precondition Failed";
    case 413:
      return "Content Too Large";
    case 415:
      return "Unsupported Media Type";
    case 429:
      return "Too Many Requests";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 503:
      return "Service Unavailable";
    case 504:
      return "Gateway Timeout";
    default:
      return "Unknown";
  }
}

Problem problem_of(const SchedulerError& error) {
  const auto status = status_of(error.kind);
  if (status == 500)
    return {status, code_of(error.kind),
            "something went wrong inside the server; its log tells what, under request_id"};
  return {status, code_of(error.kind), error.message, error.fields, error.retry_after};
}

Reply problem_reply(const Problem& problem, const Request& request, TimePoint now, std::string_view data) {
  JsonWriter json;
  json.begin_object()
      .member("type", "urn:scheduler:error:" + lower(problem.code))
      .member("title", reason_phrase(problem.status))
      .member("status", problem.status)
      .member("detail", problem.detail)
      .member("instance", request.path)
      .member("success", false);
  json.key("error").begin_object().member("code", problem.code).member("message", problem.detail);
  json.key("details").begin_array();
  for (const auto& [pointer, message] : problem.fields)
    json.begin_object().member("pointer", pointer).member("message", message).end_object();
  json.end_array().end_object();
  if (!data.empty()) json.key("data").raw(data);
  json.member("request_id", request.id).member("timestamp", now).end_object();

  Reply reply{.status = problem.status, .body = json.take(), .content_type = "application/problem+json"};
  // Seconds. Runs begin all the time, so a full backlog is worth another look soon.
  const auto otherwise = problem.status == 429   ? std::optional(Seconds{5})
                         : problem.status == 503 ? std::optional(Seconds{1})
                                                 : std::nullopt;
  if (const auto wait = problem.retry_after ? problem.retry_after : otherwise)
    reply.headers.emplace_back("Retry-After", std::to_string(wait->count()));
  if (problem.status == 401) {
    const bool refused = problem.code == code_of(ErrorKind::InvalidToken);
    reply.headers.emplace_back("WWW-Authenticate", refused ? R"(Bearer realm="scheduler", error="invalid_token")"
                                                           : R"(Bearer realm="scheduler")");
  }
  return reply;
}

}  // namespace scheduler::api
