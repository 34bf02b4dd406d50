#include "api/live_server.hpp"

#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::api;

namespace json = boost::json;

TEST(CreateTask, GoodBody_IsStoredAndFound) {
  const LiveServer server;
  const auto made =
      server.request("POST", "/api/tasks", R"({"name":"ping","task_type":"http","parameters":{"url":"http://x/"}})");
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.headers.at("location"), "/api/tasks/2");
  EXPECT_EQ(made.headers.at("etag"), "\"1\"");
  EXPECT_EQ(made.data().at("name"), "ping");
  EXPECT_EQ(made.data().at("parameters").at("url"), "http://x/");
  EXPECT_EQ(made.data().at("next_fire_at"), nullptr);
  const auto read = server.get("/api/tasks/2");
  EXPECT_EQ(read.status, 200);
  EXPECT_EQ(read.data(), made.data());
}

TEST(CreateTask, Dependencies_MayBeNamesAndComeBackAsIds) {
  const LiveServer server;
  const auto made =
      server.request("POST", "/api/tasks", R"({"name":"b","task_type":"shell","dependencies":["nightly-report"]})");
  EXPECT_EQ(made.status, 201);
  EXPECT_EQ(made.data().at("dependencies"), (json::array{1}));
}

TEST(CreateTask, ManyFaults_AreAllInTheReply) {
  const LiveServer server;
  const auto reply = server.request(
      "POST", "/api/tasks", R"({"name":"","task_type":"shell","prioritty":1,"max_retries":99,"timeout_seconds":"5"})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.headers.at("content-type"), "application/problem+json");
  EXPECT_EQ(reply.code(), "VALIDATION_ERROR");
  EXPECT_EQ(reply.faulty_fields(),
            (std::vector<std::string>{"/timeout_seconds", "/prioritty", "/name", "/max_retries"}));
  EXPECT_TRUE(reply.body.contains("did you mean 'priority'?"));
}

TEST(CreateTask, MalformedJson_TellsTheByte) {
  const LiveServer server;
  const auto reply = server.request("POST", "/api/tasks", R"({"name":"a",})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.code(), "VALIDATION_ERROR");
  EXPECT_TRUE(reply.body.contains("at byte 13")) << reply.body;
}

TEST(CreateTask, MillionOpenBrackets_AreRefusedAtOnce) {
  const LiveServer server;
  const auto reply = server.request("POST", "/api/tasks", std::string(1'000'000, '['));
  EXPECT_EQ(reply.status, 400);
  EXPECT_TRUE(reply.body.contains("32 levels"));
  EXPECT_LT(reply.body.size(), 2000U);
}

TEST(CreateTask, NameThatIsNoUtf8_IsRefused) {
  const LiveServer server;
  EXPECT_EQ(server.request("POST", "/api/tasks", "{\"name\":\"\xFF\xFE\",\"task_type\":\"shell\"}").status, 400);
}

TEST(CreateTask, DuplicateName_IsAConflict) {
  const LiveServer server;
  const auto reply = server.request("POST", "/api/tasks", R"({"name":"nightly-report","task_type":"shell"})");
  EXPECT_EQ(reply.status, 409);
  EXPECT_EQ(reply.code(), "DUPLICATE_TASK_NAME");
}

TEST(CreateTask, ServersOwnFields_AreRefused) {
  const LiveServer server;
  const auto reply = server.request("POST", "/api/tasks", R"({"name":"a","task_type":"shell","id":5,"version":1})");
  EXPECT_EQ(reply.faulty_fields(), (std::vector<std::string>{"/id", "/version"}));
}

TEST(GetTask, CopyThatIsUpToDate_IsNotSentAgain) {
  const LiveServer server;
  const auto etag = server.get("/api/tasks/1").headers.at("etag");
  const auto same = server.get("/api/tasks/1", {{"If-None-Match", "\"other\", W/" + etag}});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  EXPECT_EQ(same.headers.at("etag"), etag);
  EXPECT_EQ(server.get("/api/tasks/1", {{"If-None-Match", "\"99\""}}).status, 200);
}

TEST(GetTask, IdsThatAreNoIds_AreValidationErrors) {
  const LiveServer server;
  for (const auto* id :
       {"0", "-1", "abc", "1.0", "9007199254740992", "99999999999999999999", "1%20", "0x1", "%2e%2e"}) {
    const auto reply = server.get(std::string("/api/tasks/") + id);
    EXPECT_EQ(reply.status, 400) << id;
    EXPECT_EQ(reply.code(), "VALIDATION_ERROR") << id;
  }
  const auto missing = server.get("/api/tasks/9007199254740991");
  EXPECT_EQ(missing.status, 404);
  EXPECT_EQ(missing.code(), "TASK_NOT_FOUND");
}

TEST(ReplaceTask, BodyThatWasRead_CanBeWrittenBack) {
  const LiveServer server;
  const auto read = server.get("/api/tasks/1");
  const auto written =
      server.request("PUT", "/api/tasks/1", json::serialize(read.data()), {{"If-Match", read.headers.at("etag")}});
  EXPECT_EQ(written.status, 200) << written.body;
  EXPECT_EQ(written.data().at("version"), 2);
  EXPECT_EQ(written.data().at("schedule"), read.data().at("schedule"));
}

TEST(ReplaceTask, FieldsThatAreLeftOut_HaveTheirDefaults) {
  const LiveServer server;
  const auto written = server.request("PUT", "/api/tasks/1", R"({"name":"nightly-report","task_type":"shell"})");
  EXPECT_EQ(written.status, 200);
  EXPECT_EQ(written.data().at("schedule"), nullptr);
  EXPECT_EQ(written.data().at("labels"), json::object{});
}

TEST(IfMatch, OldVersion_StopsEveryChange) {
  const LiveServer server;
  const Headers old{{"If-Match", "\"7\""}};
  const auto* body = R"({"name":"n","task_type":"shell"})";
  for (const auto& [method, text] : {std::pair("PUT", body), std::pair("PATCH", "{}"), std::pair("DELETE", "")}) {
    const auto reply = server.request(method, "/api/tasks/1", text, old);
    EXPECT_EQ(reply.status, 412) << method;
    EXPECT_EQ(reply.code(), "PRECONDITION_FAILED") << method;
  }
  EXPECT_EQ(server.get("/api/tasks/1").data().at("version"), 1);
}

TEST(IfMatch, WhatIsNoEtagOfOurs_IsRefused) {
  const LiveServer server;
  for (const auto* tag : {"1", "\"\"", "\"x\"", "\"1\", \"2\"", "\"-1\"", "W/1"})
    EXPECT_EQ(server.request("DELETE", "/api/tasks/1", {}, {{"If-Match", tag}}).status, 400) << tag;
  EXPECT_EQ(server.request("DELETE", "/api/tasks/1", {}, {{"If-Match", "*"}}).status, 204);
}

TEST(PatchTask, NullAndMembers_ChangeOnlyThose) {
  const LiveServer server;
  const auto reply = server.request("PATCH", "/api/tasks/1", R"({"schedule":null,"priority":9})",
                                    {{"Content-Type", "application/merge-patch+json"}});
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.data().at("schedule"), nullptr);
  EXPECT_EQ(reply.data().at("priority"), 9);
  EXPECT_EQ(reply.data().at("labels").at("team"), "data");
  EXPECT_EQ(reply.headers.at("etag"), "\"2\"");
}

TEST(PatchTask, ResultThatIsNotValid_IsRefused) {
  const LiveServer server;
  const auto reply = server.request("PATCH", "/api/tasks/1", R"({"name":null,"max_retries":50})");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.faulty_fields(), (std::vector<std::string>{"/name", "/max_retries"}));
  EXPECT_EQ(server.get("/api/tasks/1").data().at("version"), 1);
}

