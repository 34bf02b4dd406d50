#include "api/answer.hpp"

#include "api/access_check.hpp"
#include "api/request_guard.hpp"
#include "api/router.hpp"
#include "core/log.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace scheduler::api {
namespace {

constexpr std::string_view kNoRoute = "none";

Reply with_allow(Reply reply, std::string allow) {
  reply.headers.emplace_back("Allow", std::move(allow));
  return reply;
}

Reply error_reply(const Context& context, const Request& request, const SchedulerError& error) {
  const auto status = status_of(error.kind);
  if (status >= 500)
    log::warning("request failed", {{"request_id", request.id},
                                    {"path", request.path.substr(0, 200)},
                                    {"code", code_of(error.kind)},
                                    {"error", error.message}});
  return problem_reply(problem_of(error), request, context.services.clock.now());
}

SchedulerError too_many(std::string_view whose, const Standing& standing) {
  return {ErrorKind::RateLimited,
          fmt::format("too many requests from this {}; try again in {} s", whose, standing.wait->count()),
          {},
          standing.wait};
}

// Who sends it, whether that is too often, and whether they may. `standing` becomes the account's.
Async<void> admit(const Context& context, const Access& access, Request& request, std::optional<Standing>& standing) {
  CO_CHECK(identify(context, access, request));
  if (request.principal) {
    standing = context.rates->count_principal(*request.principal, context.services.clock.elapsed());
    if (standing && standing->wait) co_return std::unexpected(too_many("account", *standing));
  }
  co_return co_await authorise(context, access, request);
}

// Lets nothing out any more once who asked may not have it.
class WatchedStream final : public ReplyStream {
 public:
  WatchedStream(const Context& context, const Access& access, Request& request, ReplyStream& out)
      : context_(context), access_(access), request_(request), out_(out) {}
  asio::awaitable<bool> write(std::string text) override {
    if (allowed_) allowed_ = (co_await admit_again(context_, access_, request_)).has_value();
    co_return allowed_&& co_await out_.write(std::move(text));
  }
  [[nodiscard]] bool is_open() const override { return allowed_ && out_.is_open(); }

 private:
  const Context& context_;
  const Access& access_;
  Request& request_;
  ReplyStream& out_;
  bool allowed_ = true;
};

using Stream = std::function<asio::awaitable<void>(ReplyStream&)>;

asio::awaitable<void> watch(const Context& context, const Access& access, Request& request, Stream stream,
                            ReplyStream& out) {
  WatchedStream watched(context, access, request, out);
  co_await stream(watched);
}

// A reply that took long, or goes on for long, is judged again. `access` is the route's, which lives for ever.
Async<Reply> watched(const Context& context, const Access& access, Request& request, Micros began, Reply reply) {
  if (reply.stream)
    reply.stream = [&, inner = std::move(reply.stream)](ReplyStream& out) {
      return watch(context, access, request, inner, out);
    };
  // What has been changed is changed; what was only read need not be told.
  if (request.method == "GET" && context.services.clock.elapsed() - began > application::kFresh)
    CO_CHECK(admit_again(context, access, request));
  co_return reply;
}

// `label` becomes the route's template, `standing` that with the limit that is closest.
asio::awaitable<Reply> route(const Context& context, Request& request, std::string_view& label,
                             std::optional<Standing>& standing) {
  const auto problem = [&](const Problem& it) { return problem_reply(it, request, context.services.clock.now()); };
  if (const auto refused = check_origin(request)) co_return problem(*refused);
  const auto began = context.services.clock.elapsed();
  standing = context.rates->count_address(request.client, began);
  if (standing && standing->wait) co_return error_reply(context, request, too_many("address", *standing));
  if (request.method == "OPTIONS" && request.path == "*")
    co_return with_allow({.status = 204}, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");

  auto match = api_router().match(request.method, request.path);
  if (!match) co_return error_reply(context, request, match.error());
  if (match->allow.empty())
    co_return problem({404, code_of(ErrorKind::NotFound), api_router().explain_missing(request.path)});
  if (request.method == "OPTIONS") co_return with_allow({.status = 204}, std::move(match->allow));
  if (match->route == nullptr)
    co_return with_allow(problem({405, code_of(ErrorKind::MethodNotAllowed),
                                  fmt::format("this path understands {} only", match->allow)}),
                         match->allow);

  label = match->route->path;
  request.parameters = std::move(match->parameters);
  if (const auto admitted = co_await admit(context, match->route->access, request, standing); !admitted)
    co_return error_reply(context, request, admitted.error());
  if (const auto refused = check_body(request, match->route->body)) co_return problem(*refused);
  auto reply = co_await match->route->handler(context, request);
  if (reply) reply = co_await watched(context, match->route->access, request, began, *std::move(reply));
  if (!reply) co_return error_reply(context, request, reply.error());
  co_return *std::move(reply);
}

void count(const Context& context, std::string_view method, std::string_view label, int status, Micros began) {
  constexpr auto kMethods = std::to_array<std::string_view>({"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"});
  const bool known = std::ranges::find(kMethods, method) != kMethods.end();
  context.services.metrics.observe_request(known ? method : "OTHER", label, status,
                                           context.services.clock.elapsed() - began);
}

}  // namespace

Reply success(const Context& context, std::string_view data, int status) {
  Reply reply{.status = status};
  reply.body.reserve(data.size() + 80);
  reply.body.append(R"({"success":true,"data":)")
      .append(data)
      .append(R"(,"timestamp":")")
      .append(format_rfc3339(context.services.clock.now()))
      .append("\"}");
  return reply;
}

asio::awaitable<Reply> answer(const Context& context, Request& request) {
  const auto began = context.services.clock.elapsed();
  std::string_view label = kNoRoute;
  std::optional<Standing> standing;
  auto reply = co_await route(context, request, label, standing);
  if (standing) add_headers(reply, *standing);
  count(context, request.method, label, reply.status, began);
  if (log::enabled(log::Level::debug))
    log::debug("request", {{"request_id", request.id},
                           {"method", request.method},
                           {"path", request.path.substr(0, 200)},
                           {"status", reply.status}});
  co_return reply;
}

Reply refuse(const Context& context, const Request& request, const Problem& problem) {
  count(context, request.method, kNoRoute, problem.status, context.services.clock.elapsed());
  return problem_reply(problem, request, context.services.clock.now());
}

}  // namespace scheduler::api
