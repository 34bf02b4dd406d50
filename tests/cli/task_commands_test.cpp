#include "cli/cli_support.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace scheduler;
using namespace scheduler::cli;
using testing::HasSubstr;

namespace {

constexpr const char* kTask =
    R"({"id":7,"name":"report","description":"","task_type":"shell","schedule":"0 2 * * *","timezone":"Europe/Berlin",)"
    R"("parameters":{"command":"true"},"timeout_seconds":300,"status":"active","next_fire_at":"2026-03-29T01:00:00Z"})";

std::string page_of(const std::string& items,
                    const std::string& rest = R"("page":1,"page_size":20,"total":1,"next_cursor":null)") {
  return R"({"items":[)" + items + "]," + rest + "}";
}

std::string run_json(int id, const std::string& state,
                     const std::string& rest = R"("reason":null,"message":"","attempt":1,"duration_ms":1250)") {
  return fmt::format(
      R"({{"id":{},"task_id":7,"task_name":"report","trigger":"manual","state":"{}","due_at":"2026-03-28T12:00:00Z",{}}})",
      id, state, rest);
}

// A server that knows the task "report" by name.
class TaskServer : public FakeServer {
 public:
  TaskServer() { data("GET /api/tasks?name=report", page_of(kTask)); }
};

// The body of the last request.
std::string body_of(const FakeServer& server) { return server.seen().back().body; }

}  // namespace

TEST(TaskList, Tasks_AreShownInEachFormat) {
  FakeServer server;
  server.data("GET /api/tasks", page_of(kTask));
  const auto table = run_cli_on(server, {"task", "list"});
  EXPECT_EQ(table.exit, 0) << table.err;
  EXPECT_EQ(table.out,
            "ID  NAME    TYPE   STATUS  SCHEDULE   ZONE           NEXT FIRE\n"
            "7   report  shell  active  0 2 * * *  Europe/Berlin  2026-03-29T01:00:00Z\n");
  EXPECT_EQ(table.err, "");
  const auto as_json = run_cli_on(server, {"task", "list", "-o", "json"});
  EXPECT_TRUE(as_json.out.starts_with("{\n  \"items\": [\n    {\n      \"id\": 7,\n")) << as_json.out;
  EXPECT_TRUE(as_json.out.ends_with("\"next_cursor\": null\n}\n")) << as_json.out;
  const auto yaml = run_cli_on(server, {"-o", "yaml", "task", "list"});
  EXPECT_TRUE(yaml.out.starts_with("items:\n  - id: 7\n    name: report\n")) << yaml.out;
}

TEST(TaskList, Filters_AreTheQuery) {
  FakeServer server;
  server.data("GET /api/tasks?page=2&page_size=5&status=paused&task_type=http&q=a%20b&label=zone%3Aa", page_of(""));
  server.data("GET /api/tasks?cursor=9&limit=5", page_of(kTask, R"("limit":5,"next_cursor":4)"));
  const auto none = run_cli_on(server, {"task", "list", "--status", "paused", "--type", "http", "--search", "a b",
                                        "--label", "zone=a", "--limit", "5", "--page", "2"});
  EXPECT_EQ(none.exit, 0) << none.err;
  EXPECT_EQ(none.out, "");
  EXPECT_EQ(none.err, "no tasks\n");
  EXPECT_EQ(run_cli_on(server, {"task", "list", "--cursor", "9", "--limit", "5"}).err,
            "more tasks follow; --cursor 4 shows them\n");
}

TEST(TaskList, OnATerminal_StatesAreColouredUnlessRefused) {
  FakeServer server;
  server.data("GET /api/tasks", page_of(kTask));
  EXPECT_THAT(run_cli_on(server, {"task", "list"}, {.terminal = true}).out, HasSubstr("\x1b[32mactive\x1b[0m  0 2"));
  for (const auto& plain :
       {run_cli_on(server, {"task", "list"}, {.environment = {{"NO_COLOR", "1"}}, .terminal = true}),
        run_cli_on(server, {"task", "list", "--no-color"}, {.terminal = true}), run_cli_on(server, {"task", "list"})})
    EXPECT_THAT(plain.out, testing::Not(HasSubstr("\x1b")));
}