TEST(PatchTask, ChangeInBetween_IsRepeatedOnTheNewVersion) {
  const LiveServer server({}, [](FakeWorld& world) { world.tasks.overtaken = 2; });
  const auto reply = server.request("PATCH", "/api/tasks/1", R"({"priority":9})");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.data().at("version"), 4);
}

TEST(PatchTask, ChangeInBetweenWithIfMatch_IsTold) {
  const LiveServer server({}, [](FakeWorld& world) { world.tasks.overtaken = 1; });
  EXPECT_EQ(server.request("PATCH", "/api/tasks/1", R"({"priority":9})", {{"If-Match", "\"1\""}}).status, 412);
}

TEST(PatchTask, EndlessChanges_GiveUp) {
  const LiveServer server({}, [](FakeWorld& world) { world.tasks.overtaken = 100; });
  EXPECT_EQ(server.request("PATCH", "/api/tasks/1", R"({"priority":9})").status, 412);
}

// A page of sixty megabytes once held up everybody else for seconds.
TEST(ListTasks, LargeParameters_AreAskedForAFewAtATime) {
  const LiveServer server({}, [](FakeWorld& world) {
    for (std::int64_t id = 1; id <= 12; ++id) {
      world.tasks.rows[id] = world.tasks.rows[1];
      world.tasks.rows[id].id = {id};
      world.tasks.rows[id].spec.parameters = R"({"command":")" + std::string(1'000'000, 'x') + R"("})";
    }
  });
  const auto refused = server.get("/api/tasks");
  EXPECT_EQ(refused.status, 413);
  EXPECT_NE(refused.body.find("page_size"), std::string::npos);
  EXPECT_EQ(server.get("/api/tasks?page_size=5").data().at("items").as_array().size(), 5U);
}

