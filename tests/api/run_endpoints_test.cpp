#include "api/live_server.hpp"

#include <gtest/gtest.h>

#include <future>

using namespace scheduler;
using namespace scheduler::api;

TEST(GetRun, EndedRun_TellsHowItWent) {
  const LiveServer server;
  const auto run = server.get("/api/runs/1").data();
  EXPECT_EQ(run.at("state"), "succeeded");
  EXPECT_EQ(run.at("duration_ms"), 2000);
  EXPECT_EQ(run.at("reason"), nullptr);
  EXPECT_EQ(run.at("worker"), "worker-1");
  EXPECT_EQ(server.get("/api/task-runs/1").data(), run);
  EXPECT_EQ(server.get("/api/runs/99").code(), "RUN_NOT_FOUND");
  EXPECT_EQ(server.get("/api/runs/x").code(), "VALIDATION_ERROR");
}

TEST(GetRun, Wait_EndsWhenTheRunEnds) {
  LiveServer server;
  RawClient client(server.port());
  client.send(message("GET", "/api/runs/3?wait=60"));
  server.change([](FakeWorld& world) { world.runs.rows[3].state = domain::RunState::failed; });
  EXPECT_EQ(client.read_response().data().at("state"), "failed");
}

TEST(GetRun, WaitOutOfRange_IsRefused) {
  const LiveServer server;
  EXPECT_EQ(server.get("/api/runs/1?wait=0").status, 200);
  for (const auto* wait : {"61", "-1", "1.5", "", "forever"})
    EXPECT_EQ(server.get(std::string("/api/runs/1?wait=") + wait).status, 400) << wait;
}

TEST(ListRuns, EachFilter_IsPassedOn) {
  const LiveServer server;
  const auto count = [&](const std::string& query) {
    return server.get("/api/runs?" + query).data().at("items").as_array().size();
  };
  EXPECT_EQ(count(""), 3U);
  EXPECT_EQ(count("task_id=1"), 3U);
  EXPECT_EQ(count("task_id=2"), 0U);
  EXPECT_EQ(count("state=pending"), 1U);
  EXPECT_EQ(count("trigger=schedule"), 0U);
  EXPECT_EQ(count("worker=worker-1"), 2U);
  EXPECT_EQ(count("limit=1&cursor=3"), 1U);
  const auto bad = server.get("/api/runs?state=done&task_id=0&status=x");
  EXPECT_EQ(bad.faulty_fields(), (std::vector<std::string>{"state", "task_id", "status"}));
}

TEST(Why, RunThatWaits_SaysForWhat) {
  const LiveServer server;
  const auto waits = server.get("/api/runs/2/why").data();
  EXPECT_EQ(waits.at("state"), "pending");
  EXPECT_EQ(waits.at("answer"), "no worker is alive");
  EXPECT_EQ(waits.at("gates").at(0).at("code"), "no_worker");
  const auto ended = server.get("/api/runs/1/why").data();
  EXPECT_EQ(ended.at("gates").at(0).at("code"), "ended_well");
  EXPECT_EQ(ended.at("gates").at(0).at("remedy"), nullptr);
  EXPECT_EQ(server.get("/api/runs/99/why").code(), "RUN_NOT_FOUND");
}

TEST(Explain, Task_SaysWhatStartsIt) {
  const LiveServer server;
  const auto task = server.get("/api/tasks/1/explain").data();
  EXPECT_EQ(task.at("task_id"), 1);
  EXPECT_EQ(task.at("answer"), task.at("gates").at(0).at("sentence"));
  EXPECT_EQ(server.get("/api/tasks/99/explain").code(), "TASK_NOT_FOUND");
}

