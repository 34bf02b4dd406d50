#include "cli/cli_support.hpp"
#include "support/temp_dir.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <sys/stat.h>

using namespace scheduler;
using namespace scheduler::cli;
using scheduler::testing_support::TempDir;
using testing::HasSubstr;

namespace {

constexpr auto kRefused =
    R"({"success":false,"error":{"code":"INVALID_TOKEN","message":"the session has ended","details":[]}})";

class AccountCommands : public testing::Test {
 protected:
  AccountCommands() {
    server.data("POST /auth/login", tokens("access-1", "refresh-1"));
    server.data("GET /auth/me", R"({"username":"ada","role":"admin"})");
  }
  static std::string tokens(std::string_view access, std::string_view refresh) {
    return fmt::format(R"({{"access_token":"{}","token_type":"Bearer","expires_in_seconds":600,"refresh_token":"{}",)"
                       R"("session_id":1}})",
                       access, refresh);
  }
  Ran run(const std::vector<std::string>& words, std::string in = "", Seconds later = Seconds{0}) {
    World world{.environment = {{"XDG_STATE_HOME", home.file("state")}}, .in = std::move(in)};
    world.now += later;
    return run_cli_on(server, words, world);
  }
  Ran log_in() { return run({"auth", "login", "ada", "--password-file", "-"}, "a good sentence\n"); }
  [[nodiscard]] std::string file() const {
    std::ostringstream text;
    text << std::ifstream(path()).rdbuf();
    return text.str();
  }
  [[nodiscard]] std::string path() const { return home.file("state/scheduler/tokens.json"); }
  [[nodiscard]] std::string authorization() const {
    const auto headers = server.seen().back().headers;
    return headers.contains("authorization") ? headers.at("authorization") : "";
  }

  TempDir home;
  FakeServer server;
};

}  // namespace

TEST_F(AccountCommands, Login_RightPassword_IsKeptForItsOwnerAloneAndUsedLater) {
  const auto ran = log_in();
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(server.seen().back().body, R"({"username":"ada","password":"a good sentence"})");
  EXPECT_EQ(authorization(), "");
  struct stat status{};
  ASSERT_EQ(::stat(path().c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  EXPECT_EQ(run({"auth", "status"}).exit, 0);
  EXPECT_EQ(authorization(), "Bearer access-1");
}

TEST_F(AccountCommands, Login_WrongPassword_IsExitCode4AndKeepsNothing) {
  FakeServer refusing;
  refusing.on("POST /auth/login", {.status = 401, .body = kRefused});
  const auto ran = run_cli_on(refusing, {"auth", "login", "ada", "--password-file", "-"},
                              {.environment = {{"XDG_STATE_HOME", home.file("state")}}, .in = "x"});
  EXPECT_EQ(ran.exit, 4);
  EXPECT_EQ(ran.err, "error: the session has ended\n");  // the server's words, without the advice to log in
  EXPECT_EQ(file(), "");
}

TEST_F(AccountCommands, AnyCommand_AccessTokenIsDue_IsRefreshedOnceAndKept) {
  log_in();
  server.data("POST /auth/refresh", tokens("access-2", "refresh-2"));
  EXPECT_EQ(run({"auth", "status"}, "", Seconds{580}).exit, 0);
  EXPECT_EQ(authorization(), "Bearer access-2");
  EXPECT_EQ(run({"auth", "status"}, "", Seconds{590}).exit, 0);
  EXPECT_EQ(server.lines(), "POST /auth/login, POST /auth/refresh, GET /auth/me, GET /auth/me");
  EXPECT_THAT(file(), HasSubstr("refresh-2"));
}

TEST_F(AccountCommands, AnyCommand_LoginHasEnded_SaysSoAndForgetsIt) {
  log_in();
  server.on("POST /auth/refresh", {.status = 401, .body = kRefused});
  const auto ran = run({"auth", "status"}, "", Seconds{600});
  EXPECT_EQ(ran.exit, 4);
  EXPECT_THAT(ran.err, HasSubstr("log in again with scheduler-cli auth login"));
  EXPECT_EQ(file(), "{}\n");
}

// `run wait` asks again and again, for hours if need be, and an access token counts for ten minutes.
TEST_F(AccountCommands, RunWait_LongerThanAnAccessToken_IsRefreshedMeanwhile) {
  log_in();
  server.data("POST /auth/refresh", tokens("access-2", "refresh-2"));
  server.data("GET /api/runs/1?wait=30", R"({"id":1,"state":"running"})");
  World world{.environment = {{"XDG_STATE_HOME", home.file("state")}}};
  world.step = Seconds{60};
  run_cli_on(server, {"run", "wait", "1", "--timeout", "30m"}, world);
  const auto lines = server.lines();
  EXPECT_LT(lines.find("GET /api/runs/1?wait=30"), lines.find("POST /auth/refresh")) << lines;
  EXPECT_EQ(authorization(), "Bearer access-2") << lines;
}

TEST_F(AccountCommands, AnyCommand_KeyIsGiven_IsUsedInsteadOfTheLogin) {
  log_in();
  run({"auth", "status", "--api-key", "sch_key"});
  EXPECT_EQ(authorization(), "Bearer sch_key");
}

TEST_F(AccountCommands, Logout_EndsTheSessionAndForgetsIt) {
  log_in();
  server.on("POST /auth/logout", {.status = 204});
  EXPECT_EQ(run({"auth", "logout"}).exit, 0);
  EXPECT_EQ(authorization(), "Bearer access-1");
  EXPECT_EQ(file(), "{}\n");
}

TEST_F(AccountCommands, Setup_Link_IsTakenApart) {
  server.data("POST /auth/setup", tokens("a", "r"), 201);
  const auto ran =
      run({"auth", "setup", server.url() + "/auth/setup#the-token", "ada", "--password-file", "-"}, "a good sentence");
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(server.seen().back().body, R"({"token":"the-token","username":"ada","password":"a good sentence"})");
  EXPECT_EQ(run({"auth", "setup", "the-token", "ada", "--password-file", "-"}, "x").exit, 2);
}

TEST_F(AccountCommands, ApiKeyCreate_TextGoesToStandardOutputAlone) {
  server.data("POST /auth/api-keys", R"({"api_key":"sch_x_y","id":3,"expires_at":"2026-04-27T00:00:00Z"})", 201);
  const auto ran =
      run({"apikey", "create", "ci", "--permission", "task_read", "--permission", "task_write", "--days", "30"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "sch_x_y\n");
  EXPECT_EQ(server.seen().back().body,
            R"({"name":"ci","permissions":["task_read","task_write"],"expires_in_days":30})");
  EXPECT_EQ(run({"apikey", "create", "ci", "--permission", "admin"}).exit, 2);
}

TEST_F(AccountCommands, UserUpdate_NothingToChange_IsAUsageError) {
  EXPECT_EQ(run({"user", "update", "2"}).exit, 2);
  EXPECT_EQ(run({"user", "update", "2", "--enable", "--disable"}).exit, 2);
  server.data("PATCH /api/users/2", R"({"id":2,"username":"bob","role":"viewer","disabled":true})");
  EXPECT_EQ(run({"user", "update", "2", "--role", "viewer", "--disable"}).exit, 0);
  EXPECT_EQ(server.seen().back().body, R"({"role":"viewer","disabled":true})");
}

TEST_F(AccountCommands, Login_WithoutATerminal_SaysHow) {
  const auto ran = run({"auth", "login", "ada"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("--password-file"));
}
