// api/request_guard.hpp — what no request may be, before any route is looked at.
//
// A browser can reach us on behalf of any web page, and for anything that changes something it says which page asked
// (Origin): that must be the host the request is for (Host).
#pragma once

#include "api/error_reply.hpp"
#include "api/http_message.hpp"
#include "api/router.hpp"

#include <optional>
#include <string_view>

namespace scheduler::api {

// 400 for a missing Host, 403 for a foreign Origin; nothing: go on.
[[nodiscard]] std::optional<Problem> check_origin(const Request& request);

// 415 for a body that is not of the route's type, 400 for one that is missing or should not be there.
[[nodiscard]] std::optional<Problem> check_body(const Request& request, BodyKind kind);

}  // namespace scheduler::api
