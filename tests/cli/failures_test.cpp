// What goes wrong between the command line and the server, and the exit code of each.
#include "cli/cli_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::cli;
using testing::HasSubstr;

TEST(Failure, NobodyListens_SaysWhatToTry) {
  const auto url = dead_url();
  const auto ran = run_cli_alone({"task", "list", "--api-url", url + "/"});
  EXPECT_EQ(ran.exit, 6);
  EXPECT_EQ(ran.err,
            "error: cannot reach " + url +
                " (connection refused); is the scheduler running? start it with ./dev run or scheduler, or set "
                "--api-url\n");
}

TEST(Failure, ReplyIsCutShort_IsUnreachable) {
  FakeServer server;
  server.on("GET /api/tasks", {.body = "{", .broken = true});
  EXPECT_EQ(run_cli_on(server, {"task", "list"}).exit, 6);
}

TEST(Failure, EveryStatus_HasItsExitCode) {
  const struct {
    int status, exit;
  } rows[] = {{400, 5}, {401, 4}, {403, 4}, {404, 3}, {405, 1}, {409, 5}, {412, 5}, {413, 5},
              {415, 5}, {422, 5}, {429, 6}, {500, 1}, {502, 6}, {503, 6}, {504, 6}};
  for (const auto& row : rows) {
    FakeServer server;
    server.on("GET /api/tasks", {.status = row.status,
                                 .body = R"({"success":false,"error":{"code":"X","message":"the words","details":[]}})",
                                 .type = "application/problem+json"});
    const auto ran = run_cli_on(server, {"task", "list"});
    EXPECT_EQ(ran.exit, row.exit) << row.status;
    EXPECT_THAT(ran.err, HasSubstr("error: the words")) << row.status;
  }
}

TEST(Failure, FieldErrors_AreListedOneALine) {
  FakeServer server;
  server.on(
      "POST /api/tasks",
      {.status = 400,
       .body =
           R"({"success":false,"error":{"code":"VALIDATION_ERROR","message":"the task has 2 faults","details":[)"
           R"({"pointer":"/name","message":"must be 1 to 255 bytes long"},{"pointer":"","message":"x\u001b[31m"}]}})"});
  const auto ran = run_cli_on(server, {"task", "create", "x", "--command", "y"});
  EXPECT_EQ(ran.exit, 5);
  EXPECT_EQ(ran.err, "error: the task has 2 faults\n  /name: must be 1 to 255 bytes long\n  (body): x\\u001b[31m\n");
}

TEST(Failure, OneFieldError_IsSaidOnce) {
  FakeServer server;
  server.on("POST /api/tasks",
            {.status = 400,
             .body = R"({"error":{"code":"VALIDATION_ERROR","message":"/priority: must be between 0 and 9","details":)"
                     R"([{"pointer":"/priority","message":"must be between 0 and 9"}]}})"});
  const auto ran = run_cli_on(server, {"task", "create", "x", "--command", "y"});
  EXPECT_EQ(ran.err, "error: /priority: must be between 0 and 9\n");
}

TEST(Failure, RefusedKey_SaysHowToGiveOne) {
  FakeServer server;
  server.on("GET /api/tasks", {.status = 401, .body = R"({"error":{"message":"no key"}})"});
  EXPECT_THAT(run_cli_on(server, {"task", "list"}).err,
              HasSubstr("no key; log in with scheduler-cli auth login, or set SCHEDULER_API_KEY or --api-key-file"));
}

TEST(Failure, SomethingElseAnswers_IsSaid) {
  const struct {
    Reply reply;
    std::string_view message;
  } rows[] = {
      {{.body = "<html>", .type = "text/html"}, "answered 200 (text/html), which is not the scheduler's API"},
      {{.body = "{\"success\":true}"}, "which is not the scheduler's API; does --api-url name the scheduler?"},
      {{.body = "[]"}, "which is not the scheduler's API"},
      {{.body = ""}, "which is not the scheduler's API"},
      {{.status = 302, .body = ""}, "answered 302"},
      {{.status = 500, .body = "oops", .type = "text/plain"},
       "answered 500 (text/plain) without the scheduler's error text"},
      {{.status = 500, .body = R"({"error":"oops"})"}, "answered 500"},
  };
  for (const auto& row : rows) {
    FakeServer server;
    server.on("GET /api/tasks", row.reply);
    const auto ran = run_cli_on(server, {"task", "list"});
    EXPECT_EQ(ran.exit, 1) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(row.message));
    EXPECT_EQ(ran.out, "");
  }
}

