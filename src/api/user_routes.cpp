// The accounts of everybody, for admins.
#include "api/account_json.hpp"
#include "api/handler.hpp"

#include <fmt/format.h>

namespace scheduler::api {
namespace {

Reply user_reply(const Context& context, const domain::User& user, int status = 200) {
  JsonWriter json;
  write_user(json, user);
  return success(context, json.take(), status);
}

Async<Reply> list_users(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_TRY(const auto users, context.services.accounts.users.list());
  JsonWriter json;
  json.begin_object().key("items").array(users, write_user).end_object();
  co_return success(context, json.take());
}

Async<Reply> create_user(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_UNWRAP(auto draft, read_new_user(request.body));
  CO_TRY(const auto user, context.services.accounts.users.create(std::move(draft)));
  auto reply = user_reply(context, user, 201);
  reply.headers.emplace_back("Location", fmt::format("/api/users/{}", user.id.value));
  co_return reply;
}

Async<Reply> get_user(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, id_in_path(request));
  CO_ENSURE(no_query(request));
  CO_TRY(const auto user, context.services.accounts.users.get(UserId{id}));
  co_return user_reply(context, user);
}

Async<Reply> change_user(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, id_in_path(request));
  CO_ENSURE(no_query(request));
  CO_UNWRAP(auto patch, read_user_patch(request.body));
  CO_TRY(const auto user, context.services.accounts.users.update(UserId{id}, std::move(patch)));
  co_return user_reply(context, user);
}

Async<Reply> remove_user(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, id_in_path(request));
  CO_ENSURE(no_query(request));
  CO_CHECK(context.services.accounts.users.remove(UserId{id}));
  co_return Reply{.status = 204};
}

constexpr auto kRoutes = std::to_array<Route>({
    {"GET", "/api/users", list_users, Permission::admin},
    {"POST", "/api/users", create_user, Permission::admin, BodyKind::json},
    {"GET", "/api/users/{id}", get_user, Permission::admin},
    {"PATCH", "/api/users/{id}", change_user, Permission::admin, BodyKind::merge_patch},
    {"DELETE", "/api/users/{id}", remove_user, Permission::admin},
});

}  // namespace

std::span<const Route> user_routes() { return kRoutes; }

}  // namespace scheduler::api
