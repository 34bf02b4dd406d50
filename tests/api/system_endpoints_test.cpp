#include "api/live_server.hpp"
#include "api/openapi.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

using namespace scheduler;
using namespace scheduler::api;

namespace {

void break_store(FakeWorld& world) {
  world.system.seen = {.ready = false,
                       .checks = {{.name = "store", .ok = false, .message = "disk full: free some space"},
                                  {.name = "message_queue", .ok = true, .message = "fine"}}};
}

}  // namespace

TEST(Health, ReadySystem_IsOkEverywhere) {
  const LiveServer server;
  for (const auto* path : {"/health", "/health/ready", "/health/live", "/api/system/health"}) {
    const auto reply = server.get(path);
    EXPECT_EQ(reply.status, 200) << path;
    EXPECT_EQ(reply.data().at("status"), "ok") << path;
  }
}

TEST(Health, BrokenStore_IsNotReadyButAlive) {
  const LiveServer server({}, break_store);
  for (const auto* path : {"/health", "/health/ready"}) {
    const auto reply = server.get(path);
    EXPECT_EQ(reply.status, 503) << path;
    EXPECT_EQ(reply.code(), "UNAVAILABLE");
    EXPECT_EQ(reply.json().at("detail"), "not ready; store: disk full: free some space");
    EXPECT_EQ(reply.data().at("checks").as_array().size(), 2U);
  }
  EXPECT_EQ(server.get("/health/live").status, 200);
  EXPECT_EQ(server.get("/api/system/health").status, 200);
  EXPECT_EQ(server.get("/api/system/health").data().at("status"), "unavailable");
}

TEST(Health, CircuitOfAServer_IsToldWithItsCheck) {
  const LiveServer server({}, [](FakeWorld& world) {
    world.system.seen = {
        .ready = false,
        .checks = {
            {.name = "store",
             .ok = false,
             .message = "the store is away",
             .circuit = Circuit::Report{Circuit::State::open, kNow, "nobody listens"}},
            {.name = "message_queue", .message = "fine", .circuit = Circuit::Report{Circuit::State::closed, kNow, ""}},
            {.name = "workers", .message = "fine"}}};
  });
  const auto checks = server.get("/api/system/health").data().at("checks").as_array();
  EXPECT_EQ(boost::json::serialize(checks.at(0).at("circuit_breaker")),
            R"({"state":"open","since":"2026-03-29T00:00:00Z","last_error":"nobody listens"})");
  EXPECT_EQ(boost::json::serialize(checks.at(1).at("circuit_breaker")),
            R"({"state":"closed","since":"2026-03-29T00:00:00Z","last_error":null})");
  EXPECT_FALSE(checks.at(2).as_object().contains("circuit_breaker"));
  const auto ready = server.get("/health/ready");
  EXPECT_EQ(ready.status, 503);
  EXPECT_EQ(ready.headers.at("retry-after"), "1");
}

TEST(Health, CheckThatReadinessDoesNotNeed_IsDegraded) {
  const LiveServer server({}, [](FakeWorld& world) {
    world.system.seen.checks.push_back({.name = "workers", .ok = false, .message = "no worker is alive"});
  });
  EXPECT_EQ(server.get("/health").data().at("status"), "degraded");
}

TEST(SystemInfo, Process_IsDescribed) {
  const LiveServer server;
  const auto info = server.get("/api/system/info").data();
  EXPECT_EQ(info.at("name"), "scheduler");
  EXPECT_EQ(info.at("pid"), ::getpid());
  EXPECT_EQ(info.at("store"), "memory");
  EXPECT_EQ(info.at("started_at"), "2026-03-29T00:00:00Z");
}

TEST(SystemConfig, Settings_AreToldInTheShapeOfTheFile) {
  const LiveServer server;
  const auto config = server.get("/api/system/config").data();
  EXPECT_EQ(config.at("api").at("bind_address"), "127.0.0.1:0");
  EXPECT_EQ(config.at("worker").at("task_types").as_array().size(), 4U);
}

TEST(SystemStats, Counts_AreTold) {
  const LiveServer server;
  const auto stats = server.get("/api/system/stats").data();
  EXPECT_EQ(stats.at("slots"), 16);
  EXPECT_EQ(stats.at("active_runs").at("running"), 1);
}

TEST(Workers, DrainAndBack_ChangesTheState) {
  const LiveServer server;
  EXPECT_EQ(server.get("/api/workers").data().at("items").as_array().size(), 1U);
  EXPECT_EQ(server.request("POST", "/api/workers/worker-1/drain").data().at("state"), "draining");
  EXPECT_EQ(server.get("/api/workers/worker-1").data().at("state"), "draining");
  EXPECT_EQ(server.request("POST", "/api/workers/worker-1/undrain").data().at("state"), "alive");
  EXPECT_EQ(server.get("/api/workers/nobody").code(), "WORKER_NOT_FOUND");
  const auto stats = server.get("/api/workers/stats").data();
  EXPECT_EQ(stats.at("alive"), 1);
  EXPECT_EQ(stats.at("all").at("held"), 1);
  EXPECT_EQ(server.get("/api/workers/" + std::string(256, 'x')).status, 400);
}

TEST(Metrics, Requests_AreCountedByTemplate) {
  const LiveServer server;
  EXPECT_EQ(server.get("/api/tasks/1").status, 200);
  EXPECT_EQ(server.get("/api/tasks/77?x=1").status, 400);
  EXPECT_EQ(server.get("/no/such/path").status, 404);
  EXPECT_EQ(server.request("BREW", "/api/tasks").status, 405);
  const auto reply = server.get("/metrics");
  EXPECT_EQ(reply.headers.at("content-type"), "text/plain; version=0.0.4; charset=utf-8");
  EXPECT_EQ(reply.body, "GET /api/tasks/{id} 200\nGET /api/tasks/{id} 400\nGET none 404\nOTHER none 405\n");
}

TEST(OpenApi, BothForms_AreServed) {
  const LiveServer server;
  const auto as_json = server.get("/openapi.json");
  EXPECT_EQ(as_json.headers.at("content-type"), "application/json");
  EXPECT_EQ(as_json.json().at("openapi"), "3.1.0");
  const auto as_yaml = server.get("/openapi.yaml");
  EXPECT_EQ(as_yaml.headers.at("content-type"), "application/yaml");
  EXPECT_EQ(as_yaml.body, openapi_as_yaml());
}
