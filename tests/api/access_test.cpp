// Who may do what over HTTP: every route as every role with its own and with a foreign object, thousands of other ways
// to write a path, and bodies that try to be somebody else.
#include "api/access_check.hpp"
#include "api/answer.hpp"
#include "api/fakes.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <random>

namespace scheduler::api {
namespace {

using domain::Grant;
using domain::Role;
using testing_support::AccountWorld;
using testing_support::run_async;

asio::awaitable<void> keep_reply(const Context& context, Request& request, Reply& into) {
  into = co_await answer(context, request);
}

// A world without sockets.
class AccessTest : public testing::Test {
 protected:
  explicit AccessTest(int requests_per_second = 0)
      : context_{.services = world.services(),
                 .config = {},
                 .limits = {},
                 .rates = std::make_shared<RateLimits>(requests_per_second)} {}

  Reply send(std::string_view method, std::string_view path, const std::string& token, std::string_view body = "",
             std::string_view type = "application/json") {
    const auto authorization = "Bearer " + token;
    Request request{.method = method, .path = path, .body = body, .host = "localhost", .client = "10.0.0.1"};
    if (!body.empty()) request.content_type = type;
    if (!token.empty()) request.authorization = authorization;
    Reply reply;
    run_blocking(keep_reply(context_, request, reply));
    return reply;
  }
  std::string log_in(Role role) { return world.accounts->log_in(std::string(name_of(role)) + "1", role); }
  UserId id_of(Role role) {
    return (*run_async(world.accounts->store->accounts().users().find(std::string(name_of(role)) + "1")))->user.id;
  }

