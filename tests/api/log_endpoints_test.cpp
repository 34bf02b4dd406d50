#include "api/live_server.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::api;

namespace {

HttpLimits quick() { return {.heartbeat = Millis{20}}; }

void end_run_3(FakeWorld& world) {
  world.runs.rows[3].state = domain::RunState::succeeded;
  world.runs.rows[3].ended_at = kNow + Seconds(5);
}

}  // namespace

TEST(GetLogs, Json_HasOneEntryForEachLine) {
  const LiveServer server;
  const auto page = server.get("/api/runs/1/logs").data();
  const auto& lines = page.at("lines").as_array();
  ASSERT_EQ(lines.size(), 3U);
  EXPECT_EQ(lines[1].at("line"), 2);
  EXPECT_EQ(lines[1].at("text"), "two");
  EXPECT_EQ(lines[1].at("stream"), "stdout");
  EXPECT_EQ(page.at("next_after_line"), 3);
  EXPECT_EQ(page.at("complete"), true);
}

TEST(GetLogs, AfterLineInsideAChunk_LeavesOutWhatWasSeen) {
  const LiveServer server;
  const auto page = server.get("/api/runs/1/logs?after_line=1&attempt=1").data();
  ASSERT_EQ(page.at("lines").as_array().size(), 2U);
  EXPECT_EQ(page.at("lines").at(0).at("text"), "two");
  EXPECT_EQ(server.get("/api/runs/1/logs?after_line=3").data().at("lines").as_array().size(), 0U);
}

