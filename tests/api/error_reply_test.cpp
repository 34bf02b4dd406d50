#include "api/error_reply.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::api;

TEST(StatusOf, EveryKind_HasItsStatus) {
  const struct {
    ErrorKind kind;
    int status;
  } rows[] = {
      {ErrorKind::Validation, 400},         {ErrorKind::InvalidSchedule, 400}, {ErrorKind::DuplicateTaskName, 409},
      {ErrorKind::DependencyCycle, 409},    {ErrorKind::TaskNotFound, 404},    {ErrorKind::RunNotFound, 404},
      {ErrorKind::WorkerNotFound, 404},     {ErrorKind::NotFound, 404},        {ErrorKind::Conflict, 409},
      {ErrorKind::PreconditionFailed, 412}, {ErrorKind::StaleToken, 409},      {ErrorKind::PayloadTooLarge, 413},
      {ErrorKind::MethodNotAllowed, 405},   {ErrorKind::Timeout, 504},         {ErrorKind::Unavailable, 503},
      {ErrorKind::Database, 503},           {ErrorKind::MessageQueue, 503},    {ErrorKind::Config, 500},
      {ErrorKind::Internal, 500},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(status_of(row.kind), row.status) << code_of(row.kind);
    EXPECT_NE(reason_phrase(row.status), "Unknown") << row.status;
  }
}

TEST(ProblemReply, ValidationError_TellsBothShapes) {
  const Request request{.path = "/api/tasks", .id = "r-1"};
  const SchedulerError error{ErrorKind::Validation, "two faults", {{"/name", "is required"}, {"/priority", "too big"}}};
  const auto reply = problem_reply(problem_of(error), request, TimePoint{});
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.content_type, "application/problem+json");
  EXPECT_EQ(boost::json::parse(reply.body), boost::json::parse(R"({
    "type": "urn:scheduler:error:validation_error", "title": "Bad Request", "status": 400, "detail": "two faults",
    "instance": "/api/tasks", "success": false,
    "error": {"code": "VALIDATION_ERROR", "message": "two faults",
              "details": [{"pointer": "/name", "message": "is required"}, {"pointer": "/priority", "message": "too big"}]},
    "request_id": "r-1", "timestamp": "1970-01-01T00:00:00Z"})"));
}

TEST(ProblemOf, InternalError_DoesNotExplainItself) {
  const auto problem = problem_of({ErrorKind::Internal, "secret detail"});
  EXPECT_EQ(problem.status, 500);
  EXPECT_FALSE(problem.detail.contains("secret"));
}

TEST(ProblemReply, Unavailable_TellsWhenToTryAgain) {
  const auto reply = problem_reply(problem_of({ErrorKind::Database, "busy"}), {}, TimePoint{});
  ASSERT_EQ(reply.headers.size(), 1U);
  EXPECT_EQ(reply.headers[0].first, "Retry-After");
}
