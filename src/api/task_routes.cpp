// Tasks: definitions, and what can be asked and done about one.
#include "api/bodies.hpp"
#include "api/handler.hpp"
#include "api/paging_json.hpp"
#include "api/run_json.hpp"
#include "api/slot_json.hpp"
#include "api/task_json.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace scheduler::api {
namespace {

using application::Page;
using domain::Task;

Reply task_reply(const Context& context, const Task& task, int status = 200) {
  JsonWriter json;
  write_task(json, task);
  auto reply = success(context, json.take(), status);
  reply.headers.emplace_back("ETag", etag_of(task));
  return reply;
}

bool passes(const application::TaskFilter& filter, const Task& task) {
  const auto lower = [](std::string text) {
    std::ranges::transform(text, text.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
    return text;
  };
  const auto& spec = task.spec;
  if (filter.status && spec.status != *filter.status) return false;
  if (filter.task_type && spec.task_type != *filter.task_type) return false;
  if (filter.name_contains && lower(spec.name).find(lower(*filter.name_contains)) == std::string::npos) return false;
  if (!filter.label) return true;
  const auto label = spec.labels.find(filter.label->first);
  return label != spec.labels.end() && label->second == filter.label->second;
}

// A name belongs to one task at most, so this list needs no pages.
Async<Page<Task>> list_by_name(application::TaskService& tasks, std::string name, application::TaskFilter filter) {
  auto task = co_await tasks.find(std::move(name));
  Page<Task> page{.items = {}, .next_cursor = {}, .total = 0};
  if (!task && task.error().kind != ErrorKind::TaskNotFound) co_return std::unexpected(std::move(task).error());
  if (task && passes(filter, *task)) {
    page.total = 1;
    page.items.push_back(*std::move(task));
  }
  co_return page;
}

Async<Reply> list_tasks(const Context& context, const Request& request) {
  QueryReader query(request.query);
  const auto asked = query.page();
  application::TaskFilter filter{.status = query.word<domain::TaskStatus>("status"),
                                 .task_type = query.text("task_type"),
                                 .name_contains = query.text("q"),
                                 .label = query.label("label")};
  auto name = query.text("name");
  CO_ENSURE(query.finish());
  if (name) {
    CO_TRY(const auto found, list_by_name(context.services.tasks, *std::move(name), std::move(filter)));
    CO_UNWRAP(const auto text, page_json(found, asked, write_task));
    co_return success(context, text);
  }
  CO_TRY(const auto page, context.services.tasks.list(std::move(filter), asked.paging));
  CO_UNWRAP(const auto text, page_json(page, asked, write_task));
  co_return success(context, text);
}

Async<Reply> create_task(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_UNWRAP(auto draft, read_task(request.body, ReadOnlyFields::refuse));
  if (request.principal) draft.owner = request.principal->user;
  CO_TRY(const auto task, context.services.tasks.create(std::move(draft)));
  auto reply = task_reply(context, task, 201);
  reply.headers.emplace_back("Location", fmt::format("/api/tasks/{}", task.id.value));
  co_return reply;
}

Async<Reply> get_task(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto task, context.services.tasks.get(id));
  auto reply = task_reply(context, task);
  if (client_has(request, etag_of(task))) {
    reply.status = 304;
    reply.body.clear();
  }
  co_return reply;
}

Async<Reply> replace_task(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  CO_ENSURE(no_query(request));
  CO_UNWRAP(const auto if_version, if_match_version(request));
  CO_UNWRAP(auto draft, read_task(request.body, ReadOnlyFields::ignore));
  CO_TRY(const auto task, context.services.tasks.update(id, std::move(draft), if_version));
  co_return task_reply(context, task);
}

// The patch applies to the version that was read; when another change comes in between, and the client named no
// version, it is applied again to the new one.
Async<Reply> patch_task(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  CO_ENSURE(no_query(request));
  CO_UNWRAP(const auto if_version, if_match_version(request));
  constexpr int kTries = 5;
  for (int attempt = 1;; ++attempt) {
    CO_TRY(const auto current, context.services.tasks.get(id));
    if (if_version && *if_version != current.version)
      co_return fail(ErrorKind::PreconditionFailed,
                     fmt::format("task {} is at version {}, not {}: read it again and repeat the change", id.value,
                                 current.version, *if_version));
    CO_UNWRAP(auto draft, read_patched_task(current, request.body));
    auto task = co_await context.services.tasks.update(id, std::move(draft), current.version);
    if (task) co_return task_reply(context, *task);
    const bool overtaken = task.error().kind == ErrorKind::PreconditionFailed && !if_version;
    if (!overtaken || attempt == kTries) co_return std::unexpected(std::move(task).error());
  }
}

Async<Reply> delete_task(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  CO_ENSURE(no_query(request));
  CO_UNWRAP(const auto if_version, if_match_version(request));
  CO_CHECK(context.services.tasks.archive(id, if_version));
  co_return Reply{.status = 204};
}

SchedulerResult<std::optional<std::string>> idempotency_key(const Request& request) {
  if (!request.idempotency_key) return std::nullopt;
  const auto key = *request.idempotency_key;
  const bool printable = std::ranges::all_of(key, [](char c) { return c > ' ' && c < 0x7F; });
  if (!key.empty() && key.size() <= 255 && printable) return std::string(key);
  const auto message = "must be 1 to 255 printable ASCII characters without spaces";
  return fail(ErrorKind::Validation, fmt::format("the header Idempotency-Key {}", message),
              {{"Idempotency-Key", message}});
}

Async<Reply> trigger_task(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  CO_ENSURE(no_query(request));
  CO_UNWRAP(auto key, idempotency_key(request));
  CO_UNWRAP(auto trigger, read_trigger(request.body));
  trigger.idempotency_key = std::move(key);
  CO_TRY(const auto made, context.services.control.trigger_task(id, std::move(trigger)));
  co_return new_runs_reply(context, made);
}

Async<Reply> pause_task(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto task, context.services.control.pause_task(id));
  co_return task_reply(context, task);
}