TEST(DeleteTask, ExistingTask_IsGone) {
  const LiveServer server;
  const auto reply = server.request("DELETE", "/api/tasks/1");
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.body, "");
  EXPECT_FALSE(reply.headers.contains("content-length"));
  EXPECT_EQ(server.get("/api/tasks/1").code(), "TASK_NOT_FOUND");
  EXPECT_EQ(server.request("DELETE", "/api/tasks/1").status, 404);
}

TEST(ListTasks, Pages_HoldEveryTaskOnce) {
  const LiveServer server({}, [](FakeWorld& world) {
    for (std::int64_t id = 2; id <= 25; ++id) {
      world.tasks.rows[id] = world.tasks.rows[1];
      world.tasks.rows[id].id = {id};
    }
  });
  const auto first = server.get("/api/tasks").data();
  EXPECT_EQ(first.at("items").as_array().size(), 20U);
  EXPECT_EQ(first.at("page"), 1);
  EXPECT_EQ(first.at("page_size"), 20);
  EXPECT_EQ(first.at("total"), 25);
  const auto second = server.get("/api/tasks?page=2").data();
  EXPECT_EQ(second.at("items").as_array().size(), 5U);
  EXPECT_EQ(second.at("items").at(0).at("id"), 5);
  EXPECT_EQ(second.at("next_cursor"), nullptr);

  const auto keyset = server.get("/api/tasks?limit=20").data();
  EXPECT_EQ(keyset.at("next_cursor"), 6);
  const auto rest = server.get("/api/tasks?limit=20&cursor=6").data();
  EXPECT_EQ(rest.at("items").as_array().size(), 5U);
  EXPECT_EQ(rest.at("next_cursor"), nullptr);
}

TEST(ListTasks, EachFilter_IsPassedOn) {
  const LiveServer server({}, [](FakeWorld& world) {
    auto& other = world.tasks.rows[2] = {.id = {2}};
    other.spec.name = "other";
    other.spec.task_type = "http";
    other.spec.status = domain::TaskStatus::paused;
  });
  for (const auto* query : {"status=active", "task_type=shell", "name=nightly-report", "q=night", "label=team:data",
                            "name=nightly-report&status=active&q=NIGHT&label=team:data&task_type=shell"}) {
    const auto items = server.get(std::string("/api/tasks?") + query).data().at("items").as_array();
    ASSERT_EQ(items.size(), 1U) << query;
    EXPECT_EQ(items[0].at("id"), 1) << query;
  }
  for (const auto* query : {"name=nothing", "name=nightly-report&status=paused", "name=nightly-report&q=x",
                            "name=nightly-report&label=team:x", "name=nightly-report&task_type=http"})
    EXPECT_EQ(server.get(std::string("/api/tasks?") + query).data().at("items").as_array().size(), 0U) << query;
}

TEST(ListTasks, UnknownParameter_IsRefusedWithASuggestion) {
  const LiveServer server;
  const auto reply = server.get("/api/tasks?page_sise=5&status=activ");
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.faulty_fields(), (std::vector<std::string>{"status", "page_sise"}));
  EXPECT_TRUE(reply.body.contains("did you mean 'page_size'?"));
}

TEST(TriggerTask, WithParameters_MakesARun) {
  const LiveServer server;
  const auto reply = server.request("POST", "/api/tasks/1/trigger", R"({"parameters":{"command":"x"}})");
  EXPECT_EQ(reply.status, 202);
  EXPECT_EQ(reply.headers.at("location"), "/api/runs/4");
  EXPECT_EQ(reply.data().at("existed"), false);
  EXPECT_EQ(reply.data().at("runs").at(0).at("parameters").at("command"), "x");
  EXPECT_EQ(reply.data().at("runs").at(0).at("state"), "pending");
}

