// The server as seen by clients that make mistakes, are slow, or mean harm.
#include "api/live_server.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::api;

namespace {

// What a client that sends these bytes, and nothing more, gets to see.
Response answer_to(const LiveServer& server, std::string_view bytes) {
  RawClient client(server.port());
  client.send(bytes);
  return client.read_response();
}

}  // namespace

TEST(Reply, EveryOne_HasTheCommonHeaders) {
  const LiveServer server;
  for (const auto* path : {"/api/tasks/1", "/api/tasks/99", "/nothing", "/metrics"}) {
    const auto reply = server.get(path);
    EXPECT_TRUE(reply.headers.contains("x-request-id")) << path;
    EXPECT_TRUE(reply.headers.contains("content-type")) << path;
    EXPECT_EQ(reply.headers.at("cache-control"), "no-store") << path;
    EXPECT_EQ(reply.headers.at("x-content-type-options"), "nosniff") << path;
    EXPECT_EQ(reply.headers.at("x-frame-options"), "DENY") << path;
    EXPECT_EQ(reply.headers.at("date"), "Sun, 29 Mar 2026 00:00:00 GMT") << path;
  }
}

TEST(RequestId, SaneOne_ComesBack) {
  const LiveServer server;
  const auto reply = server.get("/api/tasks/99", {{"X-Request-Id", "abc-1.2:3_4"}});
  EXPECT_EQ(reply.headers.at("x-request-id"), "abc-1.2:3_4");
  EXPECT_EQ(reply.json().at("request_id"), "abc-1.2:3_4");
}

TEST(RequestId, InsaneOne_IsReplaced) {
  const LiveServer server;
  std::set<std::string> seen;
  for (const auto& id : {std::string("a b"), std::string(129, 'x'), std::string("<script>"), std::string()})
    EXPECT_TRUE(seen.insert(server.get("/health/live", {{"X-Request-Id", id}}).headers.at("x-request-id")).second);
  for (const auto& id : seen) EXPECT_EQ(id.find_first_not_of("0123456789abcdef-"), std::string::npos) << id;
}

TEST(Connection, PipelinedRequests_AreAnsweredInOrder) {
  const LiveServer server;
  RawClient client(server.port());
  client.send(message("GET", "/api/tasks/1") + message("POST", "/api/tasks/1/trigger", R"({"parameters":{}})") +
              message("HEAD", "/api/tasks/1") + message("DELETE", "/api/tasks/9") + message("GET", "/health/live"));
  EXPECT_EQ(client.read_response().status, 200);
  EXPECT_EQ(client.read_response().status, 202);
  EXPECT_EQ(client.read_response(true).status, 200);
  EXPECT_EQ(client.read_response().status, 404);
  EXPECT_EQ(client.read_response().data().at("status"), "ok");
}

TEST(Connection, BytesOneByOne_AreARequest) {
  const LiveServer server;
  RawClient client(server.port());
  for (const char c : message("POST", "/api/tasks/1/trigger", "{}")) client.send(std::string_view(&c, 1));
  EXPECT_EQ(client.read_response().status, 202);
}

TEST(Connection, ChunkedBody_IsRead) {
  const LiveServer server;
  const auto reply =
      answer_to(server,
                "POST /api/tasks/1/trigger HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                "Authorization: Bearer " +
                    admin_token() + "\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n");
  EXPECT_EQ(reply.status, 202);
}

TEST(Connection, CloseWanted_IsClosed) {
  const LiveServer server;
  RawClient client(server.port());
  client.send(message("GET", "/health/live", {}, {{"Connection", "close"}}));
  const auto reply = client.read_response();
  EXPECT_EQ(reply.headers.at("connection"), "close");
  EXPECT_EQ(client.read_all(), "");
}

