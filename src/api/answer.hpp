// api/answer.hpp — from a request to its reply: guard, route, handler, error. No sockets here.
#pragma once

#include "api/context.hpp"
#include "api/error_reply.hpp"

namespace scheduler::api {

// Never fails: what goes wrong becomes a reply. `request.parameters` is filled in. Counts the request.
[[nodiscard]] asio::awaitable<Reply> answer(const Context& context, Request& request);

// For faults below HTTP's meaning (a request that could not be read): the reply, counted.
[[nodiscard]] Reply refuse(const Context& context, const Request& request, const Problem& problem);

}  // namespace scheduler::api