TEST(TriggerTask, NoBody_NeedsNoContentType) {
  const LiveServer server;
  const auto reply = server.request("POST", "/api/tasks/1/trigger");
  EXPECT_EQ(reply.status, 202);
  EXPECT_EQ(reply.data().at("runs").at(0).at("parameters"), nullptr);
}

TEST(TriggerTask, SameIdempotencyKey_AnswersWithTheSameRun) {
  const LiveServer server;
  const Headers key{{"Idempotency-Key", "k-1"}};
  const auto first = server.request("POST", "/api/tasks/1/trigger", {}, key);
  const auto second = server.request("POST", "/api/tasks/1/trigger", {}, key);
  EXPECT_EQ(second.status, 202);
  EXPECT_EQ(second.data().at("existed"), true);
  EXPECT_EQ(second.data().at("runs"), first.data().at("runs"));
}

TEST(TriggerTask, BadKeysAndBodies_AreRefused) {
  const LiveServer server;
  for (const auto& key : {std::string(256, 'x'), std::string("a b"), std::string("\xC3\xA9")})
    EXPECT_EQ(server.request("POST", "/api/tasks/1/trigger", {}, {{"Idempotency-Key", key}}).status, 400) << key;
  for (const auto* body : {"[]", R"({"parameters":[]})", R"({"params":{}})", R"({"parameters":"x"})"})
    EXPECT_EQ(server.request("POST", "/api/tasks/1/trigger", body).status, 400) << body;
  const auto large = R"({"parameters":{"a":")" + std::string(1'100'000, 'x') + R"("}})";
  EXPECT_EQ(server.request("POST", "/api/tasks/1/trigger", large).faulty_fields(),
            std::vector<std::string>{"/parameters"});
  EXPECT_EQ(server.request("POST", "/api/tasks/77/trigger").code(), "TASK_NOT_FOUND");
}

TEST(PauseAndResume, Task_ChangesItsStatus) {
  const LiveServer server;
  EXPECT_EQ(server.request("POST", "/api/tasks/1/pause").data().at("status"), "paused");
  EXPECT_EQ(server.get("/api/tasks?status=paused").data().at("items").as_array().size(), 1U);
  EXPECT_EQ(server.request("POST", "/api/tasks/1/resume", "{}").data().at("status"), "active");
  EXPECT_EQ(server.request("POST", "/api/tasks/1/pause", R"({"why":"x"})").status, 400);
  EXPECT_EQ(server.request("POST", "/api/tasks/9/pause").status, 404);
}

TEST(NextFireTimes, CountAndFrom_AreUsed) {
  const LiveServer server;
  EXPECT_EQ(server.get("/api/tasks/1/next").data().at("slots").as_array().size(), 5U);
  const auto reply = server.get("/api/tasks/1/next?count=2&from=2026-01-01T00:00:00%2B01:00").data();
  EXPECT_EQ(reply.at("slots"), (json::array{"2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z"}));
  EXPECT_EQ(server.get("/api/tasks/1/next?count=0").status, 400);
  EXPECT_EQ(server.get("/api/tasks/1/next?count=1001").status, 400);
  EXPECT_EQ(server.get("/api/tasks/1/next?from=soon").status, 400);
}

TEST(ListSlots, FirstPage_HasTheLedgerAndItsAudit) {
  const LiveServer server;
  const auto page = server.get("/api/tasks/1/slots?limit=2").data();
  ASSERT_EQ(page.at("items").as_array().size(), 2U);
  EXPECT_EQ(page.at("items").at(1).at("reason"), "overlap");
  EXPECT_EQ(page.at("items").at(1).at("cause_run_id"), 1);
  EXPECT_EQ(page.at("audit").at("complete"), false);
  EXPECT_EQ(page.at("audit").at("skipped").at("overlap"), 60);
  EXPECT_EQ(page.at("audit").at("gaps").at(0).at("slots"), 1);
  const auto cursor = json::serialize(page.at("next_cursor"));
  const auto next = server.get("/api/tasks/1/slots?limit=2&cursor=" + cursor).data();
  EXPECT_FALSE(next.as_object().contains("audit"));
  EXPECT_EQ(server.get("/api/tasks/1/slots?limit=101").status, 400);
  EXPECT_EQ(server.get("/api/tasks/1/slots?to=soon").status, 400);
  EXPECT_EQ(server.get("/api/tasks/1/slots?page=2").status, 400);
  EXPECT_EQ(server.get("/api/tasks/99/slots").status, 404);
}

