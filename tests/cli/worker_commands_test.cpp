#include "cli/cli_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::cli;
using testing::HasSubstr;

namespace {

constexpr const char* kWorker =
    R"({"id":"w1","incarnation":5,"host":"h","pid":42,"version":"1.2.3","task_types":["http","shell"],"labels":{"zone":"a"},)"
    R"("slots":4,"capacity":8,"busy":1,"load":0.5,"memory_bytes":1000,"state":"alive","state_reason":"",)"
    R"("heartbeat_at":"2026-03-28T12:00:00Z"})";

}  // namespace

TEST(WorkerList, Workers_AreATable) {
  FakeServer server;
  server.data("GET /api/workers", std::string(R"({"items":[)") + kWorker + "]}");
  const auto ran = run_cli_on(server, {"worker", "list"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "ID  STATE  BUSY  SLOTS  TYPES        LABELS  LOAD  HOST  HEARTBEAT\n"
            "w1  alive  1     4      http, shell  zone=a  0.5   h     2026-03-28T12:00:00Z\n");
}

TEST(WorkerList, NoWorkers_SaysWhatToDo) {
  FakeServer server;
  server.data("GET /api/workers", R"({"items":[]})");
  const auto ran = run_cli_on(server, {"worker", "list"});
  EXPECT_EQ(ran.exit, 0);
  EXPECT_EQ(ran.out, "");
  EXPECT_THAT(ran.err, HasSubstr("no workers; start scheduler-worker"));
}

TEST(Worker, EachVerb_SendsItsRequest) {
  FakeServer server;
  for (const auto* line :
       {"GET /api/workers/a%2Fb", "POST /api/workers/a%2Fb/drain", "POST /api/workers/a%2Fb/undrain"})
    server.data(line, kWorker);
  for (const auto* verb : {"get", "drain", "undrain"}) {
    const auto ran = run_cli_on(server, {"worker", verb, "a/b"});
    EXPECT_EQ(ran.exit, 0) << ran.err;
    EXPECT_THAT(ran.out, HasSubstr("task types    http, shell\n"));
  }
  EXPECT_EQ(server.lines(), "GET /api/workers/a%2Fb, POST /api/workers/a%2Fb/drain, POST /api/workers/a%2Fb/undrain");
  EXPECT_EQ(server.seen()[1].body, "");
  EXPECT_FALSE(server.seen()[1].headers.contains("content-type"));
}

// The room for each type was shown as JSON.
TEST(Worker, Stats_IsATable) {
  FakeServer server;
  server.data("GET /api/workers/stats",
              R"({"alive":2,"draining":0,"dead":1,"all":{"workers":2,"slots":8,"busy":1,"held":3},)"
              R"("by_type":[{"task_type":"shell","workers":2,"slots":8,"busy":1,"held":3}]})");
  const auto ran = run_cli_on(server, {"worker", "stats"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out,
            "alive     2\ndraining  0\ndead      1\n"
            "TYPE   WORKERS  SLOTS  BUSY  HELD\n"
            "shell  2        8      1     3\n"
            "(all)  2        8      1     3\n");
}

TEST(SystemHealth, ReadyOrNot_IsTheExitCode) {
  const auto health = [](const char* ready) {
    return std::string(R"({"status":"x","ready":)") + ready +
           R"(,"checks":[{"name":"store","ok":true,"message":"fine","took_ms":1.5}]})";
  };
  FakeServer server;
  server.data("GET /api/system/health", health("true"));
  server.data("GET /api/system/health", health("false"));
  const auto good = run_cli_on(server, {"system", "health"});
  EXPECT_EQ(good.exit, 0) << good.err;
  EXPECT_EQ(good.out, "CHECK  OK   TOOK  MESSAGE\nstore  yes  1 ms  fine\n");
  const auto bad = run_cli_on(server, {"system", "health"});
  EXPECT_EQ(bad.exit, 1);
  EXPECT_EQ(bad.err, "the scheduler is not ready\n");
}

TEST(System, StatsAndInfo_AreShownAsTheyCome) {
  FakeServer server;
  server.data("GET /api/system/stats",
              R"({"tasks_active":3,"active_runs":{"pending":1,"running":2},"oldest_due":null})");
  server.data("GET /api/system/info", R"({"name":"scheduler","version":"9"})");
  EXPECT_EQ(run_cli_on(server, {"system", "stats"}).out,
            "tasks active  3\nactive runs   pending=1 running=2\noldest due    -\n");
  EXPECT_EQ(run_cli_on(server, {"system", "info", "-o", "yaml"}).out, "name: scheduler\nversion: \"9\"\n");
}
