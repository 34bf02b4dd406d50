// api/request_guard.hpp — who may talk to us at all, before any route is looked at.
//
// A browser on this machine can reach loopback on behalf of any web page. It always says which name it used (Host) and,
// for anything that changes something, which page asked (Origin): both must be ours.
#pragma once

#include "api/error_reply.hpp"
#include "api/http_message.hpp"
#include "api/router.hpp"

#include <optional>
#include <string_view>

namespace scheduler::api {

// localhost, 127.x.x.x or [::1], with or without a port.
[[nodiscard]] bool is_loopback_host(std::string_view host);

// 400 for a missing Host, 403 for a foreign Host or Origin; nothing: go on.
[[nodiscard]] std::optional<Problem> check_origin(const Request& request);

// 415 for a body that is not of the route's type, 400 for one that is missing or should not be there.
[[nodiscard]] std::optional<Problem> check_body(const Request& request, BodyKind kind);

}  // namespace scheduler::api
