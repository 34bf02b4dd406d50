// api/handler.hpp — what the handlers share: ids from paths, preconditions, the reply with new runs.
#pragma once

#include "api/router.hpp"
#include "errors/result.hpp"

#include <optional>
#include <string_view>

namespace scheduler::api {

// The {id} of the route. Validation unless it is a whole number from 1 to 2^53 - 1.
[[nodiscard]] SchedulerResult<std::int64_t> id_in_path(const Request& request);
[[nodiscard]] SchedulerResult<TaskId> task_id(const Request& request);
[[nodiscard]] SchedulerResult<RunId> run_id(const Request& request);
[[nodiscard]] SchedulerResult<WorkerId> worker_id(const Request& request);  // 1 to 255 bytes

// The version that If-Match names; nothing: no such header, or '*'. Validation for anything but one ETag of ours.
[[nodiscard]] SchedulerResult<std::optional<std::int64_t>> if_match_version(const Request& request);
// True where If-None-Match lists `etag`: the client has what we would send.
[[nodiscard]] bool client_has(const Request& request, std::string_view etag);

// 202 with the runs that were made; Location is the first one's.
[[nodiscard]] Reply new_runs_reply(const Context& context, const application::NewRuns& made);

// For routes that read no query.
[[nodiscard]] SchedulerResult<void> no_query(const Request& request);

}  // namespace scheduler::api
