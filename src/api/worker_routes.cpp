// Workers: what they are, and taking them out of service.
#include "api/handler.hpp"
#include "api/json_writer.hpp"

namespace scheduler::api {
namespace {

void write_worker(JsonWriter& json, const domain::WorkerInfo& worker) {
  json.begin_object()
      .member("id", worker.id)
      .member("incarnation", worker.incarnation)
      .member("host", worker.host)
      .member("pid", worker.pid)
      .member("version", worker.version)
      .member("task_types", worker.task_types)
      .member("labels", worker.labels)
      .member("slots", worker.slots)
      .member("capacity", worker.capacity)
      .member("busy", worker.busy)
      .member("load", worker.load)
      .member("memory_bytes", worker.memory_bytes)
      .member("state", name_of(worker.state))
      .member("state_reason", worker.state_reason)
      .member("registered_at", worker.registered_at)
      .member("heartbeat_at", worker.heartbeat_at)
      .member("heartbeat_due", worker.heartbeat_due)
      .end_object();
}

Reply worker_reply(const Context& context, const domain::WorkerInfo& worker) {
  JsonWriter json;
  write_worker(json, worker);
  return success(context, json.take());
}

Async<Reply> list_workers(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_TRY(const auto workers, context.services.workers.list());
  JsonWriter json;
  json.begin_object().key("items").array(workers, write_worker).end_object();
  co_return success(context, json.take());
}

Async<Reply> get_worker(const Context& context, const Request& request) {
  CO_UNWRAP(auto id, worker_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto worker, context.services.workers.get(std::move(id)));
  co_return worker_reply(context, worker);
}

void write_room(JsonWriter& json, const application::WorkerStats::Room& room) {
  json.member("workers", room.workers)
      .member("slots", room.slots)
      .member("busy", room.busy)
      .member("held", room.held)
      .end_object();
}

Async<Reply> get_worker_stats(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_TRY(const auto stats, context.services.workers.stats());
  JsonWriter json;
  json.begin_object()
      .member("alive", stats.alive)
      .member("draining", stats.draining)
      .member("dead", stats.dead)
      .key("all")
      .begin_object();
  write_room(json, stats.all);
  json.key("by_type").begin_array();
  for (const auto& [type, room] : stats.by_type) write_room(json.begin_object().member("task_type", type), room);
  json.end_array().end_object();
  co_return success(context, json.take());
}

Async<Reply> drain_worker(const Context& context, const Request& request) {
  CO_UNWRAP(auto id, worker_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto worker, context.services.workers.drain(std::move(id)));
  co_return worker_reply(context, worker);
}

Async<Reply> undrain_worker(const Context& context, const Request& request) {
  CO_UNWRAP(auto id, worker_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto worker, context.services.workers.undrain(std::move(id)));
  co_return worker_reply(context, worker);
}

constexpr auto kRoutes = std::to_array<Route>({
    {"GET", "/api/workers", list_workers, Permission::worker_read},
    {"GET", "/api/workers/stats", get_worker_stats, Permission::worker_read},
    {"GET", "/api/workers/{id}", get_worker, Permission::worker_read},
    {"POST", "/api/workers/{id}/drain", drain_worker, Permission::worker_write},
    {"POST", "/api/workers/{id}/undrain", undrain_worker, Permission::worker_write},
});

}  // namespace

std::span<const Route> worker_routes() { return kRoutes; }

}  // namespace scheduler::api
