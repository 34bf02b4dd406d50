// application/auth_service.hpp — who is asking? First start, login, refresh, logout, and the credentials of each
// request.
//
// Always true:
//   - no account, no password and no secret exists that nobody chose or drew; the first admin comes from a setup link
//   that
//     works once and for 15 minutes, or from a password in the settings;
//   - what a caller learns about an unknown name, a wrong password and a disabled account is the same, in the same
//   time;
//   - a logout, a changed password or role, a disabled account and a revoked key count within kFresh everywhere.
#pragma once

#include "application/ports/credentials.hpp"
#include "core/clock.hpp"
#include "domain/login_throttle.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace scheduler::application {

// Where a request comes from, for throttling and for the list of sessions.
struct Origin {
  std::string address, agent;
};

struct Tokens {
  std::string access, refresh;
  SessionId session;
};

struct FirstAdmin {
  std::string name = "admin";
  std::optional<std::string> password;  // nothing: a setup link
};

// How long an answer of the store about a session or a key is good for; and for how long it must do while the store is
// away: what changes anything needs the store itself, so all that is left to do meanwhile is to look at health.
inline constexpr Seconds kFresh{2}, kStale{std::chrono::minutes{10}};

class AuthService {
 public:
  struct Ports {
    AccountStore& accounts;
    PasswordHasher& passwords;
    Secrets& secrets;
    const TokenSigner& signer;
    const Clock& clock;
  };
  explicit AuthService(Ports ports) : ports_(ports) {}

  // Before the first request. While there is no account: makes the one of `first`, or returns the token of a setup
  // link. Config for a password that anybody could guess.
  Async<std::optional<std::string>> begin(FirstAdmin first);

  // The first admin. Validation; InvalidToken for a link that is old; Conflict when there is an account already.
  Async<Tokens> setup(std::string token, std::string name, std::string password, Origin from);
  // Unauthenticated; RateLimited with the time to wait; Unavailable when too many try at once.
  Async<Tokens> login(std::string name, std::string password, Origin from);
  Async<Tokens> refresh(std::string token);  // InvalidToken

  // Who sends this, an access token or an API key? InvalidToken.
  Async<domain::Principal> authenticate(std::string credential);

  // The same caller, later in a request that goes on for long. An access token may expire meanwhile; its session may
  // not end. InvalidToken.
  Async<domain::Principal> authenticate_again(domain::Principal who, std::string credential);

  Async<void> logout(domain::Principal who);  // of a session; an API key has none: Conflict
  Async<std::vector<domain::LoginSession>> sessions(domain::Principal who);
  Async<void> end_session(domain::Principal who, SessionId id);  // NotFound
  // Ends all other sessions. Validation; Forbidden for a wrong present password; RateLimited.
  Async<void> change_password(domain::Principal who, std::string present, std::string next, Origin from);

  // What was cached of credentials counts no more: an account or a key was changed by this process.
  void forget() { known_.clear(); }

 private:
  struct Known {
    domain::Principal who;
    std::string secret_digest;  // of an API key
    Micros learned_at{0};
  };

  Async<Tokens> open_session(UserId user, Origin from);
  SchedulerResult<void> throttle(const std::string& name, const Origin& from);
  Async<domain::Principal> by_token(std::string token);
  Async<domain::Principal> by_session(UserId user, SessionId session);
  Async<domain::Principal> by_key(std::string text);
  Async<domain::AccessClaims> claims_of(std::string token);
  Async<void> load_keys();
  Async<void> publish_key();
  [[nodiscard]] Tokens tokens(UserId user, SessionId session, std::string refresh);
  void remember(const std::string& name, Known known);
  // What is known of `name`, not older than `age`.
  [[nodiscard]] const Known* recall(const std::string& name, Seconds age) const;

  Ports ports_;
  domain::LoginThrottle throttle_;
  std::string nobodys_hash_;  // compared with where there is no account
  std::vector<TrustedKey> keys_;
  std::optional<Micros> keys_loaded_at_, key_published_at_;
  std::map<std::string, Known> known_;
};

}  // namespace scheduler::application
