// api/error_reply.hpp — how a failure is told: status, code and sentence. The one table from error kind to status.
#pragma once

#include "api/http_message.hpp"
#include "core/time.hpp"
#include "errors/error.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace scheduler::api {

struct Problem {
  int status = 500;
  std::string_view code = "INTERNAL_ERROR";
  std::string detail;  // the sentence for people
  std::vector<FieldError> fields = {};
  std::optional<Seconds> retry_after = {};
};

[[nodiscard]] int status_of(ErrorKind kind);
[[nodiscard]] std::string_view reason_phrase(int status);  // "Not Found"

// Our own bugs are not explained to clients, only to the log: the request id connects the two.
[[nodiscard]] Problem problem_of(const SchedulerError& error);

// RFC 9457, and beside it "success": false and "error", the shape that every reply of this API has. `data`, when not
// empty, is JSON text that is told as well.
[[nodiscard]] Reply problem_reply(const Problem& problem, const Request& request, TimePoint now,
                                  std::string_view data = {});

}  // namespace scheduler::api