TEST(Attempts, RunWithOne_ListsIt) {
  const LiveServer server;
  const auto items = server.get("/api/runs/1/attempts").data().at("items").as_array();
  ASSERT_EQ(items.size(), 1U);
  EXPECT_EQ(items[0].at("number"), 1);
  EXPECT_EQ(items[0].at("duration_ms"), 2000);
  EXPECT_EQ(server.get("/api/runs/2/attempts").data().at("items").as_array().size(), 0U);
  EXPECT_EQ(server.get("/api/runs/99/attempts").status, 404);
}

TEST(Output, RunThatLeftOne_ShowsItAsItWasWritten) {
  const LiveServer server;
  const auto data = server.get("/api/runs/1/output").data();
  EXPECT_EQ(data.at("run_id"), 1);
  EXPECT_EQ(data.at("output").at("rows"), 1200);
  const auto none = server.get("/api/runs/2/output");
  EXPECT_EQ(none.status, 404);
  EXPECT_EQ(none.code(), "NOT_FOUND");
  EXPECT_EQ(server.get("/api/runs/99/output").code(), "RUN_NOT_FOUND");
  EXPECT_EQ(server.get("/api/runs/1/output?x=1").status, 400);
}

TEST(Upstreams, RunThatWaits_ListsWhatItWaitsFor) {
  const LiveServer server;
  const auto items = server.get("/api/runs/2/upstreams").data().at("items").as_array();
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0].at("task_name"), "one");
  EXPECT_EQ(items[0].at("run_id"), 1);
  EXPECT_EQ(items[0].at("state"), "succeeded");
  EXPECT_EQ(items[0].at("slot"), nullptr);
  EXPECT_EQ(items[1].at("run_id"), nullptr);
  EXPECT_EQ(items[1].at("state"), nullptr);
  EXPECT_EQ(server.get("/api/runs/1/upstreams").data().at("items").as_array().size(), 0U);
  EXPECT_EQ(server.get("/api/runs/99/upstreams").code(), "RUN_NOT_FOUND");
}

TEST(RetryRun, Downstream_ListsTheRunsThatWait) {
  const LiveServer server;
  const auto alone = server.request("POST", "/api/runs/1/retry");
  EXPECT_EQ(alone.data().at("downstream").as_array().size(), 0U);
  const auto made = server.request("POST", "/api/runs/1/retry", R"({"downstream":true})");
  EXPECT_EQ(made.status, 202);
  EXPECT_EQ(made.data().at("downstream").at(0).at("state"), "waiting");
  EXPECT_EQ(server.request("POST", "/api/runs/1/retry", R"({"downstraem":true})").status, 400);
}

TEST(CancelRun, EachState_HasItsAnswer) {
  const LiveServer server;
  const auto pending = server.request("POST", "/api/runs/2/cancel");
  EXPECT_EQ(pending.status, 200);
  EXPECT_EQ(pending.data().at("state"), "cancelled");
  EXPECT_EQ(pending.data().at("reason"), "cancelled_by_user");
  EXPECT_EQ(pending.data().at("cancel_requested"), true);
  const auto running = server.request("POST", "/api/runs/3/cancel");
  EXPECT_EQ(running.status, 202);
  EXPECT_EQ(running.data().at("cancel_requested"), true);
  EXPECT_EQ(server.request("POST", "/api/runs/1/cancel").code(), "CONFLICT");
}

TEST(RetryRun, EndedRun_StartsAgain) {
  const LiveServer server;
  const auto reply = server.request("POST", "/api/runs/1/retry");
  EXPECT_EQ(reply.status, 202);
  EXPECT_EQ(reply.headers.at("location"), "/api/runs/4");
  EXPECT_EQ(reply.data().at("runs").at(0).at("retry_of"), 1);
  EXPECT_EQ(server.request("POST", "/api/runs/3/retry").status, 409);
}