TEST(TaskGet, ByNameOrId_IsTheSameTask) {
  TaskServer server;
  server.data("GET /api/tasks/7", kTask);
  const auto by_name = run_cli_on(server, {"task", "get", "report"});
  EXPECT_EQ(by_name.exit, 0) << by_name.err;
  EXPECT_EQ(server.lines(), "GET /api/tasks?name=report, GET /api/tasks/7");
  EXPECT_THAT(by_name.out, HasSubstr("parameters       command=true\n"));
  const auto by_id = run_cli_on(server, {"task", "get", "7"});
  EXPECT_EQ(by_id.out, by_name.out);
  EXPECT_EQ(server.seen().size(), 3u);
}

TEST(TaskGet, NoSuchName_IsNotFound) {
  FakeServer server;
  server.data("GET /api/tasks?name=nightly%20%2F%20report", page_of(""));
  const auto ran = run_cli_on(server, {"task", "get", "nightly / report"});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_EQ(ran.err, "error: no task is named 'nightly / report'; scheduler-cli task list shows those there are\n");
}

TEST(TaskCreate, EveryOption_IsInTheBody) {
  FakeServer server;
  server.data("POST /api/tasks", kTask, 201);
  const auto ran = run_cli_on(server, {"task",
                                       "create",
                                       "report",
                                       "--command",
                                       "echo hi",
                                       "--schedule",
                                       "0 2 * * *",
                                       "--timezone",
                                       "Europe/Berlin",
                                       "--description",
                                       "d",
                                       "--timeout",
                                       "1m30s",
                                       "--retries",
                                       "3",
                                       "--retry-on",
                                       "exit_code",
                                       "--retry-on",
                                       "http_status",
                                       "--retry-exit-code",
                                       "75",
                                       "--retry-http-status",
                                       "429",
                                       "--retry-http-status",
                                       "503",
                                       "--max-lost-attempts",
                                       "2",
                                       "--label",
                                       "a=b",
                                       "--label",
                                       "c=d=e",
                                       "--worker-label",
                                       "zone=a",
                                       "--depends-on",
                                       "5",
                                       "--depends-on",
                                       "import",
                                       "--priority",
                                       "9",
                                       "--overlap",
                                       "forbid",
                                       "--misfire",
                                       "all",
                                       "--misfire-grace",
                                       "2m",
                                       "--catch-up-window",
                                       "6h",
                                       "--delivery",
                                       "at_most_once",
                                       "--trigger-rule",
                                       "all_done",
                                       "--shards",
                                       "2",
                                       "--paused",
                                       "--param",
                                       "shell=bash",
                                       "--param",
                                       "args:=[1,\"x\"]"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(
      body_of(server),
      R"({"name":"report","task_type":"shell","description":"d","schedule":"0 2 * * *","timezone":"Europe/Berlin",)"
      R"("timeout_seconds":90,"max_retries":3,"retry_on":{"reasons":["exit_code","http_status"],"exit_codes":[75],)"
      R"("http_statuses":[429,503]},"max_lost_attempts":2,"priority":9,"shard_count":2,"trigger_rule":"all_done",)"
      R"("overlap_policy":"forbid","misfire_policy":"all","misfire_grace_seconds":120,)"
      R"("catch_up_window_seconds":21600,"delivery":"at_most_once","status":"paused",)"
      R"("labels":{"a":"b","c":"d=e"},"worker_labels":{"zone":"a"},"dependencies":[5,"import"],)"
      R"("parameters":{"command":"echo hi","shell":"bash","args":[1,"x"]}})");
  EXPECT_EQ(server.seen()[0].headers.at("content-type"), "application/json");
  EXPECT_THAT(ran.out, HasSubstr("name             report\n"));
}

TEST(TaskUpdate, CatchUpBounds_CanBeTakenAway) {
  FakeServer server;
  server.data("PATCH /api/tasks/7", R"({"id":7})");
  const auto ran = run_cli_on(server, {"task", "update", "7", "--misfire-grace", "0", "--catch-up-window", "none"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(body_of(server), R"({"misfire_grace_seconds":0,"catch_up_window_seconds":null})");
  EXPECT_EQ(run_cli_on(server, {"task", "update", "7", "--misfire-grace", "soon"}).exit, 2);
}

TEST(TaskCreate, Parameters_MayComeFromAnywhere) {
  const auto path =
      (std::filesystem::temp_directory_path() / fmt::format("scheduler-cli-{}.json", ::getpid())).string();
  std::ofstream(path) << R"({"url":"http://x"})";
  FakeServer server;
  server.data("POST /api/tasks", kTask, 201);
  const auto create = [&](std::vector<std::string> words, World world = {}) {
    words.insert(words.begin(), {"task", "create", "n", "--type", "http"});
    const auto ran = run_cli_on(server, words, std::move(world));
    EXPECT_EQ(ran.exit, 0) << ran.err;
    return body_of(server);
  };
  EXPECT_EQ(create({"--parameters", R"({"url":"http://y"})"}),
            R"({"name":"n","task_type":"http","parameters":{"url":"http://y"}})");
  EXPECT_EQ(create({"--parameters", "{}"}), R"({"name":"n","task_type":"http","parameters":{}})");
  EXPECT_EQ(create({"--parameters", "@" + path}), R"({"name":"n","task_type":"http","parameters":{"url":"http://x"}})");
  EXPECT_EQ(create({"--parameters", "-"}, {.in = R"({"a":1})"}),
            R"({"name":"n","task_type":"http","parameters":{"a":1}})");
  EXPECT_EQ(create({"--parameters", "-", "--param", "a=2"}, {.in = R"({"a":1,"b":1})"}),
            R"({"name":"n","task_type":"http","parameters":{"a":"2","b":1}})");
  std::filesystem::remove(path);
}

TEST(TaskCreate, File_IsTheBodyAndOptionsOverrideIt) {
  FakeServer server;
  server.data("POST /api/tasks", kTask, 201);
  const World world{.in = R"({"name":"a","task_type":"http","parameters":{"url":"u","method":"GET"},"priority":1})"};
  const auto ran = run_cli_on(server, {"task", "create", "-f", "-", "--priority", "2", "--param", "method=PUT"}, world);
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(body_of(server), R"({"name":"a","task_type":"http","parameters":{"url":"u","method":"PUT"},"priority":2})");
}

TEST(TaskCreate, FaultyOptions_SendNothing) {
  FakeServer server;
  const struct {
    std::vector<std::string> words;
    std::string_view message;
    std::string in = {};
  } rows[] = {
      {{}, "give the task a NAME, or a file with one (-f)"},
      {{"n", "--timeout", "soon"}, "--timeout: 'soon' is not a duration; write it like 30s, 5m, 1h30m or 90 (seconds)"},
      {{"n", "--label", "x"}, "--label: 'x' must be written as key=value"},
      {{"n", "--param", "=x"}, "--param: '=x' must be written as key=value"},
      {{"n", "--param", "a:={"}, "--param: 'a:={' must be written as key:=JSON"},
      {{"n", "--parameters", "[1]"}, "--parameters must be a JSON object"},
      {{"n", "--parameters", "{"}, "--parameters is not JSON: "},
      {{"n", "--parameters", "@/nonexistent/x"}, "'/nonexistent/x' cannot be read: No such file or directory"},
      {{"-f", "-"}, "standard input is not JSON: "},
      {{"n", "--overlap", "maybe"}, "scheduler-cli task create --help shows what it takes"},
      {{"n", "--retries", "many"}, "scheduler-cli task create --help shows what it takes"},
      {{"n", "--retry-on", "bad luck"}, "scheduler-cli task create --help shows what it takes"},
      {{"n", "--retry-exit-code", "x"}, "--retry-exit-code: 'x' is not a whole number"},
      {{"n", "--retry-http-status", "5xx"}, "--retry-http-status: '5xx' is not a whole number"},
      {{"n", "--shedule", "x"}, "scheduler-cli task create does not take '--shedule'; did you mean '--schedule'?"},
      {{"n", "extra"}, "scheduler-cli task create does not take 'extra'"},
  };
  for (const auto& row : rows) {
    std::vector<std::string> words{"task", "create"};
    words.insert(words.end(), row.words.begin(), row.words.end());
    const auto ran = run_cli_on(server, words, {.in = row.in});
    EXPECT_EQ(ran.exit, 2) << row.message << "\n" << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(row.message));
  }
  EXPECT_EQ(server.lines(), "");
}

TEST(TaskUpdate, OnlyNamedFields_ArePatched) {
  TaskServer server;
  server.data("PATCH /api/tasks/7", kTask);
  EXPECT_EQ(run_cli_on(server, {"task", "update", "report", "--name", "daily", "--command", "x", "--no-schedule"}).exit,
            0);
  EXPECT_EQ(body_of(server), R"({"name":"daily","schedule":null,"parameters":{"command":"x"}})");
  const auto nothing = run_cli_on(server, {"task", "update", "report"});
  EXPECT_EQ(nothing.exit, 2);
  EXPECT_THAT(nothing.err, HasSubstr("name a field to change"));
}

TEST(TaskDelete, Task_IsGoneAndSaysSo) {
  TaskServer server;
  server.on("DELETE /api/tasks/7", {.status = 204});
  const auto ran = run_cli_on(server, {"task", "delete", "report"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "task report is deleted; its history stays\n");
}

TEST(Task, SimpleVerbs_SendTheirRequest) {
  const struct {
    std::vector<std::string> words;
    std::string request, reply, out;
  } rows[] = {
      {{"pause", "7"}, "POST /api/tasks/7/pause", R"({"id":7,"status":"paused"})", "id      7\nstatus  paused\n"},
      {{"resume", "7"}, "POST /api/tasks/7/resume", R"({"id":7,"status":"active"})", "id      7\nstatus  active\n"},
      {{"stats", "7"},
       "GET /api/tasks/7/stats",
       R"({"runs":2,"by_state":{"failed":1},"duration_avg_ms":1500.5})",
       "runs             2\nby state         failed=1\nduration avg ms  1.5 s\n"},
      {{"next", "7", "-n", "2", "--from", "2026-01-01T00:00:00Z"},
       "GET /api/tasks/7/next?count=2&from=2026-01-01T00%3A00%3A00Z",
       R"({"task_id":7,"slots":["2026-01-01T02:00:00Z","2026-01-02T02:00:00Z"]})",
       "2026-01-01T02:00:00Z\n2026-01-02T02:00:00Z\n"},
      {{"history", "7", "--state", "failed", "--limit", "1"},
       "GET /api/tasks/7/runs?page_size=1&state=failed",
       page_of(run_json(3, "failed")),
       "ID  STATE   TRIGGER  DUE                   ATTEMPT  TOOK   REASON\n"
       "3   failed  manual   2026-03-28T12:00:00Z  1        1.2 s  -\n"},
  };
  for (const auto& row : rows) {
    FakeServer server;
    server.data(row.request, row.reply);
    std::vector<std::string> words{"task"};
    words.insert(words.end(), row.words.begin(), row.words.end());
    const auto ran = run_cli_on(server, words);
    EXPECT_EQ(ran.exit, 0) << row.request << ran.err;
    EXPECT_EQ(server.lines(), row.request);
    EXPECT_EQ(ran.out, row.out) << row.request;
  }
}

TEST(TaskTrigger, Plain_ShowsTheRuns) {
  TaskServer server;
  server.data("POST /api/tasks/7/trigger",
              R"({"runs":[)" + run_json(12, "pending", R"("attempt":0)") + R"(],"existed":false})", 202);
  const auto ran =
      run_cli_on(server, {"task", "trigger", "report", "--param", "day=monday", "--idempotency-key", "k-1"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(body_of(server), R"({"parameters":{"day":"monday"}})");
  EXPECT_EQ(server.seen().back().headers.at("idempotency-key"), "k-1");
  EXPECT_THAT(ran.out, HasSubstr("12  pending  manual   2026-03-28T12:00:00Z  0"));
  EXPECT_EQ(run_cli_on(server, {"task", "trigger", "report"}).exit, 0);
  EXPECT_EQ(body_of(server), "");
}

TEST(TaskTrigger, Wait_ExitCodeIsTheResult) {
  const struct {
    std::string_view state;
    int exit;
    std::string_view line;
  } rows[] = {
      {"succeeded", 0, "run 12 of 'report' succeeded after 1.2 s\n"},
      {"failed", 7, "run 12 of 'report' failed after 1.2 s: exit_code, it ended with code 3 (attempt 2)\n"},
      {"timed_out", 7, "run 12 of 'report' timed out after 1.2 s: exit_code, it ended with code 3 (attempt 2)\n"},
      {"cancelled", 7, "run 12 of 'report' was cancelled after 1.2 s: exit_code, it ended with code 3 (attempt 2)\n"},
  };
  for (const auto& row : rows) {
    TaskServer server;
    server.data("POST /api/tasks/7/trigger", R"({"runs":[)" + run_json(12, "pending") + "]}", 202);
    server.data("GET /api/runs/12?wait=30", run_json(12, "running"));
    server.data("GET /api/runs/12?wait=30",
                run_json(12, std::string(row.state),
                         R"("reason":"exit_code","message":"it ended with code 3","attempt":2,"duration_ms":1250)"));
    const auto ran = run_cli_on(server, {"task", "trigger", "report", "--wait"});
    EXPECT_EQ(ran.exit, row.exit) << ran.err;
    EXPECT_EQ(ran.err, row.line);
    EXPECT_THAT(ran.out, HasSubstr(row.state));
  }
}

TEST(TaskTrigger, Logs_StreamToStdoutAndEndWithTheResult) {
  TaskServer server;
  server.data("POST /api/tasks/7/trigger", R"({"runs":[)" + run_json(12, "pending") + "]}", 202);
  server.on(
      "GET /api/runs/12/logs/stream",
      {.body =
           ": hello\n\n"
           "id: 1:2\nevent: log\ndata: {\"attempt\":1,\"stream\":\"stdout\",\"lines\":[{\"line\":1,\"text\":\"one\"},"
           "{\"line\":2,\"text\":\"two\"}]}\n\n"
           "id: 1:3\nevent: log\ndata: "
           "{\"attempt\":1,\"stream\":\"stderr\",\"lines\":[{\"line\":3,\"text\":\"three\"}]}\n\n"
           "event: end\ndata: " +
           run_json(12, "failed", R"("reason":"exit_code","message":"code 1","attempt":1)") + "\n\n",
       .type = "text/event-stream"});
  const auto ran = run_cli_on(server, {"task", "trigger", "report", "--logs"});
  EXPECT_EQ(ran.exit, 7);
  EXPECT_EQ(ran.out, "one\ntwo\nthree\n");
  EXPECT_EQ(ran.err, "run 12 of 'report' failed: exit_code, code 1 (attempt 1)\n");
}

TEST(TaskTrigger, ServerOfAnotherKind_IsAnError) {
  FakeServer server;
  for (const auto* reply : {"{}", R"({"runs":[]})", R"({"runs":[{}]})", R"({"runs":[7]})", "7"})
    server.data("POST /api/tasks/7/trigger", reply);
  for (int i = 0; i < 5; ++i) EXPECT_EQ(run_cli_on(server, {"task", "trigger", "7", "--wait"}).exit, 1);
}

TEST(TaskTrigger, AtAndIn_AreSentAsAnInstant) {
  TaskServer server;
  server.data("POST /api/tasks/7/trigger", R"({"runs":[)" + run_json(12, "pending") + "]}", 202);
  EXPECT_EQ(run_cli_on(server, {"task", "trigger", "report", "--at", "2026-03-29T01:30:00+01:00"}).exit, 0);
  EXPECT_EQ(body_of(server), R"({"run_at":"2026-03-29T01:30:00+01:00"})");
  EXPECT_EQ(run_cli_on(server, {"task", "trigger", "report", "--in", "90m", "--param", "a=b"}).exit, 0);
  EXPECT_THAT(body_of(server), HasSubstr(R"("run_at":"20)"));
  EXPECT_THAT(body_of(server), HasSubstr(R"("parameters":{"a":"b"})"));
  EXPECT_EQ(run_cli_on(server, {"task", "trigger", "report", "--in", "soon"}).exit, 2);
  EXPECT_EQ(run_cli_on(server, {"task", "trigger", "report", "--in", "1m", "--at", "2026-03-29T01:30:00Z"}).exit, 2);
  EXPECT_EQ(run_cli_on(server, {"task", "trigger"}).exit, 2);
}

TEST(TaskTrigger, Bulk_LinesOrAnArray_AreOneRequest) {
  TaskServer server;
  server.data(
      "POST /api/runs/bulk",
      R"({"items":[{"task_id":7,"run_ids":[12,13],"existed":false},{"task_id":8,"run_ids":[9],"existed":true}]})", 202);
  const auto file = testing::TempDir() + "bulk.json";
  for (const auto* text : {"{\"task\":7}\n\n{\"task\":\"b\",\"idempotency_key\":\"k\"}\n",
                           " [{\"task\":7},{\"task\":\"b\",\"idempotency_key\":\"k\"}]"}) {
    std::ofstream(file) << text;
    const auto ran = run_cli_on(server, {"task", "trigger", "--bulk", file});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_EQ(body_of(server), R"({"items":[{"task":7},{"task":"b","idempotency_key":"k"}]})");
    EXPECT_THAT(ran.out, HasSubstr("12"));
  }
  std::ofstream(file) << "{\"task\":7}\n{\"task\":\n";
  const auto broken = run_cli_on(server, {"task", "trigger", "--bulk", file});
  EXPECT_EQ(broken.exit, 2);
  EXPECT_THAT(broken.err, HasSubstr("line 2 of"));
  EXPECT_EQ(run_cli_on(server, {"task", "trigger", "report", "--bulk", file}).exit, 2);
}

TEST(TaskUpdate, Limits_AreFields) {
  TaskServer server;
  server.data("PATCH /api/tasks/7", kTask);
  run_cli_on(server, {"task", "update", "report", "--max-concurrent", "3", "--max-queued", "50"});
  EXPECT_EQ(body_of(server), R"({"max_concurrent_runs":3,"max_queued_runs":50})");
  run_cli_on(server, {"task", "update", "report", "--no-max-concurrent"});
  EXPECT_EQ(body_of(server), R"({"max_concurrent_runs":null})");
}

TEST(Task, Deps_ShowsTheTreeBothWays) {
  FakeServer server;
  server.data(
      "GET /api/tasks/7/graph?depth=2",
      R"({"tasks":[{"task_id":3,"task_name":"source","status":"paused","last_run_id":null,"last_run_state":null},)"
      R"({"task_id":5,"task_name":"extract","status":"active","last_run_id":9,"last_run_state":"running"},)"
      R"({"task_id":6,"task_name":"check","status":"active","last_run_id":8,"last_run_state":"failed"},)"
      R"({"task_id":7,"task_name":"load","status":"active","last_run_id":12,"last_run_state":"waiting"}],)"
      R"("edges":[{"task_id":5,"upstream_id":3},{"task_id":6,"upstream_id":5},{"task_id":7,"upstream_id":5},)"
      R"({"task_id":7,"upstream_id":6}],"truncated":true})");
  const auto ran = run_cli_on(server, {"task", "deps", "7", "--depth", "2"});
  EXPECT_EQ(ran.out,
            "load (7)  waiting, run 12\n"
            "runs after\n"
            "  extract (5)  running, run 9\n"
            "    source (3)  no run yet, paused\n"
            "  check (6)  failed, run 8\n"
            "    extract (5)  running, run 9  (see above)\n"
            "before\n"
            "  nothing\n");
  EXPECT_THAT(ran.err, HasSubstr("more tasks"));
}
