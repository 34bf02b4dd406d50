// Login, sessions, keys and users over HTTP. What they mean is tests/application/auth_service_test.cpp's matter.
#include "api/live_server.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scheduler::api {
namespace {

using testing::HasSubstr;
using testing_support::AccountWorld;

std::string text_of(const Response& reply, std::string_view member) {
  return std::string(reply.data().at(member).as_string());
}
Headers bearer(const std::string& token) { return {{"Authorization", "Bearer " + token}}; }
const auto kLogin = fmt::format(R"({{"username":"ada","password":"{}"}})", AccountWorld::kPassword);

TEST(Setup, FirstAccount_IsMadeOnceWithTheLinksToken) {
  const LiveServer server({}, [](FakeWorld& world) { world.begin_anew("the-token"); });
  const auto body = [](std::string_view token) {
    return fmt::format(R"({{"token":"{}","username":"grace","password":"correct horse battery"}})", token);
  };
  EXPECT_EQ(server.get("/api/tasks", kNobody).status, 401);
  EXPECT_EQ(server.request("POST", "/auth/setup", body("guess"), kNobody).status, 401);
  const auto made = server.request("POST", "/auth/setup", body("the-token"), kNobody);
  ASSERT_EQ(made.status, 201) << made.body;
  EXPECT_EQ(text_of(server.get("/auth/me", bearer(text_of(made, "access_token"))), "role"), "admin");
  EXPECT_EQ(server.request("POST", "/auth/setup", body("the-token"), kNobody).status, 409);
}

TEST(Login, RightPassword_GivesTokensUnderBothPaths) {
  const LiveServer server;
  for (const auto* path : {"/auth/login", "/api/auth/login"}) {
    const auto reply = server.request("POST", path, kLogin, kNobody);
    ASSERT_EQ(reply.status, 200) << reply.body;
    EXPECT_EQ(text_of(reply, "token_type"), "Bearer");
    EXPECT_EQ(reply.data().at("expires_in_seconds"), 600);
    EXPECT_EQ(server.get("/api/tasks", bearer(text_of(reply, "access_token"))).status, 200);
    EXPECT_EQ(server.get("/api/auth/me", bearer(text_of(reply, "access_token"))).status, 200);
  }
}

TEST(Login, WrongPassword_IsThrottledWithRetryAfter) {
  const LiveServer server;
  for (int i = 0; i < 5; ++i) {
    const auto reply = server.request("POST", "/auth/login", R"({"username":"ada","password":"x"})", kNobody);
    EXPECT_EQ(reply.status, 401);
    EXPECT_EQ(reply.code(), "AUTHENTICATION_REQUIRED");
  }
  const auto refused = server.request("POST", "/auth/login", kLogin, kNobody);
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.code(), "RATE_LIMIT_EXCEEDED");
  EXPECT_EQ(refused.headers.at("retry-after"), "30");
}

TEST(Refresh, UsedTwice_EndsTheSession) {
  const LiveServer server;
  const auto refresh = [&](const std::string& token) {
    return server.request("POST", "/auth/refresh", fmt::format(R"({{"refresh_token":"{}"}})", token), kNobody);
  };
  const auto second = refresh(kRefreshToken);
  ASSERT_EQ(second.status, 200) << second.body;
  EXPECT_EQ(refresh(kRefreshToken).status, 401);
  EXPECT_EQ(refresh(text_of(second, "refresh_token")).status, 401);
  EXPECT_EQ(server.get("/auth/me", bearer(text_of(second, "access_token"))).status, 401);
}

TEST(Logout, OfASession_MakesItsTokenUseless) {
  const LiveServer server;
  EXPECT_EQ(server.get("/auth/me").status, 200);
  EXPECT_EQ(server.request("POST", "/auth/logout").status, 204);
  const auto refused = server.get("/auth/me");
  EXPECT_EQ(refused.status, 401);
  EXPECT_EQ(refused.code(), "INVALID_TOKEN");
}