Async<Reply> resume_task(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto task, context.services.control.resume_task(id));
  co_return task_reply(context, task);
}

Async<Reply> list_runs_of_task(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  QueryReader query(request.query);
  const auto asked = query.page();
  application::RunFilter filter{.task = id,
                                .state = query.word<domain::RunState>("state"),
                                .trigger = query.word<domain::Trigger>("trigger"),
                                .worker = {}};
  CO_ENSURE(query.finish());
  CO_CHECK(context.services.tasks.check_history(id));  // an unknown task has no empty list
  CO_TRY(const auto page, context.services.runs.list(std::move(filter), asked.paging));
  CO_UNWRAP(const auto text, page_json(page, asked, write_run));
  co_return success(context, text);
}

Async<Reply> get_task_stats(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto stats, context.services.tasks.stats(id));
  JsonWriter json;
  write_task_stats(json, stats);
  co_return success(context, json.take());
}

Async<Reply> explain_task(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto explained, context.services.tasks.explain(id));
  JsonWriter json;
  write_explained(json, explained);
  co_return success(context, json.take());
}

Async<Reply> get_dependencies(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto dependencies, context.services.tasks.dependencies(id));
  JsonWriter json;
  write_dependencies(json, dependencies);
  co_return success(context, json.take());
}

Async<Reply> get_graph(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  QueryReader query(request.query);
  const auto depth = query.integer("depth", 1, application::kGraphDepthMax).value_or(application::kGraphDepthMax);
  CO_ENSURE(query.finish());
  CO_TRY(const auto graph, context.services.tasks.graph(id, static_cast<int>(depth)));
  JsonWriter json;
  write_graph(json, graph);
  co_return success(context, json.take());
}

Async<Reply> next_fire_times(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  QueryReader query(request.query);
  const auto count = query.integer("count", 1, 1000).value_or(5);
  const auto from = query.instant("from");
  CO_ENSURE(query.finish());
  CO_TRY(const auto slots, context.services.tasks.next(id, from, static_cast<int>(count)));
  JsonWriter json;
  json.begin_object().member("task_id", id).member("slots", slots).end_object();
  co_return success(context, json.take());
}

Async<Reply> list_slots(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, task_id(request));
  QueryReader query(request.query);
  application::SlotQuery asked{.from = query.instant("from"), .to = query.instant("to")};
  asked.limit = static_cast<int>(query.integer("limit", 1, 100).value_or(20));
  asked.before = query.integer("cursor", 1, kIdMax).transform(from_micros);
  CO_ENSURE(query.finish());
  CO_TRY(const auto report, context.services.tasks.slots(id, asked));
  JsonWriter json;
  write_slot_report(json, report, asked.limit);
  co_return success(context, json.take());
}

constexpr auto kRoutes = std::to_array<Route>({
    {"GET", "/api/tasks", list_tasks, Permission::task_read},
    {"POST", "/api/tasks", create_task, {Permission::task_write, Object::created}, BodyKind::json},
    {"GET", "/api/tasks/{id}", get_task, Permission::task_read},
    {"PUT", "/api/tasks/{id}", replace_task, {Permission::task_write, Object::task}, BodyKind::json},
    {"PATCH", "/api/tasks/{id}", patch_task, {Permission::task_write, Object::task}, BodyKind::merge_patch},
    {"DELETE", "/api/tasks/{id}", delete_task, {Permission::task_delete, Object::task}},
    {"POST", "/api/tasks/{id}/trigger", trigger_task, {Permission::task_write, Object::task}, BodyKind::optional},
    {"POST", "/api/tasks/{id}/pause", pause_task, {Permission::task_write, Object::task}},
    {"POST", "/api/tasks/{id}/resume", resume_task, {Permission::task_write, Object::task}},
    {"GET", "/api/tasks/{id}/runs", list_runs_of_task, Permission::task_read},
    {"GET", "/api/tasks/{id}/stats", get_task_stats, Permission::task_read},
    {"GET", "/api/tasks/{id}/explain", explain_task, Permission::task_read},
    {"GET", "/api/tasks/{id}/dependencies", get_dependencies, Permission::task_read},
    {"GET", "/api/tasks/{id}/graph", get_graph, Permission::task_read},
    {"GET", "/api/tasks/{id}/next", next_fire_times, Permission::task_read},
    {"GET", "/api/tasks/{id}/slots", list_slots, Permission::task_read},
});

}  // namespace

std::span<const Route> task_routes() { return kRoutes; }

}  // namespace scheduler::api
