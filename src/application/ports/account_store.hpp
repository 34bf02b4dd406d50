// application/ports/account_store.hpp — accounts, sessions and API keys. Digests are what the store keeps of secrets:
// hex texts that tell nothing about them (ports/credentials.hpp).
#pragma once

#include "core/async.hpp"
#include "domain/account.hpp"

#include <optional>
#include <string>
#include <vector>

namespace scheduler::application {

struct NewUser {
  std::string name;  // checked
  domain::Role role = domain::Role::viewer;
  std::string password_hash;
};

struct StoredUser {
  domain::User user;
  std::string password_hash;
};

struct UserChange {
  std::optional<domain::Role> role;
  std::optional<bool> disabled;
  std::optional<std::string> password_hash;     // ends all sessions of the user …
  std::optional<SessionId> session_that_stays;  // … but this one
};

// Users that were removed are invisible to every call; their names are free again.
class UserRepository {
 public:
  virtual ~UserRepository() = default;
  virtual Async<bool> any() = 0;
  virtual Async<domain::User> create(NewUser user) = 0;  // Conflict: the name is taken
  // The first user of all. Conflict when there is one already; with `setup_token`, InvalidToken unless it was offered
  // and has not expired. Every setup token is gone afterwards.
  virtual Async<domain::User> create_first(NewUser user, std::optional<std::string> setup_token) = 0;
  virtual Async<void> offer_setup(std::string token_digest, Seconds life) = 0;

  virtual Async<StoredUser> get(UserId id) = 0;                         // NotFound
  virtual Async<std::optional<StoredUser>> find(std::string name) = 0;  // letter case counts
  virtual Async<std::vector<domain::User>> list() = 0;                  // by name, at most kUsersListed
  // Conflict when nobody who is an admin, and not disabled, would be left. NotFound.
  virtual Async<domain::User> update(UserId id, UserChange change) = 0;
  // Ends sessions and keys as well. Conflict as above; NotFound.
  virtual Async<void> remove(UserId id) = 0;
};
inline constexpr int kUsersListed = 1000;

struct NewSession {
  UserId user;
  std::string refresh_digest;
  std::string address, agent;
};

// A public key that signatures of access tokens are checked with.
struct TrustedKey {
  std::string kid;
  std::string public_key;  // hex
};

class SessionRepository {
 public:
  virtual ~SessionRepository() = default;
  virtual Async<domain::LoginSession> open(NewSession session) = 0;  // NotFound: no such user, or a disabled one
  // Exchanges a refresh token for the next one of its session. InvalidToken for one that is unknown or expired, or
  // whose session or user is no more. One that was exchanged before ends its session: somebody has a copy.
  virtual Async<domain::LoginSession> rotate(std::string old_digest, std::string new_digest) = 0;
  // Whose session it is. InvalidToken: it has ended or expired, or the user is disabled or gone.
  virtual Async<domain::User> owner_of(SessionId id) = 0;
  virtual Async<std::vector<domain::LoginSession>> list(UserId user) = 0;  // that have not ended; newest first
  virtual Async<void> end(UserId user, SessionId id) = 0;                  // NotFound: not a session of this user

  // Keys of all API processes that signed lately. Publishing again says that it is still in use.
  virtual Async<void> publish_key(TrustedKey key) = 0;
  virtual Async<std::vector<TrustedKey>> trusted_keys() = 0;
};

struct NewApiKey {
  UserId user;
  std::string key_id, name, secret_digest;
  domain::PermissionSet permissions;
  Seconds life{0};
};

struct StoredApiKey {
  domain::ApiKey key;
  domain::User user;
  std::string secret_digest;
};

class ApiKeyRepository {
 public:
  virtual ~ApiKeyRepository() = default;
  virtual Async<domain::ApiKey> create(NewApiKey key) = 0;
  // Nothing: it is unknown, expired or revoked, or its user is disabled or gone.
  virtual Async<std::optional<StoredApiKey>> find(std::string key_id) = 0;
  virtual Async<void> mark_used(ApiKeyId id) = 0;
  virtual Async<std::vector<domain::ApiKey>> list(UserId user) = 0;  // that were not revoked; newest first
  // Another secret under the same id; the old one counts no more. NotFound: not a key of this user.
  virtual Async<domain::ApiKey> rotate(UserId user, ApiKeyId id, std::string secret_digest, Seconds life) = 0;
  virtual Async<void> revoke(UserId user, ApiKeyId id) = 0;  // NotFound
};

class AccountStore {
 public:
  virtual ~AccountStore() = default;
  virtual UserRepository& users() = 0;
  virtual SessionRepository& sessions() = 0;
  virtual ApiKeyRepository& api_keys() = 0;
};

}  // namespace scheduler::application
