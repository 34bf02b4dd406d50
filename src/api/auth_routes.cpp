// Login and what belongs to one's own account: sessions, password, API keys. All of it is there under /api/auth/ as
// well.
#include "api/account_json.hpp"
#include "api/handler.hpp"

#include <fmt/format.h>

namespace scheduler::api {
namespace {

application::Origin origin_of(const Request& request) {
  return {.address = request.client, .agent = std::string(request.user_agent.value_or(""))};
}

Reply tokens_reply(const Context& context, const application::Tokens& tokens, int status = 200) {
  JsonWriter json;
  write_tokens(json, tokens);
  return success(context, json.take(), status);
}

Async<Reply> setup(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_UNWRAP(auto input, read_setup(request.body));
  CO_TRY(const auto tokens, context.services.accounts.auth.setup(std::move(input.token), std::move(input.username),
                                                                 std::move(input.password), origin_of(request)));
  co_return tokens_reply(context, tokens, 201);
}

Async<Reply> login(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_UNWRAP(auto input, read_login(request.body));
  CO_TRY(const auto tokens, context.services.accounts.auth.login(std::move(input.username), std::move(input.password),
                                                                 origin_of(request)));
  co_return tokens_reply(context, tokens);
}

Async<Reply> refresh(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_UNWRAP(auto token, read_refresh(request.body));
  CO_TRY(const auto tokens, context.services.accounts.auth.refresh(std::move(token)));
  co_return tokens_reply(context, tokens);
}

Async<Reply> logout(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_CHECK(context.services.accounts.auth.logout(*request.principal));
  co_return Reply{.status = 204};
}

Async<Reply> get_me(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  JsonWriter json;
  write_principal(json, *request.principal);
  co_return success(context, json.take());
}

Async<Reply> change_password(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_UNWRAP(auto input, read_password_change(request.body));
  CO_CHECK(context.services.accounts.auth.change_password(*request.principal, std::move(input.current_password),
                                                          std::move(input.new_password), origin_of(request)));
  co_return Reply{.status = 204};
}

Async<Reply> list_sessions(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_TRY(const auto sessions, context.services.accounts.auth.sessions(*request.principal));
  JsonWriter json;
  json.begin_object().key("items").begin_array();
  for (const auto& it : sessions) write_session(json, it, request.principal->session == it.id);
  json.end_array().end_object();
  co_return success(context, json.take());
}

Async<Reply> end_session(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, id_in_path(request));
  CO_ENSURE(no_query(request));
  CO_CHECK(context.services.accounts.auth.end_session(*request.principal, SessionId{id}));
  co_return Reply{.status = 204};
}

Async<Reply> list_keys(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_TRY(const auto keys, context.services.accounts.keys.list(*request.principal));
  JsonWriter json;
  json.begin_object().key("items").array(keys, write_key).end_object();
  co_return success(context, json.take());
}

Reply key_reply(const Context& context, const application::ApiKeyWithText& made, int status) {
  JsonWriter json;
  write_new_key(json, made);
  return success(context, json.take(), status);
}

Async<Reply> create_key(const Context& context, const Request& request) {
  CO_ENSURE(no_query(request));
  CO_UNWRAP(auto draft, read_new_key(request.body));
  CO_TRY(const auto made, context.services.accounts.keys.create(*request.principal, std::move(draft)));
  auto reply = key_reply(context, made, 201);
  reply.headers.emplace_back("Location", fmt::format("/auth/api-keys/{}", made.key.id.value));
  co_return reply;
}

Async<Reply> rotate_key(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, id_in_path(request));
  CO_ENSURE(no_query(request));
  CO_UNWRAP(const auto days, read_key_days(request.body));
  CO_TRY(const auto made, context.services.accounts.keys.rotate(*request.principal, ApiKeyId{id}, days));
  co_return key_reply(context, made, 200);
}

Async<Reply> revoke_key(const Context& context, const Request& request) {
  CO_UNWRAP(const auto id, id_in_path(request));
  CO_ENSURE(no_query(request));
  CO_CHECK(context.services.accounts.keys.revoke(*request.principal, ApiKeyId{id}));
  co_return Reply{.status = 204};
}

constexpr Access kOwnAccount{Permission::account, Object::account};

constexpr auto kRoutes = std::to_array<Route>({
    {"POST", "/auth/setup", setup, Permission::none, BodyKind::json},
    {"POST", "/auth/login", login, Permission::none, BodyKind::json},
    {"POST", "/auth/refresh", refresh, Permission::none, BodyKind::json},
    {"POST", "/auth/logout", logout, Permission::signed_in},
    {"GET", "/auth/me", get_me, Permission::signed_in},
    {"POST", "/auth/password", change_password, kOwnAccount, BodyKind::json},
    {"GET", "/auth/sessions", list_sessions, kOwnAccount},
    {"DELETE", "/auth/sessions/{id}", end_session, kOwnAccount},
    {"GET", "/auth/api-keys", list_keys, kOwnAccount},
    {"POST", "/auth/api-keys", create_key, kOwnAccount, BodyKind::json},
    {"POST", "/auth/api-keys/{id}/rotate", rotate_key, kOwnAccount, BodyKind::optional},
    {"DELETE", "/auth/api-keys/{id}", revoke_key, kOwnAccount},
});

}  // namespace

std::span<const Route> auth_routes() { return kRoutes; }

}  // namespace scheduler::api