TEST(Connection, Http10_IsAnsweredAndClosedUnlessKept) {
  const LiveServer server;
  RawClient once(server.port()), kept(server.port());
  once.send("GET /health/live HTTP/1.0\r\n\r\n");
  EXPECT_EQ(once.read_response().status, 200);
  EXPECT_EQ(once.read_all(), "");
  for (int i = 0; i < 2; ++i) {
    kept.send("GET /health/live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    EXPECT_EQ(kept.read_response().headers.at("connection"), "keep-alive");
  }
}

TEST(Connection, WholeUrlAsTarget_IsUnderstood) {
  const LiveServer server;
  EXPECT_EQ(server.get("http://localhost/health/live").status, 200);
  EXPECT_EQ(server.get("http://localhost/api/tasks", {{"Origin", "http://evil.example"}}).status, 403);
}

TEST(Connection, ExpectContinue_IsInvitedToSendItsBody) {
  const LiveServer server;
  RawClient client(server.port());
  const auto whole = message("POST", "/api/tasks/1/trigger", "{}", {{"Expect", "100-continue"}});
  client.send(whole.substr(0, whole.size() - 2));
  EXPECT_EQ(client.read_response().status, 100);
  client.send("{}");
  EXPECT_EQ(client.read_response().status, 202);
}

TEST(Method, Head_IsGetWithoutTheBody) {
  const LiveServer server;
  const auto head = server.request("HEAD", "/api/tasks/1"), get = server.get("/api/tasks/1");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), get.headers.at("content-length"));
  EXPECT_EQ(server.request("HEAD", "/api/tasks/99").status, 404);
}

TEST(Method, Options_TellsWhatThePathKnows) {
  const LiveServer server;
  const auto reply = server.request("OPTIONS", "/api/tasks/1");
  EXPECT_EQ(reply.status, 204);
  EXPECT_EQ(reply.headers.at("allow"), "GET, HEAD, PUT, PATCH, DELETE, OPTIONS");
  EXPECT_FALSE(reply.headers.contains("access-control-allow-origin"));
  EXPECT_EQ(server.request("OPTIONS", "*").status, 204);
  EXPECT_EQ(server.request("OPTIONS", "/nothing").status, 404);
}

TEST(Method, WrongOne_TellsTheRightOnes) {
  const LiveServer server;
  for (const auto* method : {"POST", "DELETE", "BREW", "TRACE", "CONNECT"}) {
    const auto reply = server.request(method, "/api/workers");
    EXPECT_EQ(reply.status, 405) << method;
    EXPECT_EQ(reply.code(), "METHOD_NOT_ALLOWED") << method;
    EXPECT_EQ(reply.headers.at("allow"), "GET, HEAD, OPTIONS") << method;
  }
}

TEST(Guard, ForeignPages_AreRefused) {
  const LiveServer server;
  // A page whose name was bound to our address anew has no credentials of ours.
  EXPECT_EQ(server.get("/api/tasks", {{"Host", "evil.example"}, {"Authorization", ""}}).status, 401);
  const auto foreign = server.request("POST", "/api/tasks/1/trigger", "{}", {{"Origin", "http://evil.example"}});
  EXPECT_EQ(foreign.status, 403);
  EXPECT_EQ(foreign.code(), "INSUFFICIENT_PERMISSIONS");
  EXPECT_EQ(server.request("POST", "/api/tasks/1/trigger", "{}", {{"Origin", "http://localhost"}}).status, 202);
  EXPECT_EQ(server.request("POST", "/api/tasks/1/trigger", "{}", {{"Content-Type", "text/plain"}}).status, 415);
  EXPECT_EQ(server.request("OPTIONS", "/api/tasks", {}, {{"Origin", "http://evil.example"}}).status, 403);
}

TEST(Guard, HostMissingOrDoubled_IsABadRequest) {
  const LiveServer server;
  EXPECT_EQ(answer_to(server, "GET /health HTTP/1.1\r\n\r\n").status, 400);
  EXPECT_EQ(answer_to(server, "GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil\r\n\r\n").status, 400);
}

TEST(Path, TricksWithDotsAndSlashes_FindNothing) {
  const LiveServer server;
  for (const auto* path : {"/../../etc/passwd", "/api/tasks/../system/config", "/%2e%2e/%2e%2e/etc/passwd",
                           "/api/%2e/tasks", "//api/tasks", "/api/tasks;x=1", "/api\\tasks", "/api/tasks/%2F"}) {
    const auto status = server.get(path).status;
    EXPECT_TRUE(status == 404 || status == 400) << path << ' ' << status;
  }
}