TEST(Bulk, Items_AreAnsweredOneByOne) {
  const LiveServer server;
  const auto made = server.request("POST", "/api/runs/bulk",
                                   R"({"items":[{"task":1,"idempotency_key":"k"},{"task":"nightly-report",
                                       "parameters":{"command":"x"},"run_at":"2026-03-29T01:00:00Z"},
                                       {"task":1,"idempotency_key":"k"}]})");
  ASSERT_EQ(made.status, 202) << made.body;
  const auto items = made.data().at("items").as_array();
  ASSERT_EQ(items.size(), 3U);
  EXPECT_EQ(items[0].at("task_id"), 1);
  EXPECT_EQ(items[0].at("run_ids").as_array().size(), 1U);
  EXPECT_EQ(items[0].at("existed"), false);
  EXPECT_EQ(items[2].at("existed"), true);
  EXPECT_EQ(items[2].at("run_ids"), items[0].at("run_ids"));
  const auto second = server.get("/api/runs/" + std::to_string(items[1].at("run_ids").at(0).as_int64())).data();
  EXPECT_EQ(second.at("due_at"), "2026-03-29T01:00:00Z");
}

TEST(Bulk, FaultyItems_AreAllNamed) {
  const LiveServer server;
  const auto refused = server.request("POST", "/api/runs/bulk",
                                      R"({"items":[{"task":1},{"taks":1},{"task":true},{"task":1,"priority":3},
                                          {"task":1,"run_at":"tomorrow"}]})");
  EXPECT_EQ(refused.code(), "VALIDATION_ERROR");
  EXPECT_EQ(refused.faulty_fields(), (std::vector<std::string>{"/items/1/taks", "/items/1/task", "/items/2/task",
                                                               "/items/3/priority", "/items/4/run_at"}));
}

TEST(Bulk, NoItemsOrTooMany_AreRefused) {
  const LiveServer server;
  EXPECT_EQ(server.request("POST", "/api/runs/bulk", R"({"items":[]})").status, 400);
  std::string many = R"({"items":[{"task":1})";
  for (int i = 0; i < 1000; ++i) many += R"(,{"task":1})";
  EXPECT_EQ(server.request("POST", "/api/runs/bulk", many + "]}").faulty_fields(),
            (std::vector<std::string>{"/items"}));
}

TEST(Bulk, FullBacklog_Is429WithRetryAfter) {
  const LiveServer server;
  ASSERT_EQ(server.request("POST", "/api/tasks/1/pause").status, 200);
  const auto refused = server.request("POST", "/api/runs/bulk", R"({"items":[{"task":1}]})");
  EXPECT_EQ(refused.status, 429);
  EXPECT_EQ(refused.code(), "BACKLOG_FULL");
  EXPECT_NE(refused.headers.at("retry-after"), "");
}

TEST(Group, Run_IsSummed) {
  const LiveServer server;
  const auto group = server.get("/api/runs/1/group").data();
  EXPECT_EQ(group.at("group_id"), 1);
  EXPECT_EQ(group.at("state"), "succeeded");
  EXPECT_EQ(group.at("by_state").at("succeeded"), 1);
  EXPECT_EQ(group.at("runs").as_array().size(), 1U);
  EXPECT_EQ(server.request("POST", "/api/runs/2/group/retry").status, 409);
  EXPECT_EQ(server.request("POST", "/api/runs/1/group/retry").status, 202);
  EXPECT_EQ(server.get("/api/runs/99/group").code(), "RUN_NOT_FOUND");
}

TEST(Trigger, RunAt_IsWhenItIsDue) {
  const LiveServer server;
  const auto later = server.request("POST", "/api/tasks/1/trigger", R"({"run_at":"2026-03-30T00:00:00+02:00"})");
  ASSERT_EQ(later.status, 202) << later.body;
  EXPECT_EQ(later.data().at("runs").at(0).at("due_at"), "2026-03-29T22:00:00Z");
  EXPECT_EQ(server.request("POST", "/api/tasks/1/trigger", R"({"run_at":5})").faulty_fields(),
            (std::vector<std::string>{"/run_at"}));
}
