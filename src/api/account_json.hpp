// api/account_json.hpp — accounts, sessions and API keys as JSON (docs/openapi.yaml), both ways. Bodies are read
// strictly.
#pragma once

#include "api/json_writer.hpp"
#include "application/api_key_service.hpp"
#include "application/user_service.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace scheduler::api {

struct SetupInput {
  std::string token, username, password;
};
struct LoginInput {
  std::string username, password;
};
struct PasswordInput {
  std::string current_password, new_password;
};

[[nodiscard]] SchedulerResult<SetupInput> read_setup(std::string_view body);
[[nodiscard]] SchedulerResult<LoginInput> read_login(std::string_view body);
[[nodiscard]] SchedulerResult<std::string> read_refresh(std::string_view body);  // the token
[[nodiscard]] SchedulerResult<PasswordInput> read_password_change(std::string_view body);
[[nodiscard]] SchedulerResult<application::UserDraft> read_new_user(std::string_view body);
[[nodiscard]] SchedulerResult<application::UserPatch> read_user_patch(std::string_view body);
[[nodiscard]] SchedulerResult<application::ApiKeyDraft> read_new_key(std::string_view body);
[[nodiscard]] SchedulerResult<int> read_key_days(std::string_view body);  // empty: the default

void write_tokens(JsonWriter& json, const application::Tokens& tokens);
void write_principal(JsonWriter& json, const domain::Principal& who);
void write_user(JsonWriter& json, const domain::User& user);
void write_session(JsonWriter& json, const domain::LoginSession& session, bool current);
void write_key(JsonWriter& json, const domain::ApiKey& key);
void write_new_key(JsonWriter& json, const application::ApiKeyWithText& key);

}  // namespace scheduler::api
