#include "api/request_guard.hpp"

#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::api;

TEST(CheckOrigin, EveryCombination_HasItsStatus) {
  const struct {
    std::string_view name;
    std::optional<std::string_view> host, origin;
    bool http_1_0;
    int status;  // 0: let through
  } rows[] = {
      {"no origin", "localhost:8080", {}, false, 0},
      {"own origin", "localhost:8080", "http://localhost:8080", false, 0},
      {"own origin, other case", "LOCALHOST:8080", "http://LocalHost:8080", false, 0},
      {"own origin behind TLS", "localhost", "https://localhost", false, 0},
      {"another port is another page", "localhost:8080", "http://localhost:3000", false, 403},
      {"another page", "localhost:8080", "http://evil.example", false, 403},
      {"a sandboxed page", "localhost:8080", "null", false, 403},
      {"any name of ours", "scheduler.example", {}, false, 0},
      // A page that got itself our name still has no credentials to send.
      {"a rebound name with its origin", "evil.example", "http://evil.example", false, 0},
      {"no host", {}, {}, false, 400},
      {"no host in HTTP/1.0", {}, {}, true, 0},
  };
  for (const auto& row : rows) {
    const Request request{.http_1_0 = row.http_1_0, .host = row.host, .origin = row.origin};
    const auto problem = check_origin(request);
    EXPECT_EQ(problem ? problem->status : 0, row.status) << row.name;
  }
}

TEST(CheckBody, EveryCombination_HasItsStatus) {
  const struct {
    std::string_view name, method, body;
    std::optional<std::string_view> type;
    BodyKind kind;
    int status;  // 0: let through
  } rows[] = {
      {"JSON", "POST", "{}", "application/json", BodyKind::json, 0},
      {"JSON with a charset", "POST", "{}", "Application/JSON ; charset=utf-8", BodyKind::json, 0},
      {"a form", "POST", "a=b", "application/x-www-form-urlencoded", BodyKind::json, 415},
      {"a simple request of a foreign page", "POST", "{}", "text/plain", BodyKind::json, 415},
      {"no type", "POST", "{}", {}, BodyKind::json, 415},
      {"no body", "POST", "", "application/json", BodyKind::json, 400},
      {"no body where it may be absent", "POST", "", {}, BodyKind::optional, 0},
      {"patch", "PATCH", "{}", "application/merge-patch+json", BodyKind::merge_patch, 0},
      {"patch as JSON", "PATCH", "{}", "application/json", BodyKind::merge_patch, 0},
      {"patch in a PUT", "PUT", "{}", "application/merge-patch+json", BodyKind::json, 415},
      {"JSON patch", "PATCH", "[]", "application/json-patch+json", BodyKind::merge_patch, 415},
      {"an empty object for an action", "POST", "{}", "application/json", BodyKind::none, 0},
      {"fields for an action", "POST", R"({"a":1})", "application/json", BodyKind::none, 400},
      {"a body in a GET means nothing", "GET", "junk", {}, BodyKind::none, 0},
  };
  for (const auto& row : rows) {
    const Request request{.method = row.method, .body = row.body, .content_type = row.type};
    const auto problem = check_body(request, row.kind);
    EXPECT_EQ(problem ? problem->status : 0, row.status) << row.name;
  }
}