TEST(Failure, DataOfAnUnexpectedShape_NeverCrashes) {
  const std::vector<std::vector<std::string>> commands = {{"task", "list"},          {"task", "get", "7"},
                                                          {"task", "get", "report"}, {"task", "history", "7"},
                                                          {"task", "next", "7"},     {"task", "explain", "7"},
                                                          {"run", "list"},           {"run", "get", "7"},
                                                          {"run", "attempts", "7"},  {"run", "why", "7"},
                                                          {"run", "cancel", "7"},    {"run", "retry", "7"},
                                                          {"task", "deps", "7"},     {"run", "upstreams", "7"},
                                                          {"run", "logs", "7"},      {"run", "wait", "7"},
                                                          {"run", "watch", "7"},     {"worker", "list"},
                                                          {"system", "health"},      {"schedule", "preview", "@daily"}};
  for (const auto* data : {"null", "7", "[]", "{}", "\"x\"", R"({"items":7})", R"({"items":[7,null]})",
                           R"({"tasks":[7,{}],"edges":[{},{"task_id":7,"upstream_id":7}],"truncated":7})",
                           R"({"lines":[7],"next_after_line":"x"})", R"({"slots":{}})", R"({"state":7})"})
    for (const auto& words : commands) {
      FakeServer server;
      for (const auto* line :
           {"GET /api/tasks",          "GET /api/tasks/7",           "GET /api/tasks?name=report",
            "GET /api/tasks/7/runs",   "GET /api/tasks/7/next",      "GET /api/tasks/7/explain",
            "GET /api/tasks/7/graph",  "GET /api/runs/7/upstreams",  "GET /api/runs",
            "GET /api/runs/7",         "GET /api/runs/7/attempts",   "GET /api/runs/7/why",
            "POST /api/runs/7/cancel", "POST /api/runs/7/retry",     "GET /api/runs/7/logs?after_line=0",
            "GET /api/runs/7?wait=30", "GET /api/runs/7?wait=1",     "GET /api/workers",
            "GET /api/system/health",  "POST /api/schedules/preview"})
        server.data(line, data);
      const auto ran = run_cli_on(server, words);
      EXPECT_TRUE(ran.exit == 0 || ran.exit == 1 || ran.exit == 3 || ran.exit == 7)
          << words[1] << " " << data << ran.err;
    }
}

TEST(Request, Key_IsSentAsBearer) {
  FakeServer server;
  server.data("GET /api/tasks", R"({"items":[]})");
  (void)run_cli_on(server, {"task", "list"}, {.environment = {{"SCHEDULER_API_KEY", "s3cret"}}});
  (void)run_cli_on(server, {"task", "list", "--api-key-file", "-"},
                   {.environment = {{"SCHEDULER_API_KEY", "x"}}, .in = "from-file\n"});
  (void)run_cli_on(server, {"task", "list"});
  EXPECT_EQ(server.seen()[0].headers.at("authorization"), "Bearer s3cret");
  EXPECT_EQ(server.seen()[1].headers.at("authorization"), "Bearer from-file");
  EXPECT_FALSE(server.seen()[2].headers.contains("authorization"));
  const auto forged = run_cli_on(server, {"task", "list"}, {.environment = {{"SCHEDULER_API_KEY", "a\r\nX: y"}}});
  EXPECT_EQ(forged.exit, 2);
  EXPECT_EQ(server.seen().size(), 3u);
}

TEST(Request, FlagBeforeTheNoun_Counts) {
  FakeServer server;
  server.data("GET /api/tasks", R"({"items":[]})");
  const auto ran = run_cli_alone({"--api-url", server.url(), "--output=json", "task", "list"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "{\n  \"items\": []\n}\n");
}

TEST(Usage, EveryMistake_IsNamedWithAHint) {
  const struct {
    std::vector<std::string> words;
    std::string_view message;
  } rows[] = {
      {{"tsk", "list"}, "there is no command 'tsk'; did you mean 'task'?"},
      {{"zzzzzz"}, "there is no command 'zzzzzz'; there are task, run, schedule"},
      {{"task"}, "say what to do with 'task'; there are list, get, create"},
      {{"task", "lsit"}, "there is no 'task lsit'"},
      {{"task", "triger", "x"}, "there is no 'task triger'; did you mean 'trigger'?"},
      {{"task", "get"}, "TASK is required"},
      {{"task", "list", "--output", "xml"}, "scheduler-cli task list --help shows what it takes"},
      {{"task", "list", "--outptu", "json"}, "does not take '--outptu'; did you mean '--output'?"},
      {{"task", "list", "--api-url", "ftp://x"},
       "--api-url: 'ftp://x' is not a URL of a scheduler; write it like http://127.0.0.1:8080"},
      {{"task", "list", "--api-url", "http://"}, "--api-url: 'http:' is not a URL"},
      {{"task", "list", "--api-key-file", "/nonexistent/key"},
       "'/nonexistent/key' cannot be read: No such file or directory"},
  };
  for (const auto& row : rows) {
    const auto ran = run_cli_alone(row.words);
    EXPECT_EQ(ran.exit, 2) << row.message;
    EXPECT_THAT(ran.err, HasSubstr(row.message));
    EXPECT_EQ(ran.out, "");
  }
}

TEST(Help, EveryLevel_GoesToStdout) {
  const struct {
    std::vector<std::string> words;
    std::string_view text;
  } rows[] = {
      {{}, "Usage: scheduler-cli NOUN VERB"},
      {{"--help"}, "7 the awaited run did not succeed."},
      {{"task", "--help"}, "trigger    Run a task, now or later; or many at once."},
      {{"task", "create", "--help"}, "--depends-on"},
      {{"version", "-h"}, "scheduler-cli version"},
  };
  for (const auto& row : rows) {
    const auto ran = run_cli_alone(row.words);
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr(row.text));
  }
}
