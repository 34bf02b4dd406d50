#include "cli/cli_support.hpp"
#include "core/utf8.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::cli;
using namespace std::chrono_literals;
using testing::HasSubstr;

namespace {

std::string run_json(const std::string& state, int attempt = 1) {
  return fmt::format(
      R"({{"id":12,"task_id":7,"task_name":"report","trigger":"schedule","state":"{}","attempt":{},"worker":"w1",)"
      R"("due_at":"2026-03-28T12:00:00Z","duration_ms":90000,"reason":null,"message":""}})",
      state, attempt);
}

std::string log_event(int attempt, int line, const std::string& text) {
  return fmt::format(
      "id: {0}:{1}\nevent: log\ndata: "
      "{{\"attempt\":{0},\"stream\":\"stdout\",\"lines\":[{{\"line\":{1},\"text\":\"{2}\"}}]}}\n\n",
      attempt, line, text);
}

std::string end_event(const std::string& state) { return "event: end\ndata: " + run_json(state) + "\n\n"; }

Reply stream(std::string body, bool broken = false) {
  return {.body = std::move(body), .type = "text/event-stream", .broken = broken};
}

}  // namespace

TEST(RunList, Filters_AreTheQuery) {
  FakeServer server;
  server.data("GET /api/tasks?name=report", R"({"items":[{"id":7,"name":"report"}]})");
  server.data("GET /api/runs?task_id=7&state=succeeded&trigger=schedule&worker=w1&page_size=2",
              R"({"items":[)" + run_json("succeeded") + R"(],"next_cursor":12})");
  const auto ran = run_cli_on(server, {"run", "list", "--task", "report", "--state", "succeeded", "--trigger",
                                       "schedule", "--worker", "w1", "--limit", "2"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "ID  TASK    STATE      TRIGGER   DUE                   ATTEMPT  TOOK      WORKER  REASON\n"
            "12  report  succeeded  schedule  2026-03-28T12:00:00Z  1        1 m 30 s  w1      -\n");
  EXPECT_EQ(ran.err, "more runs follow; --cursor 12 shows them\n");
  EXPECT_EQ(run_cli_on(server, {"run", "list", "--state", "done"}).exit, 2);
}

TEST(RunGet, Run_IsShownInEachFormat) {
  FakeServer server;
  server.data("GET /api/runs/12", run_json("running"));
  EXPECT_THAT(run_cli_on(server, {"run", "get", "12"}).out, HasSubstr("state        running\n"));
  EXPECT_THAT(run_cli_on(server, {"run", "get", "12", "-o", "json"}).out, HasSubstr("\"state\": \"running\""));
  EXPECT_THAT(run_cli_on(server, {"run", "get", "12", "--output=yaml"}).out, HasSubstr("state: running\n"));
  const auto bad = run_cli_on(server, {"run", "get", "twelve"});
  EXPECT_EQ(bad.exit, 2);
  EXPECT_THAT(bad.err, HasSubstr("'twelve' is not the id of a run"));
}

TEST(RunLogs, SeveralPages_AreReadToTheEnd) {
  FakeServer server;
  server.data(
      "GET /api/runs/12/logs?after_line=0",
      R"({"run_id":12,"attempt":2,"lines":[{"line":1,"text":"one"},{"line":2,"text":""}],"next_after_line":2,"complete":false})");
  server.data("GET /api/runs/12/logs?attempt=2&after_line=2",
              R"({"run_id":12,"attempt":2,"lines":[{"line":3,"text":"three"}],"next_after_line":3,"complete":true})");
  server.data("GET /api/runs/12/logs?attempt=2&after_line=3",
              R"({"run_id":12,"attempt":2,"lines":[],"next_after_line":3,"complete":true})");
  EXPECT_EQ(run_cli_on(server, {"run", "logs", "12"}).out, "one\n\nthree\n");
  const auto as_json = run_cli_on(server, {"run", "logs", "12", "-o", "json"});
  EXPECT_THAT(as_json.out, HasSubstr("\"text\": \"one\""));
  EXPECT_THAT(as_json.out, HasSubstr("\"text\": \"three\""));
  EXPECT_THAT(as_json.out, HasSubstr("\"complete\": true"));
}

// Whatever a server sends: a terminal is told nothing but line ends, and tabs of a task's output.
TEST(Run, HostileServer_PrintsNoHiddenCharacters) {
  const std::string hostile = R"(a\u001b[2J\u0007\u007f\u0085\u009b\u202e\u2066\u200e\ufeff\u2028z)";
  const auto run =
      fmt::format(R"({{"id":12,"task_name":"{0}","state":"{0}","message":"{0}","{0}":{{"{0}":["{0}"]}}}})", hostile);
  FakeServer server;
  server.data("GET /api/runs", R"({"items":[)" + run + R"(],"next_cursor":")" + hostile + R"("})");
  server.data("GET /api/runs/12", run);
  server.data("GET /api/runs/12?wait=30", run);
  server.data("GET /api/runs/12/logs?after_line=0",
              R"({"attempt":1,"lines":[{"line":1,"text":"a\tb)" + hostile + R"("}],"next_after_line":null})");
  server.on("GET /api/runs/12/attempts",
            {.status = 409,
             .body = fmt::format(
                 R"({{"error":{{"code":"{0}","message":"{0}","details":[{{"pointer":"{0}","message":"x{0}"}}]}}}})",
                 hostile)});
  for (const std::string format : {"table", "json", "yaml"})
    for (const std::vector<std::string>& words : {std::vector<std::string>{"run", "list"},
                                                  {"run", "get", "12"},
                                                  {"run", "wait", "12"},
                                                  {"run", "logs", "12"},
                                                  {"run", "attempts", "12"}}) {
      auto all = words;
      all.insert(all.end(), {"-o", format});
      const auto ran = run_cli_on(server, all);
      const auto shown = ran.out + ran.err;
      EXPECT_THAT(shown, HasSubstr("\\u202e")) << format << ' ' << words[1];
      EXPECT_EQ(hidden_character_in(shown, U"\n\t"), std::nullopt) << format << ' ' << words[1];
    }
  EXPECT_THAT(run_cli_on(server, {"run", "logs", "12"}).out, HasSubstr("a\tba\\u001b[2J"));
}

TEST(RunLogs, OneAttempt_IsAskedFor) {
  FakeServer server;
  server.data("GET /api/runs/12/logs?attempt=1&after_line=0",
              R"({"attempt":1,"lines":[],"next_after_line":0,"complete":true})");
  const auto ran = run_cli_on(server, {"run", "logs", "12", "--attempt", "1"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "");
}

TEST(RunLogs, Follow_PrintsWhatComesAndTheResult) {
  FakeServer server;
  server.on("GET /api/runs/12/logs/stream", stream(log_event(1, 1, "hello") + end_event("failed")));
  const auto ran = run_cli_on(server, {"run", "logs", "12", "-f"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out, "hello\n");
  EXPECT_THAT(ran.err, HasSubstr("run 12 of 'report' failed after 1 m 30 s"));
  EXPECT_EQ(server.seen()[0].headers.at("accept"), "text/event-stream");
  EXPECT_EQ(run_cli_on(server, {"run", "logs", "12", "-f", "-o", "json"}).out,
            "{\"attempt\":1,\"stream\":\"stdout\",\"lines\":[{\"line\":1,\"text\":\"hello\"}]}\n");
}

TEST(RunLogs, BrokenStream_IsTakenUpWhereItBroke) {
  FakeServer server;
  server.on("GET /api/runs/12/logs/stream", stream(log_event(1, 1, "one"), true));
  server.on("GET /api/runs/12/logs/stream", stream(log_event(1, 2, "two")));  // ended well, but without a result
  server.on("GET /api/runs/12/logs/stream", stream("event: error\ndata: \"busy\"\n\n"));
  server.on("GET /api/runs/12/logs/stream", stream(log_event(2, 1, "three") + end_event("succeeded")));
  const auto ran = run_cli_on(server, {"run", "logs", "12", "--follow"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "one\ntwo\nthree\n");
  ASSERT_EQ(server.seen().size(), 4u);
  EXPECT_FALSE(server.seen()[0].headers.contains("last-event-id"));
  EXPECT_EQ(server.seen()[1].headers.at("last-event-id"), "1:1");
  EXPECT_EQ(server.seen()[2].headers.at("last-event-id"), "1:2");
  EXPECT_EQ(server.seen()[3].headers.at("last-event-id"), "1:2");
}

TEST(RunLogs, StreamNeverEnds_GivesUpAfterAWhile) {
  FakeServer silent, broken, faulty;
  silent.on("GET /api/runs/12/logs/stream", stream(""));
  EXPECT_EQ(run_cli_on(silent, {"run", "logs", "12", "-f"}).exit, 1);
  broken.on("GET /api/runs/12/logs/stream", stream("", true));
  EXPECT_EQ(run_cli_on(broken, {"run", "logs", "12", "-f"}).exit, 6);
  EXPECT_EQ(broken.seen().size(), 6u);
  faulty.on("GET /api/runs/12/logs/stream", stream("event: error\ndata: \"the store is away\"\n\n"));
  const auto ran = run_cli_on(faulty, {"run", "logs", "12", "-f"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.err, "error: the store is away\n");
}

TEST(RunLogs, RefusedStream_IsAnOrdinaryError) {
  FakeServer server;
  server.on(
      "GET /api/runs/12/logs/stream",
      {.status = 404,
       .body = R"({"success":false,"error":{"code":"RUN_NOT_FOUND","message":"run 12 is not there","details":[]}})"});
  const auto ran = run_cli_on(server, {"run", "logs", "12", "-f"});
  EXPECT_EQ(ran.exit, 3);
  EXPECT_EQ(ran.err, "error: run 12 is not there\n");
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST(RunWait, EndedRun_IsShownWithItsExitCode) {
  FakeServer server;
  server.data("GET /api/runs/12?wait=30", run_json("running"));
  server.data("GET /api/runs/12?wait=30", run_json("succeeded"));
  const auto ran = run_cli_on(server, {"run", "wait", "12", "-o", "json"}, {.terminal = true});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("\"state\": \"succeeded\""));
  EXPECT_EQ(ran.err, "run 12 is running\nrun 12 of 'report' succeeded after 1 m 30 s\n");
}

TEST(RunWait, TooLong_SaysSo) {
  FakeServer server;
  for (const auto* wait : {"10", "6", "2", "1"})
    server.data(std::string("GET /api/runs/12?wait=") + wait, run_json("running"));
  const auto ran = run_cli_on(server, {"run", "wait", "12", "--timeout", "10s"}, {.step = 4s});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_THAT(ran.err, HasSubstr("error: run 12 is still running after 10.0 s; scheduler-cli run wait 12 waits on"));
}

TEST(RunWatch, EachChange_IsOneLine) {
  FakeServer server;
  for (const auto& run : {run_json("pending", 0), run_json("running"), run_json("running"), run_json("pending"),
                          run_json("running", 2), run_json("cancelled", 2)})
    server.data("GET /api/runs/12?wait=1", run);
  const auto ran = run_cli_on(server, {"run", "watch", "12"});
  EXPECT_EQ(ran.exit, 7);
  EXPECT_EQ(ran.out,
            "pending     attempt 0  worker w1\nrunning     attempt 1  worker w1\npending     attempt 1  worker w1\n"
            "running     attempt 2  worker w1\ncancelled   attempt 2  worker w1\n");
  EXPECT_EQ(ran.err, "run 12 of 'report' was cancelled after 1 m 30 s (attempt 2)\n");
}

TEST(Run, CancelRetryAttempts_SendTheirRequest) {
  FakeServer server;
  server.data("POST /api/runs/12/cancel", run_json("running"), 202);
  server.data("POST /api/runs/12/cancel", run_json("cancelled"));
  server.data("POST /api/runs/12/retry", R"({"runs":[)" + run_json("pending") + R"(],"existed":false})", 202);
  server.data(
      "GET /api/runs/12/attempts",
      R"({"items":[{"number":1,"state":"failed","worker":"w1","started_at":"2026-03-28T12:00:00Z","duration_ms":5,"reason":"exit_code","message":"code\n1"}]})");
  EXPECT_THAT(run_cli_on(server, {"run", "cancel", "12"}).err, HasSubstr("its worker was told to stop it"));
  EXPECT_EQ(run_cli_on(server, {"run", "cancel", "12"}).err, "");
  EXPECT_THAT(run_cli_on(server, {"run", "retry", "12"}).out, HasSubstr("12  report  pending"));
  EXPECT_EQ(run_cli_on(server, {"run", "attempts", "12"}).out,
            "ATTEMPT  STATE   WORKER  STARTED               TOOK  REASON     MESSAGE\n"
            "1        failed  w1      2026-03-28T12:00:00Z  5 ms  exit_code  code\\n1\n");
}

TEST(RunOutput, Object_IsPrintedAsJson) {
  FakeServer server;
  server.data("GET /api/runs/12/output", R"({"run_id":12,"output":{"rows":1200,"file":"a\u202eb"}})");
  EXPECT_EQ(run_cli_on(server, {"run", "output", "12"}).out, "{\"rows\":1200,\"file\":\"a\\u202eb\"}\n");
  EXPECT_THAT(run_cli_on(server, {"run", "output", "12", "-o", "json"}).out, HasSubstr("\"rows\": 1200"));
}

TEST(Run, RetryDownstream_SaysSoAndListsAllNewRuns) {
  FakeServer server;
  server.data("POST /api/runs/12/retry",
              R"({"runs":[)" + run_json("pending") + R"(],"existed":false,"downstream":[)" + run_json("waiting") + "]}",
              202);
  const auto ran = run_cli_on(server, {"run", "retry", "12", "--downstream"});
  EXPECT_THAT(ran.out, HasSubstr("report  pending"));
  EXPECT_THAT(ran.out, HasSubstr("report  waiting"));
  EXPECT_EQ(server.seen().back().body, R"({"downstream":true})");
}

TEST(Run, Upstreams_ListsWhatItWaitsFor) {
  FakeServer server;
  server.data("GET /api/runs/12/upstreams",
              R"({"items":[{"task_id":3,"task_name":"extract","slot":"2026-03-28T12:00:00Z","run_id":7,)"
              R"("state":"succeeded"}]})");
  server.data("GET /api/runs/13/upstreams", R"({"items":[]})");
  EXPECT_EQ(run_cli_on(server, {"run", "upstreams", "12"}).out,
            "TASK     FIRE TIME             RUN  STATE\n"
            "extract  2026-03-28T12:00:00Z  7    succeeded\n");
  EXPECT_THAT(run_cli_on(server, {"run", "upstreams", "13"}).err, HasSubstr("waits for no other run"));
}

TEST(Run, Why_ListsTheGates) {
  FakeServer server;
  server.data(
      "GET /api/runs/12/why",
      R"({"run_id":12,"state":"pending","answer":"x","gates":[{"code":"no_worker","sentence":"no worker is alive",)"
      R"("remedy":"start one","since":"2026-03-28T12:00:00Z","opens_at":null,"runs":[],"workers":[]}]})");
  EXPECT_EQ(run_cli_on(server, {"run", "why", "12"}).out,
            "WHAT       WHY                 SINCE                 OPENS AT  WHAT TO DO\n"
            "no_worker  no worker is alive  2026-03-28T12:00:00Z  -         start one\n");
}

TEST(RunGroup, Shards_AreShownAndSummed) {
  FakeServer server;
  server.data("GET /api/runs/12/group",
              R"({"group_id":11,"task_id":7,"state":"failed","shards":2,"by_state":{"failed":1,"succeeded":1},)"
              R"("ended_at":null,"runs":[{"id":11,"shard_index":0,"state":"succeeded"},)"
              R"({"id":12,"shard_index":1,"state":"failed","reason":"exit_code"}]})");
  const auto ran = run_cli_on(server, {"run", "group", "12"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_NE(ran.out.find("exit_code"), std::string::npos);
  EXPECT_EQ(ran.err, "group 11: failed, 2 shards\n");
}

TEST(RunRetry, Group_RunsItsFailedShardsAgain) {
  FakeServer server;
  server.data("POST /api/runs/12/group/retry", R"({"runs":[{"id":14,"state":"pending"}],"existed":false})", 202);
  const auto ran = run_cli_on(server, {"run", "retry", "12", "--group"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_NE(ran.out.find("14"), std::string::npos);
  const auto both = run_cli_on(server, {"run", "retry", "12", "--group", "--downstream"});
  EXPECT_EQ(both.exit, 2);
  EXPECT_THAT(both.err, HasSubstr("--group and --downstream exclude each other"));
}
