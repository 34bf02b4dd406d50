// api/access_check.hpp — who asks, and may they? Asked once for each request, about the route that was matched and
// never about the text of the URL.
#pragma once

#include "api/context.hpp"
#include "api/router.hpp"

namespace scheduler::api {

// The bearer token or API key of the request; nothing: none. Validation for more than one; Unauthenticated for a scheme
// that is not Bearer.
[[nodiscard]] SchedulerResult<std::optional<std::string>> credential_of(const Request& request);

// Sets request.principal, unless anybody may use the route. Unauthenticated or InvalidToken.
[[nodiscard]] Async<void> identify(const Context& context, const Access& access, Request& request);

// Whether who began this request may still go on with it: a long one must not outlive a logout or a lost role.
[[nodiscard]] Async<void> admit_again(const Context& context, const Access& access, Request& request);

// May the principal use the route on this object? Forbidden.
[[nodiscard]] Async<void> authorise(const Context& context, const Access& access, const Request& request);

}  // namespace scheduler::api
