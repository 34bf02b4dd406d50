#include "api/request_guard.hpp"

#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::api;

TEST(IsLoopbackHost, OwnNames_AreAccepted) {
  for (const auto* host : {"localhost", "LocalHost:8080", "127.0.0.1", "127.0.0.1:1", "127.9.8.7:65535", "[::1]",
                           "[::1]:8080", "localhost:"})
    EXPECT_TRUE(is_loopback_host(host)) << host;
}

TEST(IsLoopbackHost, ForeignNames_AreRefused) {
  for (const auto* host : {"", "example.com", "localhost.example.com", "127.0.0.1.example.com", "127.1", "128.0.0.1",
                           "0.0.0.0", "[::2]", "[::1]evil", "[::1", "localhost:port", "localhost:80:80",
                           "localhost:99999", "10.0.0.1:8080", "localhost@evil", "2130706433", "localhost "})
    EXPECT_FALSE(is_loopback_host(host)) << host;
}

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
      {"a rebound name", "evil.example", {}, false, 403},
      {"a rebound name with its origin", "evil.example", "http://evil.example", false, 403},
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