TEST(GetLogs, Text_IsEverythingAndKeepsTheConnection) {
  const LiveServer server;
  RawClient client(server.port());
  client.send(message("GET", "/api/runs/1/logs?format=text&after_line=1") + message("GET", "/health/live"));
  const auto reply = client.read_response();
  EXPECT_EQ(reply.headers.at("content-type"), "text/plain; charset=utf-8");
  EXPECT_EQ(reply.body, "two\nthree\n");
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(GetLogs, EmptyLines_AreKept) {
  const LiveServer server({}, [](FakeWorld& world) {
    world.runs.lines[{1, 1}] = {chunk_of(1, 1, 1, 3, "\n\n"), chunk_of(1, 1, 4, 1, "x")};
  });
  EXPECT_EQ(server.get("/api/runs/1/logs?format=text").body, "\n\n\nx\n");
}

// A million empty lines once came as one reply of 79 MB, and everybody else waited for it.
TEST(GetLogs, ManyShortLines_ComeAPageAtATime) {
  const LiveServer server(
      {}, [](FakeWorld& world) { world.runs.lines[{1, 1}] = {chunk_of(1, 1, 1, 12'000, std::string(11'999, '\n'))}; });
  std::int64_t after = 0;
  for (const std::int64_t last : {5'000, 10'000, 12'000}) {
    const auto page = server.get(fmt::format("/api/runs/1/logs?after_line={}", after)).data();
    after = page.at("next_after_line").as_int64();
    EXPECT_EQ(after, last);
    EXPECT_EQ(page.at("complete"), last == 12'000);
  }
}

TEST(GetLogs, WrongQuestions_AreRefused) {
  const LiveServer server;
  EXPECT_EQ(server.get("/api/runs/1/logs?attempt=2").status, 400);
  EXPECT_EQ(server.get("/api/runs/1/logs?attempt=0").status, 400);
  EXPECT_EQ(server.get("/api/runs/1/logs?format=xml").status, 400);
  EXPECT_EQ(server.get("/api/runs/9/logs").status, 404);
  EXPECT_EQ(server.get("/api/runs/9/logs/stream").status, 404);
  EXPECT_EQ(server.get("/api/runs/1/logs/stream?attempt=5").status, 400);
}

TEST(StreamLogs, EndedRun_IsToldWholeAndEnds) {
  const LiveServer server;
  const auto reply = server.get("/api/runs/1/logs/stream");
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("content-type"), "text/event-stream");
  EXPECT_TRUE(reply.body.starts_with("id: 1:2\nevent: log\ndata: {\"attempt\":1,")) << reply.body;
  EXPECT_TRUE(reply.body.contains("id: 1:3\nevent: log\n"));
  EXPECT_TRUE(reply.body.contains("\n\nevent: end\ndata: {\"id\":1,")) << reply.body;
  EXPECT_TRUE(reply.body.ends_with("\n\n"));
}

TEST(StreamLogs, LastEventId_GoesOnAfterIt) {
  const LiveServer server;
  for (const auto* id : {"1:2", "2"}) {
    const auto reply = server.get("/api/runs/1/logs/stream", {{"Last-Event-ID", id}});
    EXPECT_TRUE(reply.body.starts_with("id: 1:3\nevent: log\n")) << reply.body;
  }
  for (const auto* id : {"x", "1:x", "1:", ":1", "-1", "1:2:3"})
    EXPECT_EQ(server.get("/api/runs/1/logs/stream", {{"Last-Event-ID", id}}).status, 400) << id;
}

TEST(StreamLogs, RunningRun_IsToldAsItGoes) {
  LiveServer server;
  RawClient client(server.port());
  client.send(message("GET", "/api/runs/3/logs/stream"));
  EXPECT_TRUE(client.read_until("\n\n\r\n").contains("\"text\":\"middle\""));
  server.change([](FakeWorld& world) { world.runs.lines[{3, 1}].push_back(chunk_of(3, 1, 3, 1, "more")); });
  const auto more = client.read_until("\n\n\r\n");
  EXPECT_TRUE(more.contains("id: 1:3\n")) << more;
  EXPECT_TRUE(more.contains("\"text\":\"more\"")) << more;
  server.change(end_run_3);
  EXPECT_TRUE(client.read_until("\n\n\r\n").contains("event: end\n"));
  EXPECT_TRUE(client.read_until("0\r\n\r\n").contains("0\r\n\r\n"));
}

TEST(StreamLogs, NoNews_IsAHeartbeat) {
  const LiveServer server(quick());
  RawClient client(server.port());
  client.send(message("GET", "/api/runs/3/logs/stream?after_line=2"));
  EXPECT_TRUE(client.read_until(": still here\n\n").ends_with(": still here\n\n"));
  EXPECT_TRUE(client.read_until(": still here\n\n").ends_with(": still here\n\n"));
}

TEST(StreamLogs, NextAttempt_IsFollowedAfterTheRestOfTheOneBefore) {
  LiveServer server(quick());
  RawClient client(server.port());
  client.send(message("GET", "/api/runs/3/logs/stream"));
  client.read_until("middle");
  // Attempt 1 says one line more, fails, and attempt 3 has spoken already when we look again; 2 was silent.
  server.change([](FakeWorld& world) {
    world.runs.lines[{3, 1}].push_back(chunk_of(3, 1, 3, 1, "last words"));
    world.runs.lines[{3, 3}] = {chunk_of(3, 3, 1, 1, "again")};
    world.runs.rows[3].attempt = 3;
    end_run_3(world);
  });
  const auto rest = client.read_until("0\r\n\r\n");
  const auto last_words = rest.find("id: 1:3\n"), again = rest.find("id: 3:1\n"), end = rest.find("event: end\n");
  EXPECT_LT(last_words, again) << rest;
  EXPECT_LT(again, end) << rest;
  EXPECT_NE(end, std::string::npos) << rest;
}

TEST(StreamLogs, PauseBetweenAttempts_IsWaitedFor) {
  LiveServer server(quick(), [](FakeWorld& world) { world.runs.ended.insert(3); });
  RawClient client(server.port());
  client.send(message("GET", "/api/runs/3/logs/stream"));
  EXPECT_FALSE(client.read_until(": still here\n\n").contains("event: end"));
  server.change([](FakeWorld& world) {
    world.runs.rows[3].attempt = 2;
    world.runs.lines[{3, 2}] = {chunk_of(3, 2, 1, 1, "second")};
    end_run_3(world);
  });
  const auto rest = client.read_until("0\r\n\r\n");
  EXPECT_TRUE(rest.contains("id: 2:1\n")) << rest;
  EXPECT_TRUE(rest.contains("event: end\n")) << rest;
}

TEST(StreamLogs, LinesThatNeverCome_DoNotKeepTheStreamOpen) {
  const LiveServer server(quick(), [](FakeWorld& world) { world.runs.lost.insert(1); });
  const auto reply = server.get("/api/runs/1/logs/stream");
  EXPECT_TRUE(reply.body.contains("event: end\n")) << reply.body;
}

TEST(StreamLogs, RunThatNeverStarted_EndsWithoutLines) {
  const LiveServer server({}, [](FakeWorld& world) { world.runs.rows[2].state = domain::RunState::skipped; });
  EXPECT_TRUE(server.get("/api/runs/2/logs/stream").body.starts_with("event: end\ndata: {\"id\":2,"));
}

TEST(StreamLogs, FixedAttempt_StaysWithIt) {
  const LiveServer server({}, [](FakeWorld& world) {
    world.runs.rows[1].attempt = 2;
    world.runs.lines[{1, 2}] = {chunk_of(1, 2, 1, 1, "second")};
  });
  const auto body = server.get("/api/runs/1/logs/stream?attempt=1", {{"Last-Event-ID", "1:2"}}).body;
  EXPECT_TRUE(body.contains("three"));
  EXPECT_FALSE(body.contains("second"));
}

TEST(StreamLogs, LogoutMeanwhile_LetsNothingMoreOut) {
  LiveServer server(quick());
  RawClient client(server.port());
  client.send(message("GET", "/api/runs/3/logs/stream"));
  client.read_until("middle");
  EXPECT_EQ(server.request("POST", "/auth/logout").status, 204);
  server.change([](FakeWorld& world) { world.runs.lines[{3, 1}].push_back(chunk_of(3, 1, 3, 1, "secret")); });
  const auto rest = client.read_until("0\r\n\r\n");
  EXPECT_TRUE(rest.ends_with("0\r\n\r\n")) << rest;
  EXPECT_FALSE(rest.contains("secret")) << rest;
}

TEST(StreamLogs, ServerThatStops_EndsTheStream) {
  LiveServer server(quick());
  RawClient client(server.port());
  client.send(message("GET", "/api/runs/3/logs/stream"));
  client.read_until("middle");
  server.stop(Millis{5000});
  EXPECT_FALSE(client.read_all().contains("event: end"));
}

TEST(StreamLogs, Http10_IsFramedByTheEndOfTheConnection) {
  const LiveServer server;
  RawClient client(server.port());
  client.send("GET /api/runs/1/logs/stream HTTP/1.0\r\nHost: localhost\r\nAuthorization: Bearer " + admin_token() +
              "\r\n\r\n");
  const auto all = client.read_all();
  EXPECT_FALSE(all.contains("chunked"));
  EXPECT_TRUE(all.contains("\r\n\r\nid: 1:2\n")) << all;
  EXPECT_TRUE(all.ends_with("\n\n"));
}

TEST(StreamLogs, Head_TellsOnlyTheHeaders) {
  const LiveServer server;
  RawClient client(server.port());
  client.send(message("HEAD", "/api/runs/3/logs/stream") + message("GET", "/health/live"));
  EXPECT_EQ(client.read_response(true).headers.at("content-type"), "text/event-stream");
  EXPECT_EQ(client.read_response().status, 200);
}
