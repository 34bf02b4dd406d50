#include "api/access_check.hpp"

#include "api/handler.hpp"

#include <fmt/format.h>

namespace scheduler::api {
namespace {

using domain::Grant;
using domain::Principal;

bool same_word(std::string_view text, std::string_view lower) {
  return std::ranges::equal(text, lower, [](char a, char b) { return (a >= 'A' && a <= 'Z' ? a + 32 : a) == b; });
}

std::unexpected<SchedulerError> forbidden(const Principal& who, Permission needed) {
  const bool by_key = who.scope && grant_of(who.role, needed) != Grant::no;
  return fail(ErrorKind::Forbidden, by_key ? fmt::format("this API key was not made for '{}'", name_of(needed))
                                           : fmt::format("the role '{}' does not have the permission '{}'",
                                                         name_of(who.role), name_of(needed)));
}

// The id is judged by the handler, which tells what is wrong with it: what has no id is nobody's, and refused as such.
Async<bool> owns_task(const Context& context, TaskId task, UserId user) {
  const auto found = co_await context.services.tasks.get(task);
  if (found) co_return found->owner == user;
  if (found.error().kind == ErrorKind::TaskNotFound) co_return false;
  co_return std::unexpected(found.error());
}

Async<bool> owns(const Context& context, Object object, const Request& request) {
  const auto user = request.principal->user;
  switch (object) {
    case Object::created:
    case Object::account:
      co_return true;
    case Object::task: {
      CO_UNWRAP(const auto id, task_id(request));
      co_return co_await owns_task(context, id, user);
    }
    case Object::run: {
      CO_UNWRAP(const auto id, run_id(request));
      CO_TRY(const auto run, context.services.runs.get(id));
      co_return co_await owns_task(context, run.task, user);
    }
    case Object::unknown:
      break;
  }
  co_return false;
}

}  // namespace

SchedulerResult<std::optional<std::string>> credential_of(const Request& request) {
  if (request.credentials_twice)
    return fail(ErrorKind::Validation,
                "the request says more than once who sends it; keep one of the headers "
                "Authorization and X-API-Key");
  if (request.api_key) return std::string(*request.api_key);
  if (!request.authorization) return std::nullopt;
  const auto space = request.authorization->find(' ');
  if (space == std::string_view::npos || !same_word(request.authorization->substr(0, space), "bearer"))
    return fail(ErrorKind::Unauthenticated, "the header Authorization must be 'Bearer' and an access token or API key");
  return std::string(request.authorization->substr(space + 1));
}

Async<void> identify(const Context& context, const Access& access, Request& request) {
  if (access.permission == Permission::none) co_return SchedulerResult<void>{};
  CO_UNWRAP(auto credential, credential_of(request));
  if (!credential)
    co_return fail(ErrorKind::Unauthenticated,
                   "this needs an account: send Authorization: Bearer with an access token (POST /auth/login) or an "
                   "API key");
  CO_TRY(request.principal, context.services.accounts.auth.authenticate(*std::move(credential)));
  co_return SchedulerResult<void>{};
}

Async<void> admit_again(const Context& context, const Access& access, Request& request) {
  if (!request.principal) co_return SchedulerResult<void>{};
  CO_UNWRAP(auto credential, credential_of(request));
  CO_TRY(request.principal,
         context.services.accounts.auth.authenticate_again(*request.principal, credential.value_or("")));
  co_return co_await authorise(context, access, request);
}

Async<void> authorise(const Context& context, const Access& access, const Request& request) {
  if (access.permission == Permission::none) co_return SchedulerResult<void>{};
  const auto grant = grant_of(*request.principal, access.permission);
  if (grant == Grant::any) co_return SchedulerResult<void>{};
  if (grant == Grant::no) co_return forbidden(*request.principal, access.permission);
  CO_TRY(const bool own, owns(context, access.object, request));
  if (own) co_return SchedulerResult<void>{};
  co_return fail(ErrorKind::Forbidden,
                 fmt::format("the role '{}' has the permission '{}' for tasks of its own alone, and this is not one",
                             name_of(request.principal->role), name_of(access.permission)));
}

}  // namespace scheduler::api