TEST(Path, EncodedLetters_AreTheSamePath) {
  const LiveServer server;
  EXPECT_EQ(server.get("/api/%74asks/1").status, 200);
  EXPECT_EQ(server.get("/api/tasks/%ff").status, 400);
  EXPECT_EQ(server.get("/api/tasks?q=%ff").status, 400);
}

TEST(Body, LargerThanTheLimit_IsAnsweredCleanly) {
  const LiveServer server;
  for (const std::size_t size : {std::size_t{3} << 20, std::size_t{10} << 20}) {
    RawClient client(server.port());
    EXPECT_TRUE(client.send(message("POST", "/api/tasks", std::string(size, ' '))));
    const auto reply = client.read_response();
    EXPECT_EQ(reply.status, 413);
    EXPECT_EQ(reply.code(), "PAYLOAD_TOO_LARGE");
    EXPECT_EQ(reply.headers.at("connection"), "close");
  }
}

TEST(Body, LargerThanTheLimitAndExpectingContinue_IsRefusedBeforeItIsSent) {
  const LiveServer server;
  EXPECT_EQ(answer_to(server,
                      "POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10000000\r\n"
                      "Content-Type: application/json\r\nExpect: 100-continue\r\n\r\n")
                .status,
            413);
}

TEST(Body, EndlessChunks_AreCutOff) {
  const LiveServer server({.drain_bytes_max = 4 << 20});
  RawClient client(server.port());
  client.send(
      "POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
      "Transfer-Encoding: chunked\r\n\r\n");
  const auto chunk = fmt::format("{:x}\r\n{}\r\n", 1 << 16, std::string(1 << 16, ' '));
  int sent = 0;
  while (sent < 10'000 && client.send(chunk)) ++sent;
  EXPECT_LT(sent, 1000);
}

TEST(Body, AtTheLimit_IsRead) {
  const LiveServer server;
  const std::string blanks((2 << 20) - 2, ' ');
  EXPECT_EQ(server.request("POST", "/api/tasks/1/trigger", "{" + blanks + "}").status, 202);
}

TEST(Headers, LargerThanTheLimit_AreAnswered431) {
  const LiveServer server;
  EXPECT_EQ(answer_to(server, "GET /health HTTP/1.1\r\nHost: localhost\r\nX: " + std::string(20'000, 'x') + "\r\n\r\n")
                .status,
            431);
  EXPECT_EQ(answer_to(server, "GET /" + std::string(20'000, 'x') + " HTTP/1.1\r\nHost: localhost\r\n\r\n").status, 431);
  std::string many = "GET /health HTTP/1.1\r\nHost: localhost\r\n";
  for (int i = 0; i < 4000; ++i) many += fmt::format("X-{}: y\r\n", i);
  EXPECT_EQ(answer_to(server, many + "\r\n").status, 431);
}

TEST(Bytes, ThatAreNoHttp_AreABadRequest) {
  const LiveServer server;
  for (const std::string_view bytes :
       {"hello\r\n\r\n", "GET / HTTP/3.0\r\n\r\n", "GET  HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nHo st: x\r\n\r\n",
        "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 and more", "GET / HTTP/1.1\nHost: localhost\n\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        "GET /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        "POST /health HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "POST /health HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"}) {
    const auto reply = answer_to(server, bytes);
    EXPECT_EQ(reply.status, 400) << bytes;
    EXPECT_EQ(reply.code(), "VALIDATION_ERROR") << bytes;
  }
  EXPECT_EQ(server.get("/health").status, 200);
}

TEST(Timeout, HalfARequest_IsAnswered408) {
  const LiveServer server({.request_max = Millis{40}});
  for (const auto* bytes : {"GET /hea", "POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\n\r\n{"}) {
    const auto reply = answer_to(server, bytes);
    EXPECT_EQ(reply.status, 408) << bytes;
    EXPECT_EQ(reply.code(), "TIMEOUT") << bytes;
  }
}

TEST(Timeout, SlowTrickle_DoesNotRenewTheDeadline) {
  const LiveServer server({.request_max = Millis{60}});
  RawClient client(server.port());
  client.send("GET /health HTTP/1.1\r\nX: ");
  int letters = 0;
  while (!client.answered_within(Millis{5}) && ++letters < 1000) client.send("x");
  EXPECT_LT(letters, 1000);
  EXPECT_EQ(client.read_response().status, 408);
}

TEST(Timeout, IdleConnection_IsClosedWithoutAWord) {
  const LiveServer server({.idle_max = Millis{100}});
  RawClient once(server.port());
  once.send(message("GET", "/health/live"));
  EXPECT_EQ(once.read_response().status, 200);
  EXPECT_EQ(once.read_all(), "");
  RawClient never(server.port());
  EXPECT_EQ(never.read_all(), "");
}

TEST(Timeout, LongAnswer_IsNoIdleConnection) {
  LiveServer server({.idle_max = Millis{20}, .request_max = Millis{20}, .write_max = Millis{20}});
  RawClient client(server.port());
  client.send(message("GET", "/api/runs/3?wait=1"));
  EXPECT_EQ(client.read_response().status, 200);
}

TEST(Limit, ConnectionsBeyondIt_AreTurnedAway) {
  LiveServer server({.connections_max = 2});
  RawClient first(server.port()), second(server.port());
  for (auto* client : {&first, &second}) {
    client->send(message("GET", "/health/live"));
    EXPECT_EQ(client->read_response().status, 200);
  }
  RawClient third(server.port());
  const auto reply = third.read_response();
  EXPECT_EQ(reply.status, 503);
  EXPECT_EQ(reply.code(), "UNAVAILABLE");
  EXPECT_EQ(reply.headers.at("retry-after"), "1");
  first.send(message("GET", "/health/live"));
  EXPECT_EQ(first.read_response().status, 200);
}

TEST(Client, ThatGoesAway_LeavesTheServerWell) {
  const LiveServer server;
  for (const auto* bytes :
       {"", "GET /api", "POST /api/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{"}) {
    RawClient client(server.port());
    client.send(bytes);
    client.end_sending();
    client.read_all();
  }
  {
    RawClient(server.port()).send(message("GET", "/api/runs/3?wait=60"));
  }
  {
    RawClient(server.port()).send(message("GET", "/api/runs/3/logs/stream"));
  }
  EXPECT_EQ(server.get("/health").status, 200);
}

TEST(Stop, RequestInProgress_IsAnswered) {
  LiveServer server;
  RawClient waiting(server.port()), idle(server.port());
  idle.send(message("GET", "/health/live"));
  EXPECT_EQ(idle.read_response().status, 200);
  waiting.send(message("GET", "/api/runs/3?wait=1"));
  server.until([](const FakeWorld& world) { return world.runs.is_waited_for(); });
  server.stop(Millis{5000});
  const auto reply = waiting.read_response();
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.at("connection"), "close");
  EXPECT_EQ(idle.read_all(), "");
}

TEST(Stop, GraceThatIsOver_CutsOff) {
  LiveServer server;
  RawClient client(server.port());
  client.send(message("GET", "/api/runs/3?wait=60"));
  server.until([](const FakeWorld& world) { return world.runs.is_waited_for(); });
  server.stop(Millis{20});
  EXPECT_EQ(client.read_response().status, 0);
}

TEST(Start, TextThatIsNoAddress_IsRefused) {
  FakeWorld world;
  asio::io_context io;
  for (const auto* address : {"example.com:80", "127.0.0.1", "127.0.0.1:x", "127.0.0.1:70000", ":8080", ""}) {
    config::AppConfig config;
    config.api.bind_address = address;
    HttpServer server(io, config, world.services());
    const auto port = server.start();
    ASSERT_FALSE(port) << address;
    EXPECT_EQ(port.error().kind, ErrorKind::Config) << address;
  }
}

TEST(Start, PortInUse_TellsAddressAndRemedy) {
  const LiveServer first;
  FakeWorld world;
  asio::io_context io;
  config::AppConfig config;
  config.api.bind_address = fmt::format("localhost:{}", first.port());
  HttpServer second(io, config, world.services());
  const auto port = second.start();
  ASSERT_FALSE(port);
  EXPECT_EQ(port.error().kind, ErrorKind::Unavailable);
  EXPECT_TRUE(port.error().message.contains(config.api.bind_address)) << port.error().message;
}