TEST(TaskStats, KnownTask_IsTold) {
  const LiveServer server;
  const auto stats = server.get("/api/tasks/1/stats").data();
  EXPECT_EQ(stats.at("success_ratio"), 0.75);
  EXPECT_EQ(stats.at("by_state").at("failed"), 1);
  EXPECT_EQ(stats.at("last_failure_at"), nullptr);
  EXPECT_EQ(server.get("/api/tasks/5/stats").status, 404);
}

TEST(RunsOfTask, UnknownTask_HasNoEmptyList) {
  const LiveServer server;
  EXPECT_EQ(server.get("/api/tasks/1/runs?state=pending").data().at("items").as_array().size(), 1U);
  EXPECT_EQ(server.get("/api/tasks/5/runs").status, 404);
}

TEST(DeleteTask, ItsHistory_StaysInReach) {
  const LiveServer server;
  const auto before = server.get("/api/tasks/1/runs").data().at("items");
  ASSERT_EQ(server.request("DELETE", "/api/tasks/1").status, 204);
  EXPECT_EQ(server.get("/api/tasks/1").status, 404);
  EXPECT_EQ(server.get("/api/tasks/1/runs").data().at("items"), before);
  EXPECT_EQ(server.get("/api/tasks/1/stats").status, 200);
}

TEST(PreviewSchedule, UnsavedText_IsExplained) {
  const LiveServer server;
  const auto reply = server.request("POST", "/api/schedules/preview",
                                    R"({"schedule":"@daily","count":2,"from":"2026-01-01T00:00:00Z"})");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.data().at("explanation"), "@daily in UTC");
  EXPECT_EQ(reply.data().at("slots").as_array().size(), 2U);
  const auto bad = server.request("POST", "/api/schedules/preview", R"({"schedule":"61 * * * *"})");
  EXPECT_EQ(bad.status, 400);
  EXPECT_EQ(bad.code(), "INVALID_SCHEDULE");
  EXPECT_EQ(server.request("POST", "/api/schedules/preview", R"({"schedule":"x","from":"y"})").faulty_fields(),
            std::vector<std::string>{"/from"});
  EXPECT_EQ(server.request("POST", "/api/schedules/preview", "{}").faulty_fields(),
            std::vector<std::string>{"/schedule"});
}

TEST(AnyRequest, StoreThatIsAway_IsUnavailable) {
  const LiveServer server({}, [](FakeWorld& world) { world.tasks.broken = {ErrorKind::Database, "disk full"}; });
  const auto reply = server.get("/api/tasks/1");
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.code(), "DATABASE_ERROR");
  EXPECT_EQ(reply.headers.at("retry-after"), "1");
}

TEST(Dependencies, OfATask_AreItsNeighboursWithTheirNewestRun) {
  const LiveServer server;
  const auto data = server.get("/api/tasks/1/dependencies").data();
  EXPECT_EQ(data.at("task").at("task_id"), 1);
  EXPECT_EQ(data.at("upstreams").at(0).at("task_name"), "extract");
  EXPECT_EQ(data.at("upstreams").at(0).at("last_run_state"), "succeeded");
  EXPECT_EQ(data.at("dependants").at(0).at("last_run_id"), nullptr);
  EXPECT_EQ(server.get("/api/tasks/99/dependencies").code(), "TASK_NOT_FOUND");
}

TEST(Graph, OfATask_HasTasksAndEdges) {
  const LiveServer server;
  const auto data = server.get("/api/tasks/1/graph?depth=3").data();
  EXPECT_EQ(data.at("tasks").as_array().size(), 2U);
  EXPECT_EQ(data.at("edges").at(0).at("upstream_id"), 7);
  EXPECT_EQ(data.at("truncated"), false);
  EXPECT_EQ(server.get("/api/tasks/1/graph").data().at("truncated"), true) << "all the way by default";
  EXPECT_EQ(server.get("/api/tasks/1/graph?depth=101").status, 400);
  EXPECT_EQ(server.get("/api/tasks/99/graph").code(), "TASK_NOT_FOUND");
}
