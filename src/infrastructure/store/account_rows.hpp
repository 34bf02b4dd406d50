// infrastructure/store/account_rows.hpp — rows of accounts as the domain's structs, and the rules that both engines
// keep.
#pragma once

#include "application/ports/account_store.hpp"
#include "infrastructure/store/json_text.hpp"
#include "infrastructure/store/refusals.hpp"

#include <algorithm>
#include <string>
#include <string_view>

namespace scheduler::infrastructure {

// FROM users u.
inline constexpr std::string_view kUserColumns = "u.id, u.name, u.role, u.disabled, u.created_at, u.updated_at";
inline constexpr int kUserColumnCount = 6;
inline constexpr auto read_user_from = [](auto& row, int first_column) {
  domain::User it;
  row.read_from(first_column, it.id, it.name, it.role, it.disabled, it.created_at, it.updated_at);
  return it;
};
inline constexpr auto read_user = [](auto& row) { return read_user_from(row, 0); };
// kUserColumns, then the password's hash.
inline constexpr auto read_stored_user = [](auto& row) {
  application::StoredUser it{.user = read_user(row), .password_hash = {}};
  row.read_from(kUserColumnCount, it.password_hash);
  return it;
};

// FROM login_sessions s.
inline constexpr std::string_view kSessionColumns =
    "s.id, s.user_id, s.created_at, s.used_at, s.expires_at, s.address, s.agent";
inline constexpr auto read_session = [](auto& row) {
  domain::LoginSession it;
  row.read(it.id, it.user, it.created_at, it.used_at, it.expires_at, it.address, it.agent);
  return it;
};

// FROM api_keys k.
inline constexpr std::string_view kKeyColumns =
    "k.id, k.user_id, k.key_id, k.name, k.permissions, k.created_at, k.expires_at, k.used_at";
inline constexpr int kKeyColumnCount = 8;
inline constexpr auto read_key = [](auto& row) {
  domain::ApiKey it;
  std::string permissions;
  row.read(it.id, it.user, it.key_id, it.name, permissions, it.created_at, it.expires_at, it.used_at);
  const auto words = words_from_json(permissions);
  if (!words) row.reject("the column api_keys.permissions holds something else than the JSON we write");
  for (const auto& word : words.value_or(std::vector<std::string>{})) {
    if (const auto permission = parse_enum<domain::Permission>(word))
      it.permissions.add(*permission);
    else
      row.reject("the column api_keys.permissions holds an unknown permission");
  }
  return it;
};
// kKeyColumns, the secret's digest, kUserColumns.
inline constexpr auto read_stored_key = [](auto& row) {
  application::StoredApiKey it{.key = read_key(row), .user = {}, .secret_digest = {}};
  const int next = row.read_from(kKeyColumnCount, it.secret_digest);
  it.user = read_user_from(row, next);
  return it;
};
[[nodiscard]] inline std::string to_json_text(const domain::PermissionSet& set) {
  std::vector<std::string> words;
  for (const auto it : domain::kKeyPermissions)
    if (set.contains(it)) words.emplace_back(name_of(it));
  return to_json_text(words);
}

// Somebody who may do things.
#define SCHEDULER_LIVING_USER "u.removed_at IS NULL AND NOT u.disabled"

// FROM refresh_tokens t, its session s and user u.
struct RefreshRow {
  SessionId session;
  TimePoint expires_at{}, session_created_at{};
  std::optional<TimePoint> used_at, ended_at;
  bool user_lives = false;
};
inline constexpr std::string_view kRefreshColumns =
    "t.session_id, t.expires_at, s.created_at, t.used_at, s.ended_at, " SCHEDULER_LIVING_USER;
inline constexpr auto read_refresh = [](auto& row) {
  RefreshRow it;
  row.read(it.session, it.expires_at, it.session_created_at, it.used_at, it.ended_at, it.user_lives);
  return it;
};

enum class Exchange { refuse, end_session, go };
[[nodiscard]] inline Exchange exchange_of(const RefreshRow& it, TimePoint now) {
  if (it.ended_at) return Exchange::refuse;
  if (it.used_at) return Exchange::end_session;
  return it.expires_at <= now || !it.user_lives ? Exchange::refuse : Exchange::go;
}
[[nodiscard]] inline TimePoint session_end(TimePoint created_at, TimePoint now) {
  return std::min(now + domain::kRefreshTokenLife, created_at + domain::kSessionLife);
}

inline constexpr std::string_view kReused = "a refresh token was used twice";
// A process signs for at most this long after it has published its key (application/auth_service.cpp publishes
// earlier).
inline constexpr Seconds kKeyTrusted{std::chrono::hours{2}};

[[nodiscard]] inline Refusal no_such_user() { return fail(ErrorKind::NotFound, "there is no such user"); }
[[nodiscard]] inline Refusal no_such_session() {
  return fail(ErrorKind::NotFound, "there is no such session, or it has ended");
}
[[nodiscard]] inline Refusal no_such_key() {
  return fail(ErrorKind::NotFound, "there is no such API key, or it was revoked");
}
[[nodiscard]] inline Refusal user_name_is_taken(std::string_view name) {
  return fail(ErrorKind::Conflict, "a user named '" + std::string(name) + "' exists already");
}
[[nodiscard]] inline Refusal is_set_up() {
  return fail(ErrorKind::Conflict, "the first account exists already: log in, or ask an admin for an account");
}
[[nodiscard]] inline Refusal setup_token_is_old() {
  return fail(ErrorKind::InvalidToken,
              "the setup link is not known or has expired; a restart of the server prints a new one");
}
[[nodiscard]] inline Refusal last_admin() {
  return fail(ErrorKind::Conflict, "nobody could manage accounts any more: make somebody else an admin first");
}
[[nodiscard]] inline Refusal session_is_over() {
  return fail(ErrorKind::InvalidToken, "the session has ended; log in again");
}

}  // namespace scheduler::infrastructure
