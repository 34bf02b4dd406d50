// api/bodies.hpp — the request bodies other than tasks. Each is read strictly: Validation with every fault.
#pragma once

#include "application/task_control_service.hpp"
#include "application/task_service.hpp"

#include <string_view>

namespace scheduler::api {

// {"parameters": {…}, "run_at": …}; an empty body asks for nothing special.
[[nodiscard]] SchedulerResult<application::TriggerRequest> read_trigger(std::string_view body);
// {"items": [{"task": …, "parameters": {…}, "idempotency_key": …, "run_at": …}, …]}: 1 to kBulkItemsMax of them
[[nodiscard]] SchedulerResult<std::vector<application::BulkItem>> read_bulk(std::string_view body);
// {"downstream": true}: whether what was skipped because of the run runs again as well; an empty body: no.
[[nodiscard]] SchedulerResult<bool> read_retry(std::string_view body);
// {"schedule": …, "timezone": …, "from": …, "count": …, "task_name": …}
[[nodiscard]] SchedulerResult<application::PreviewRequest> read_preview(std::string_view body);
// Nothing, or {}.
[[nodiscard]] SchedulerResult<void> read_nothing(std::string_view body);

}  // namespace scheduler::api