  FakeWorld world;
  Context context_;
};

std::string example_of(std::string_view path) {
  std::string text(path);
  const bool worker = path.starts_with("/api/workers");
  if (const auto at = text.find("{id}"); at != std::string::npos) text.replace(at, 4, worker ? "worker-1" : "1");
  return text;
}

// Each case has a world of its own: half of the routes change something.
class EveryRoute : public testing::TestWithParam<Role> {};

TEST_P(EveryRoute, AsThisRole_IsAllowedWhatTheTableSays) {
  class Case : public AccessTest {
   public:
    void TestBody() override {}
    int status(const Route& route, Role role, bool own) {
      const auto token = log_in(role);
      world.tasks.rows[1].owner = own ? id_of(role) : UserId{4711};
      const bool reads = route.body != BodyKind::none && route.body != BodyKind::optional;
      return send(route.method, example_of(route.path), token, reads ? "{}" : "").status;
    }
    int status_of_nobody(const Route& route) { return send(route.method, example_of(route.path), "").status; }
  };
  const auto role = GetParam();
  for (const auto& route : api_router().routes()) {
    const auto [permission, object] = route.access;
    for (const bool own : {true, false}) {
      const auto grant = grant_of(role, permission);
      const bool about_task = object == Object::task || object == Object::run;
      const bool whose = object == Object::created || object == Object::account || (about_task && own);
      const bool allowed = grant == Grant::any || (grant == Grant::own && whose);
      const int status = Case().status(route, role, own);
      const auto what =
          fmt::format("{} {} as {}, {}", route.method, route.path, name_of(role), own ? "own" : "foreign");
      EXPECT_EQ(status == 403, !allowed) << what << ": " << status;
      if (permission != Permission::none) EXPECT_NE(status, 401) << what;
      EXPECT_LT(status, 500) << what;
    }
    if (permission != Permission::none)
      EXPECT_EQ(Case().status_of_nobody(route), 401) << route.method << ' ' << route.path;
  }
}
INSTANTIATE_TEST_SUITE_P(Roles, EveryRoute,
                         testing::Values(Role::admin, Role::operator_, Role::user, Role::viewer, Role::worker),
                         [](const auto& info) { return std::string(name_of(info.param)); });

// Ways to write a path that mean the same to some server, proxy or file system.
std::string disguised(std::string path, std::mt19937& dice) {
  const auto draw = [&](std::size_t below) { return dice() % below; };
  const auto place = [&] { return draw(path.size() + 1); };
  for (std::size_t i = 0, changes = 1 + draw(3); i < changes; ++i) {
    switch (draw(12)) {
      case 0:
        path.insert(place(), "/");
        break;
      case 1:
        path.insert(place(), "/./");
        break;
      case 2:
        path.insert(place(), "/../");
        break;
      case 3: {
        const auto at = draw(path.size());
        path.replace(at, 1, fmt::format("%{:02x}", static_cast<unsigned char>(path[at])));
        break;
      }
      case 4: {
        const auto at = draw(path.size());
        path.replace(at, 1, fmt::format("%25{:02X}", static_cast<unsigned char>(path[at])));
        break;
      }
      case 5:
        path[draw(path.size())] ^= 0x20;
        break;
      case 6:
        path +=
            std::array{"/", "/.", "//", ".json", ";a=b", "%00", "%20", "%2f", "#x", "~", "/health", "%0d%0a"}[draw(12)];
        break;
      case 7:
        path.insert(0, std::array{"/auth/login/..", "/health/..", "/openapi.json/..", "/auth", "/api", "/metrics;",
                                  "/.", "\\"}[draw(8)]);
        break;
      case 8:
        path.insert(place(), "%2e%2e/");
        break;
      case 9:
        path.insert(place(), "\\");
        break;
      case 10:
        path.insert(place(), std::array{"\xc0\xaf", "%c0%af", "%ef%bc%8f", "\xe2\x80\x8b", "\t"}[draw(5)]);
        break;
      default:
        path.insert(place(), ";jsessionid=1");
    }
  }
  return path;
}

TEST_F(AccessTest, FiveThousandDisguisedPaths_NoneIsABypass) {
  std::mt19937 dice(20260329);
  const auto viewer = log_in(Role::viewer);
  int anonymous = 0, forbidden = 0;
  for (int i = 0; i < 6000; ++i) {
    const auto& routes = api_router().routes();
    const auto& route = routes[dice() % routes.size()];
    const auto path = disguised(example_of(route.path), dice);
    if (route.access.permission == Permission::none) continue;
    const auto matched = api_router().match(route.method, path);
    const bool open = matched && matched->route && matched->route->access.permission == Permission::none;
    const auto nobody = send(route.method, path, "");
    ++anonymous;
    if (!open) ASSERT_GE(nobody.status, 400) << route.method << ' ' << path << ' ' << nobody.body;
    // What is open answers with what is open, whichever way it was written.
    if (open) ASSERT_EQ(nobody.body.find("nightly-report"), std::string::npos) << path;
    if (grant_of(Role::viewer, route.access.permission) != Grant::no) continue;
    const auto reply = send(route.method, path, viewer);
    ++forbidden;
    const bool may =
        matched && matched->route && grant_of(Role::viewer, matched->route->access.permission) != Grant::no;
    if (!may) ASSERT_GE(reply.status, 400) << route.method << ' ' << path << ' ' << reply.body;
  }
  EXPECT_GT(anonymous, 5000);
  EXPECT_GT(forbidden, 1500);
  EXPECT_EQ(world.tasks.rows.size(), 1u);
  EXPECT_EQ(world.tasks.rows.at(1).version, 1);
}

TEST_F(AccessTest, Bodies_CannotSetOwnerOrRole) {
  const auto token = log_in(Role::user);
  for (const auto* body :
       {R"({"name":"n","task_type":"shell","owner_id":1})", R"({"name":"n","task_type":"shell","owner":"ada"})",
        R"({"name":"n","task_type":"shell","run_as":"root"})", R"({"name":"n","task_type":"shell","role":"admin"})"})
    EXPECT_EQ(send("POST", "/api/tasks", token, body).status, 400) << body;
  EXPECT_EQ(send("POST", "/api/tasks", token, R"({"name":"n","task_type":"shell"})").status, 201);
  EXPECT_EQ(world.tasks.rows.at(2).owner, id_of(Role::user));
  EXPECT_EQ(send("PATCH", "/api/tasks/2", token, R"({"owner_id":1})").status, 400);
  EXPECT_EQ(send("PUT", "/api/tasks/2", token, R"({"name":"m","task_type":"shell","owner_id":1})").status, 200);
  EXPECT_EQ(world.tasks.rows.at(2).owner, id_of(Role::user));
  EXPECT_EQ(send("PATCH", "/api/tasks/1", token, "{}").status, 403);
  EXPECT_EQ(send("POST", "/auth/password", token,
                 R"({"current_password":"x","new_password":"a good long password","role":"admin"})")
                .status,
            400);
}

TEST_F(AccessTest, OwnRun_OfATaskThatIsGone_IsNobodys) {
  const auto token = log_in(Role::user);
  world.tasks.rows[1].owner = id_of(Role::user);
  EXPECT_EQ(send("POST", "/api/runs/2/cancel", token).status, 200);
  world.tasks.rows.clear();
  EXPECT_EQ(send("POST", "/api/runs/1/retry", token).status, 403);
  EXPECT_EQ(send("POST", "/api/runs/4711/cancel", token).status, 404);
  EXPECT_EQ(send("POST", "/api/runs/x/cancel", token).status, 400);
}

TEST_F(AccessTest, Problem_OfA401_SaysHowToAsk) {
  const auto header_of = [](const Reply& reply, std::string_view name) {
    for (const auto& [key, value] : reply.headers)
      if (key == name) return value;
    return std::string();
  };
  const auto nobody = send("GET", "/api/tasks", "");
  EXPECT_EQ(nobody.status, 401);
  EXPECT_EQ(header_of(nobody, "WWW-Authenticate"), R"(Bearer realm="scheduler")");
  const auto forged = send("GET", "/api/tasks", "x.y.z");
  EXPECT_EQ(forged.status, 401);
  EXPECT_EQ(header_of(forged, "WWW-Authenticate"), R"(Bearer realm="scheduler", error="invalid_token")");
}

class LimitedAccessTest : public AccessTest {
 protected:
  LimitedAccessTest() : AccessTest(1) {}
};

TEST_F(LimitedAccessTest, AccountThatAsksTooOften_IsToldWhenAgain) {
  for (int i = 1; i >= 0; --i) {
    const auto reply = send("GET", "/api/tasks", admin_token());
    EXPECT_EQ(reply.status, 200);
    std::map<std::string_view, std::string> headers(reply.headers.begin(), reply.headers.end());
    EXPECT_EQ(headers["RateLimit-Policy"], "\"principal\";q=2;w=2");
    EXPECT_EQ(headers["RateLimit"], fmt::format("\"principal\";r={};t={}", i, 2 - i));
    EXPECT_EQ(headers["X-RateLimit-Limit"], "2");
    EXPECT_EQ(headers["X-RateLimit-Remaining"], std::to_string(i));
  }
  const auto refused = send("GET", "/api/tasks", admin_token());
  EXPECT_EQ(refused.status, 429);
  std::map<std::string_view, std::string> headers(refused.headers.begin(), refused.headers.end());
  EXPECT_EQ(headers["Retry-After"], "1");
  EXPECT_TRUE(refused.body.contains("RATE_LIMIT_EXCEEDED"));
}

TEST_F(LimitedAccessTest, AddressThatAsksTooOften_IsStoppedBeforeAnyoneLooksAtItsCredentials) {
  for (int i = 0; i < 8; ++i) EXPECT_EQ(send("GET", "/api/tasks", "x.y.z").status, 401);
  EXPECT_EQ(send("GET", "/api/tasks", "x.y.z").status, 429);
  EXPECT_EQ(send("GET", "/api/tasks", admin_token()).status, 429);
}

}  // namespace
}  // namespace scheduler::api
