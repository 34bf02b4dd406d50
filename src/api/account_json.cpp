#include "api/account_json.hpp"

#include "core/json_reader.hpp"

#include <fmt/format.h>

namespace scheduler::api {

BOOST_DESCRIBE_STRUCT(SetupInput, (), (token, username, password))
constexpr auto required_fields(const SetupInput*) {
  return std::to_array<std::string_view>({"token", "username", "password"});
}
BOOST_DESCRIBE_STRUCT(LoginInput, (), (username, password))
constexpr auto required_fields(const LoginInput*) { return std::to_array<std::string_view>({"username", "password"}); }
BOOST_DESCRIBE_STRUCT(PasswordInput, (), (current_password, new_password))
constexpr auto required_fields(const PasswordInput*) {
  return std::to_array<std::string_view>({"current_password", "new_password"});
}

struct RefreshBody {
  std::string refresh_token;
};
BOOST_DESCRIBE_STRUCT(RefreshBody, (), (refresh_token))
constexpr auto required_fields(const RefreshBody*) { return std::to_array<std::string_view>({"refresh_token"}); }

struct UserBody {
  std::string username, password;
  domain::Role role = domain::Role::viewer;
};
BOOST_DESCRIBE_STRUCT(UserBody, (), (username, password, role))
constexpr auto required_fields(const UserBody*) {
  return std::to_array<std::string_view>({"username", "password", "role"});
}

struct UserPatchBody {
  std::optional<domain::Role> role;
  std::optional<bool> disabled;
  std::optional<std::string> password;
};
BOOST_DESCRIBE_STRUCT(UserPatchBody, (), (role, disabled, password))

struct KeyBody {
  std::string name;
  std::vector<domain::Permission> permissions;
  int expires_in_days = domain::kKeyDaysDefault;
};
BOOST_DESCRIBE_STRUCT(KeyBody, (), (name, permissions, expires_in_days))
constexpr auto required_fields(const KeyBody*) { return std::to_array<std::string_view>({"name", "permissions"}); }

struct KeyDaysBody {
  int expires_in_days = domain::kKeyDaysDefault;
};
BOOST_DESCRIBE_STRUCT(KeyDaysBody, (), (expires_in_days))

SchedulerResult<SetupInput> read_setup(std::string_view body) { return parse_json_as<SetupInput>(body); }
SchedulerResult<LoginInput> read_login(std::string_view body) { return parse_json_as<LoginInput>(body); }
SchedulerResult<PasswordInput> read_password_change(std::string_view body) {
  return parse_json_as<PasswordInput>(body);
}

SchedulerResult<std::string> read_refresh(std::string_view body) {
  TRY(auto read, parse_json_as<RefreshBody>(body));
  return std::move(read.refresh_token);
}

SchedulerResult<application::UserDraft> read_new_user(std::string_view body) {
  TRY(auto read, parse_json_as<UserBody>(body));
  return application::UserDraft{std::move(read.username), std::move(read.password), read.role};
}

SchedulerResult<application::UserPatch> read_user_patch(std::string_view body) {
  TRY(auto read, parse_json_as<UserPatchBody>(body));
  return application::UserPatch{read.role, read.disabled, std::move(read.password)};
}

SchedulerResult<application::ApiKeyDraft> read_new_key(std::string_view body) {
  TRY(auto read, parse_json_as<KeyBody>(body));
  return application::ApiKeyDraft{std::move(read.name), std::move(read.permissions), read.expires_in_days};
}

SchedulerResult<int> read_key_days(std::string_view body) {
  if (body.empty()) return domain::kKeyDaysDefault;
  TRY(const auto read, parse_json_as<KeyDaysBody>(body));
  return read.expires_in_days;
}

void write_tokens(JsonWriter& json, const application::Tokens& tokens) {
  json.begin_object()
      .member("access_token", tokens.access)
      .member("token_type", "Bearer")
      .member("expires_in_seconds", domain::kAccessTokenLife.count())
      .member("refresh_token", tokens.refresh)
      .member("session_id", tokens.session)
      .end_object();
}

void write_principal(JsonWriter& json, const domain::Principal& who) {
  json.begin_object()
      .member("user_id", who.user)
      .member("username", who.name)
      .member("role", name_of(who.role))
      .member("session_id", who.session)
      .member("api_key_id", who.api_key);
  json.key("permissions").begin_object();
  for (std::size_t i = 0; i < domain::kPermissionCount; ++i) {
    const auto permission = static_cast<domain::Permission>(i);
    const bool asked_for = permission != domain::Permission::none && permission != domain::Permission::signed_in;
    if (asked_for) json.member(name_of(permission), name_of(grant_of(who, permission)));
  }
  json.end_object().end_object();
}

void write_user(JsonWriter& json, const domain::User& user) {
  json.begin_object()
      .member("id", user.id)
      .member("username", user.name)
      .member("role", name_of(user.role))
      .member("disabled", user.disabled)
      .member("created_at", user.created_at)
      .member("updated_at", user.updated_at)
      .end_object();
}

void write_session(JsonWriter& json, const domain::LoginSession& session, bool current) {
  json.begin_object()
      .member("id", session.id)
      .member("current", current)
      .member("address", session.address)
      .member("agent", session.agent)
      .member("created_at", session.created_at)
      .member("used_at", session.used_at)
      .member("expires_at", session.expires_at)
      .end_object();
}

namespace {

void write_key_members(JsonWriter& json, const domain::ApiKey& key) {
  json.member("id", key.id).member("key_id", key.key_id).member("name", key.name);
  json.key("permissions").begin_array();
  for (const auto it : domain::kKeyPermissions)
    if (key.permissions.contains(it)) json.value(name_of(it));
  json.end_array()
      .member("created_at", key.created_at)
      .member("expires_at", key.expires_at)
      .member("used_at", key.used_at);
}

}  // namespace

void write_key(JsonWriter& json, const domain::ApiKey& key) {
  json.begin_object();
  write_key_members(json, key);
  json.end_object();
}

void write_new_key(JsonWriter& json, const application::ApiKeyWithText& made) {
  json.begin_object().member("api_key", made.text);
  write_key_members(json, made.key);
  json.end_object();
}

}  // namespace scheduler::api
