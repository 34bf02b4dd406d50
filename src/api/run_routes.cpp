// Runs: their state and attempts, their groups, cancel, run again, many at once. Output is in log_routes.cpp.
#include "api/bodies.hpp"
#include "api/handler.hpp"
#include "api/paging_json.hpp"
#include "api/run_json.hpp"

namespace scheduler::api {
namespace {

Async<Reply> list_runs(const Context& context, const Request& request) {
  QueryReader query(request.query);
  const auto asked = query.page();
  application::RunFilter filter{.task = {},
                                .state = query.word<domain::RunState>("state"),
                                .trigger = query.word<domain::Trigger>("trigger"),
                                .worker = {}};
  if (const auto task = query.integer("task_id", 1, kIdMax)) filter.task = TaskId{*task};
  if (auto worker = query.text("worker")) filter.worker = WorkerId{*std::move(worker)};
  CO_ENSURE(query.finish());
  CO_TRY(const auto page, context.services.runs.list(std::move(filter), asked.paging));
  CO_UNWRAP(const auto text, page_json(page, asked, write_run));
  co_return success(context, text);
}

Async<Reply> get_run(const Context& context, const Request& request) {
  constexpr int kWaitMaxSeconds = 60;
  CO_UNWRAP(const auto id, run_id(request));
  QueryReader query(request.query);
  const auto wait = query.integer("wait", 0, kWaitMaxSeconds).value_or(0);
  CO_ENSURE(query.finish());
  if (wait == 0) {
    CO_TRY(const auto run, context.services.runs.get(id));
    co_return success(context, run_json(run));
  }
  CO_TRY(const auto run, context.services.runs.wait(id, Seconds{wait}));
  co_return success(context, run_json(run));
}

Async<Reply> list_attempts(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, run_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto attempts, context.services.runs.attempts(id));
  JsonWriter json;
  json.begin_object().key("items").array(attempts, write_attempt).end_object();
  co_return success(context, json.take());
}

Async<Reply> get_output(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, run_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto output, context.services.runs.output(id));
  JsonWriter json;
  json.begin_object().member("run_id", id).key("output").raw(output).end_object();
  co_return success(context, json.take());
}

Async<Reply> list_upstreams(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, run_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto upstreams, context.services.runs.upstreams(id));
  JsonWriter json;
  json.begin_object().key("items").array(upstreams, write_upstream_run).end_object();
  co_return success(context, json.take());
}

Async<Reply> explain_run(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, run_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto explained, context.services.runs.why(id));
  JsonWriter json;
  write_explained(json, explained);
  co_return success(context, json.take());
}

// 202 while a worker has yet to stop it.
Async<Reply> cancel_run(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, run_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto run, context.services.control.cancel_run(id));
  co_return success(context, run_json(run), domain::is_terminal(run.state) ? 200 : 202);
}

Async<Reply> retry_run(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, run_id(request));
  CO_ENSURE(no_query(request));
  CO_UNWRAP(const auto downstream, read_retry(request.body));
  CO_TRY(const auto made, context.services.control.restart_run(id, downstream));
  co_return new_runs_reply(context, made);
}

Async<Reply> get_group(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, run_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto group, context.services.runs.group(id));
  JsonWriter json;
  write_group(json, group);
  co_return success(context, json.take());
}

Async<Reply> retry_group(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, run_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto made, context.services.control.restart_group(id));
  co_return new_runs_reply(context, made);
}

Async<Reply> trigger_bulk(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_UNWRAP(auto items, read_bulk(request.body));
  CO_TRY(const auto made, context.services.control.trigger_all(std::move(items)));
  JsonWriter json;
  write_bulk(json, made);
  co_return success(context, json.take(), 202);
}

constexpr auto kRoutes = std::to_array<Route>({
    {"GET", "/api/runs", list_runs, Permission::task_read},
    {"POST", "/api/runs/bulk", trigger_bulk, Permission::task_write, BodyKind::json},  // before {id}, which fits it too
    {"GET", "/api/runs/{id}", get_run, Permission::task_read},
    {"GET", "/api/task-runs/{id}", get_run, Permission::task_read},
    {"GET", "/api/runs/{id}/attempts", list_attempts, Permission::task_read},
    {"GET", "/api/runs/{id}/output", get_output, Permission::task_read},
    {"GET", "/api/runs/{id}/upstreams", list_upstreams, Permission::task_read},
    {"GET", "/api/runs/{id}/why", explain_run, Permission::task_read},
    {"POST", "/api/runs/{id}/cancel", cancel_run, {Permission::task_write, Object::run}},
    {"POST", "/api/runs/{id}/retry", retry_run, {Permission::task_write, Object::run}, BodyKind::optional},
    {"GET", "/api/runs/{id}/group", get_group, Permission::task_read},
    {"POST", "/api/runs/{id}/group/retry", retry_group, {Permission::task_write, Object::run}},
});

}  // namespace

std::span<const Route> run_routes() { return kRoutes; }

}  // namespace scheduler::api
