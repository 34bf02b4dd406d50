// Schedules as text, without a task.
#include "api/bodies.hpp"
#include "api/handler.hpp"
#include "api/json_writer.hpp"

namespace scheduler::api {
namespace {

Async<Reply> preview_schedule(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_UNWRAP(auto asked, read_preview(request.body));
  CO_TRY(const auto preview, context.services.tasks.preview(std::move(asked)));
  JsonWriter json;
  json.begin_object().member("explanation", preview.explanation).member("slots", preview.slots).end_object();
  co_return success(context, json.take());
}

constexpr auto kRoutes = std::to_array<Route>({
    {"POST", "/api/schedules/preview", preview_schedule, Permission::task_read, BodyKind::json},
});

}  // namespace

std::span<const Route> schedule_routes() { return kRoutes; }

}  // namespace scheduler::api