TEST(ApiKey, MadeOverHttp_CountsInBothHeadersAndInNoQuery) {
  const LiveServer server;
  const auto made = server.request("POST", "/auth/api-keys", R"({"name":"ci","permissions":["task_read"]})");
  ASSERT_EQ(made.status, 201) << made.body;
  const auto key = text_of(made, "api_key");
  EXPECT_TRUE(key.starts_with("sch_"));
  EXPECT_FALSE(server.get("/auth/api-keys").body.contains(key.substr(24)));
  EXPECT_EQ(server.get("/api/tasks", {{"X-API-Key", key}}).status, 200);
  EXPECT_EQ(server.get("/api/tasks", bearer(key)).status, 200);
  EXPECT_EQ(server.get("/api/tasks", {{"Authorization", "bearer " + key}}).status, 200);
  EXPECT_EQ(server.get("/api/tasks?api_key=" + key, kNobody).status, 401);
  EXPECT_EQ(server.get("/api/tasks?access_token=" + admin_token(), kNobody).status, 401);
  EXPECT_EQ(server.get("/api/tasks?api_key=" + key, bearer(key)).status, 400);
  EXPECT_EQ(server.get("/api/workers", bearer(key)).status, 403);
  EXPECT_EQ(server.get("/auth/api-keys", bearer(key)).status, 403);  // a key makes no keys
  EXPECT_EQ(server.get("/auth/me", bearer(key)).data().at("permissions").at("task_write"), "no");
  const auto target = fmt::format("/auth/api-keys/{}", made.data().at("id").as_int64());
  const auto rotated = server.request("POST", target + "/rotate");
  ASSERT_EQ(rotated.status, 200) << rotated.body;
  EXPECT_EQ(server.get("/api/tasks", bearer(key)).status, 401);
  EXPECT_EQ(server.get("/api/tasks", bearer(text_of(rotated, "api_key"))).status, 200);
  EXPECT_EQ(server.request("DELETE", target).status, 204);
  EXPECT_EQ(server.get("/api/tasks", bearer(text_of(rotated, "api_key"))).status, 401);
}

TEST(Credentials, MoreThanOneOrOfAnotherKind_AreRefused) {
  const LiveServer server;
  EXPECT_EQ(server.get("/api/tasks", {{"Authorization", "Bearer " + admin_token()}, {"X-API-Key", "x"}}).status, 400);
  EXPECT_EQ(
      server.get("/api/tasks", {{"Authorization", "Bearer " + admin_token()}, {"Authorization", "Bearer x"}}).status,
      400);
  EXPECT_EQ(server.get("/api/tasks", {{"Authorization", "Basic YWRhOng="}}).status, 401);
  EXPECT_EQ(server.get("/api/tasks", {{"Authorization", "Bearer"}}).status, 401);
  EXPECT_EQ(server.get("/api/tasks", {{"Authorization", admin_token()}}).status, 401);
  EXPECT_EQ(server.get("/api/tasks", {{"Cookie", "token=" + admin_token()}, {"Authorization", ""}}).status, 401);
}

TEST(Users, Admin_ManagesThem) {
  const LiveServer server;
  const auto made =
      server.request("POST", "/api/users", R"({"username":"eve","password":"a good long password","role":"viewer"})");
  ASSERT_EQ(made.status, 201) << made.body;
  const auto target = fmt::format("/api/users/{}", made.data().at("id").as_int64());
  EXPECT_EQ(
      server.request("POST", "/api/users", R"({"username":"eve","password":"a good long password","role":"viewer"})")
          .status,
      409);
  EXPECT_EQ(server.request("PATCH", target, R"({"role":"operator"})").data().at("role"), "operator");
  const auto weak = server.request("POST", "/api/users", R"({"username":"e v","password":"changeme","role":"viewer"})");
  EXPECT_THAT(weak.faulty_fields(), testing::ElementsAre("/username", "/password"));
  EXPECT_EQ(server.request("PATCH", "/api/users/1", R"({"role":"viewer"})").status, 409);  // the last admin
  EXPECT_EQ(server.request("DELETE", target).status, 204);
  EXPECT_EQ(server.get(target).status, 404);
  EXPECT_THAT(server.get("/api/users").body, testing::Not(HasSubstr("fake:")));
}

}  // namespace
}  // namespace scheduler::api
