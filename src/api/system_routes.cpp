// The system about itself: health, numbers, settings, the contract.
#include "api/error_reply.hpp"
#include "api/handler.hpp"
#include "api/json_writer.hpp"
#include "api/openapi.hpp"

#include <algorithm>
#include <unistd.h>

namespace scheduler::api {
namespace {

using application::Health;

void write_circuit(JsonWriter& json, const Circuit::Report& circuit) {
  json.begin_object().member("state", name_of(circuit.state)).member("since", circuit.since).key("last_error");
  if (circuit.last_error.empty())
    json.null();
  else
    json.value(circuit.last_error);
  json.end_object();
}

std::string health_json(const Health& health) {
  JsonWriter json;
  const bool all_ok = std::ranges::all_of(health.checks, &application::HealthCheck::ok);
  json.begin_object()
      .member("status", !health.ready ? "unavailable"
                        : all_ok      ? "ok"
                                      : "degraded")
      .member("ready", health.ready)
      .key("checks")
      .begin_array();
  for (const auto& check : health.checks) {
    json.begin_object()
        .member("name", check.name)
        .member("ok", check.ok)
        .member("message", check.message)
        .member("took_ms", static_cast<double>(check.took.count()) / 1000.0);
    if (check.circuit) write_circuit(json.key("circuit_breaker"), *check.circuit);
    json.end_object();
  }
  return json.end_array().end_object().take();
}

Async<Reply> system_health(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  const auto health = co_await context.services.system.health();
  co_return success(context, health_json(health));
}

// For load balancers and supervisors: the status alone tells whether to send work here.
Async<Reply> ready(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  const auto health = co_await context.services.system.health();
  if (health.ready && !context.leaving) co_return success(context, health_json(health));
  Problem problem{.status = 503, .code = code_of(ErrorKind::Unavailable), .detail = "not ready"};
  if (context.leaving) problem.detail += "; the process is stopping, and waits for its running attempts to end";
  for (const auto& check : health.checks) {
    if (check.ok) continue;
    problem.detail += "; " + check.name + ": " + check.message;
    problem.fields.push_back({check.name, check.message});
  }
  co_return problem_reply(problem, request, context.services.clock.now(), health_json(health));
}

Async<Reply> live(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  co_return success(context, R"({"status":"ok"})");
}

Async<Reply> system_stats(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_TRY(const auto stats, context.services.system.stats());
  JsonWriter json;
  json.begin_object()
      .member("tasks_active", stats.store.tasks_active)
      .member("tasks_paused", stats.store.tasks_paused)
      .member("active_runs", stats.store.active_runs)
      .member("oldest_due", stats.store.oldest_due)
      .member("workers_alive", stats.workers_alive)
      .member("slots", stats.slots)
      .member("slots_busy", stats.slots_busy)
      .member("status_queue_depth", stats.status_queue_depth)
      .end_object();
  co_return success(context, json.take());
}

Async<Reply> system_info(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  JsonWriter json;
  json.begin_object()
      .member("name", "scheduler")
      .member("version", SCHEDULER_VERSION)
      .member("pid", static_cast<std::int64_t>(::getpid()))
      .member("started_at", context.started_at)
      .member("store", context.services.system.store_description())
      .key("features")
      .begin_array();
  json.value("api");
  if (context.config.dispatcher.enabled) json.value("dispatcher");
  if (context.config.worker.enabled) json.value("worker");
  json.end_array().end_object();
  co_return success(context, json.take());
}

std::string config_json(const config::AppConfig& config) {
  JsonWriter json;
  json.begin_object();
  json.key("api")
      .begin_object()
      .member("enabled", config.api.enabled)
      .member("bind_address", config.api.bind_address)
      .end_object();
  json.key("database")
      .begin_object()
      .member("url", config::without_password(config.database.url))
      .member("max_connections", config.database.max_connections)
      .end_object();
  json.key("message_queue").begin_object().member("type", config.message_queue.type).end_object();
  json.key("dispatcher")
      .begin_object()
      .member("enabled", config.dispatcher.enabled)
      .member("strategy", config.dispatcher.strategy)
      .member("worker_timeout_seconds", config.dispatcher.worker_timeout_seconds)
      .end_object();
  json.key("worker")
      .begin_object()
      .member("enabled", config.worker.enabled)
      .member("worker_id", config.worker.worker_id)
      .member("slots", config.worker.slots)
      .member("task_types", config.worker.task_types)
      .member("labels", config.worker.labels)
      .member("heartbeat_interval_seconds", config.worker.heartbeat_interval_seconds)
      .member("drain_timeout_seconds", config.worker.drain_timeout_seconds)
      .member("kill_grace_seconds", config.worker.kill_grace_seconds)
      .end_object();
  json.key("log").begin_object().member("level", config.log.level).member("format", config.log.format).end_object();
  return json.member("data_dir", config.data_dir).end_object().take();
}

Async<Reply> system_config(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  co_return success(context, config_json(context.config));
}

Async<Reply> metrics(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  co_return Reply{.body = context.services.metrics.exposition(),
                  .content_type = "text/plain; version=0.0.4; charset=utf-8"};
}

Async<Reply> openapi_json(const Context&, const Request& request) {
  CO_ENSURE(no_query(request));
  co_return Reply{.body = std::string(openapi_as_json())};
}

Async<Reply> openapi_yaml(const Context&, const Request& request) {
  CO_ENSURE(no_query(request));
  co_return Reply{.body = std::string(openapi_as_yaml()), .content_type = "application/yaml"};
}

constexpr auto kRoutes = std::to_array<Route>({
    {"GET", "/api/system/health", system_health, Permission::system_read},
    {"GET", "/api/system/stats", system_stats, Permission::system_read},
    {"GET", "/api/system/info", system_info, Permission::system_read},
    {"GET", "/api/system/config", system_config, Permission::system_read},
    {"GET", "/health", ready, Permission::none},
    {"GET", "/health/live", live, Permission::none},
    {"GET", "/health/ready", ready, Permission::none},
    {"GET", "/metrics", metrics, Permission::none},
    {"GET", "/openapi.json", openapi_json, Permission::none},
    {"GET", "/openapi.yaml", openapi_yaml, Permission::none},
});

}  // namespace

std::span<const Route> system_routes() { return kRoutes; }

}  // namespace scheduler::api
