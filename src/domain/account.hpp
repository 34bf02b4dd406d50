// domain/account.hpp — people (and programs) with a name and a role, how long they stay signed in, and their API keys.
//
// Secrets are never here: the store keeps a password's Argon2id text and digests of tokens and keys, apart from these.
#pragma once

#include "core/time.hpp"
#include "domain/access.hpp"
#include "errors/error.hpp"

#include <chrono>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::domain {

inline constexpr Seconds kAccessTokenLife{std::chrono::minutes{10}};
inline constexpr Seconds kRefreshTokenLife{std::chrono::days{7}};  // unused for so long: the session is over
inline constexpr Seconds kSessionLife{std::chrono::days{30}};      // in any case
inline constexpr Seconds kSetupTokenLife{std::chrono::minutes{15}};
inline constexpr int kKeyDaysMax = 365;
inline constexpr int kKeyDaysDefault = 90;

struct User {
  UserId id;
  std::string name;  // unique; user_name_fault
  Role role = Role::viewer;
  bool disabled = false;  // no login, no session, no key counts
  TimePoint created_at{};
  TimePoint updated_at{};
};

struct LoginSession {
  SessionId id;
  UserId user;
  TimePoint created_at{};
  TimePoint used_at{};     // its last refresh
  TimePoint expires_at{};  // unless it is refreshed before
  std::string address;     // where the login came from
  std::string agent;       // which program, as it says itself
};

struct ApiKey {
  ApiKeyId id;
  UserId user;
  std::string key_id;  // the public part of its text: sch_<key_id>_<secret>
  std::string name;    // 1–100 bytes, for people
  PermissionSet permissions;
  TimePoint created_at{};
  TimePoint expires_at{};
  std::optional<TimePoint> used_at;  // about: kept to the minute
};

// The two parts of "sch_<key_id>_<secret>"; nothing for any other text.
struct KeyText {
  std::string_view key_id, secret;
};
[[nodiscard]] std::optional<KeyText> parse_key_text(std::string_view text);
inline constexpr std::string_view kKeyPrefix = "sch_";

// What is wrong with a name or a new password, as the end of "the name …"; nothing: it is good.
[[nodiscard]] std::optional<std::string> user_name_fault(std::string_view name);
[[nodiscard]] std::optional<std::string> password_fault(std::string_view password, std::string_view name);

// What an access token says (RFC 7519). Times are seconds since 1970.
struct AccessClaims {
  std::string issuer, audience, token_id;
  UserId user;
  SessionId session;
  std::int64_t issued_at = 0, expires_at = 0;
};
inline constexpr std::string_view kIssuer = "scheduler";
inline constexpr std::string_view kAudience = "scheduler-api";

[[nodiscard]] AccessClaims claims_for(UserId user, SessionId session, std::string token_id, TimePoint now);
// Why a token with a good signature does not count now; nothing: it does. Another host's clock may be up to a minute
// ahead of ours.
[[nodiscard]] std::optional<std::string> claims_fault(const AccessClaims& claims, TimePoint now);

}  // namespace scheduler::domain
