// api/task_json.hpp — a task as JSON (docs/openapi.yaml, Task and TaskBody), both ways.
#pragma once

#include "api/json_writer.hpp"
#include "application/task_service.hpp"

#include <string>
#include <string_view>

namespace scheduler::api {

// id, version, owner_id, created_at, updated_at and next_fire_at are the server's. A client that writes back what it
// has read (PUT) may leave them in; in a new task they are a mistake.
enum class ReadOnlyFields { refuse, ignore };

// Faults of single fields are in the draft, for the use case to add its own. Validation when there are no fields: the
// text is no JSON, or no object.
[[nodiscard]] SchedulerResult<application::TaskDraft> read_task(std::string_view body, ReadOnlyFields policy);

// The task's own body with a merge patch (RFC 7396) applied: null removes a member, so the field has its default again.
[[nodiscard]] SchedulerResult<application::TaskDraft> read_patched_task(const domain::Task& current,
                                                                        std::string_view patch);

void write_task(JsonWriter& json, const domain::Task& task);

// "<version>", or "<version>-<next fire time>": the fire time moves on while the definition stays.
[[nodiscard]] std::string etag_of(const domain::Task& task);

}  // namespace scheduler::api
