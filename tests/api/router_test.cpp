#include "api/router.hpp"

#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::api;

TEST(RouterMatch, KnownPath_FindsRouteAndParameters) {
  const auto match = api_router().match("GET", "/api/workers/rack%2F1%20b");
  ASSERT_TRUE(match && match->route);
  EXPECT_EQ(match->route->path, "/api/workers/{id}");
  EXPECT_EQ(match->parameters, std::vector<std::string>{"rack/1 b"});
}

TEST(RouterMatch, FixedPathBesideAParameter_Wins) {
  const auto match = api_router().match("GET", "/api/workers/stats");
  ASSERT_TRUE(match && match->route);
  EXPECT_EQ(match->route->path, "/api/workers/stats");
  EXPECT_TRUE(match->parameters.empty());
  EXPECT_EQ(match->allow, "GET, HEAD, OPTIONS");
}

TEST(RouterMatch, WrongMethod_TellsTheRightOnes) {
  const auto match = api_router().match("DELETE", "/api/tasks");
  ASSERT_TRUE(match);
  EXPECT_EQ(match->route, nullptr);
  EXPECT_EQ(match->allow, "GET, HEAD, POST, OPTIONS");
}

TEST(RouterMatch, UnknownPaths_FindNothing) {
  for (const auto* path :
       {"/", "", "/api", "/api/tasks/", "/api//tasks", "/api/tasks/1/", "/api/tasks/1/nothing", "/API/tasks",
        "/api/tasks/%2e%2e/runs/x", "/api/tasks/1/runs/2", "//api/tasks", "/api/tasks//runs"}) {
    const auto match = api_router().match("GET", path);
    ASSERT_TRUE(match) << path;
    EXPECT_TRUE(match->allow.empty()) << path;
  }
}

TEST(RouterMatch, BrokenEncoding_IsRefused) {
  for (const auto* path : {"/api/tasks/%", "/api/tasks/%zz", "/api/tasks/%ff", "/api/tasks/%00"})
    EXPECT_FALSE(api_router().match("GET", path)) << path;
}

TEST(ExplainMissing, NearlyRightPath_NamesTheRightOne) {
  EXPECT_EQ(api_router().explain_missing("/api/task"),
            "there is nothing at '/api/task'; did you mean '/api/tasks'? All endpoints are listed in /openapi.yaml.");
  EXPECT_EQ(api_router().explain_missing("/api/task/17"),
            "there is nothing at '/api/task/17'; did you mean '/api/tasks/{id}'? All endpoints are listed in "
            "/openapi.yaml.");
  EXPECT_EQ(api_router().explain_missing("/wp-login.php"),
            "there is nothing at '/wp-login.php'. All endpoints are listed in /openapi.yaml.");
}

TEST(Routes, Table_HasEachRouteOnce) {
  std::set<std::pair<std::string_view, std::string_view>> seen;
  for (const auto& route : api_router().routes())
    EXPECT_TRUE(seen.emplace(route.method, route.path).second) << route.method << ' ' << route.path;
}

// What anybody may use is written down here a second time, so that no route joins it by accident.
TEST(Routes, WithoutAPermission_AreTheseAlone) {
  std::set<std::string_view> open;
  for (const auto& route : api_router().routes()) {
    if (route.access.permission == Permission::none) open.insert(route.path);
    EXPECT_TRUE(route.method != "GET" || route.body == BodyKind::none) << route.path;
  }
  EXPECT_EQ(open, (std::set<std::string_view>{"/health", "/health/live", "/health/ready", "/metrics", "/openapi.json",
                                              "/openapi.yaml", "/auth/setup", "/auth/login", "/auth/refresh"}));
}
