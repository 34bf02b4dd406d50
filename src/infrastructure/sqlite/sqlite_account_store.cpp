#include "infrastructure/sqlite/sqlite_account_store.hpp"

#include "infrastructure/sqlite/rows.hpp"
#include "infrastructure/store/account_rows.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

using application::NewUser;
using application::StoredApiKey;
using application::StoredUser;
using application::TrustedKey;
using application::UserChange;
using domain::ApiKey;
using domain::LoginSession;
using domain::User;

SchedulerResult<StoredUser> get_user(Connection& connection, UserId id) {
  static const auto kSql =
      fmt::format("SELECT {}, u.password_hash FROM users u WHERE u.id = ? AND u.removed_at IS NULL", kUserColumns);
  TRY(auto user, connection.query(kSql, id).first(read_stored_user));
  if (!user) return no_such_user();
  return *std::move(user);
}

SchedulerResult<bool> any_user(Connection& connection) {
  TRY(const auto found, connection.query("SELECT EXISTS (SELECT 1 FROM users WHERE removed_at IS NULL)").value<bool>());
  return *found;
}

SchedulerResult<User> insert_user(Connection& connection, const NewUser& user, TimePoint now) {
  TRY(const auto taken,
      connection.query("SELECT id FROM users WHERE name = ? AND removed_at IS NULL", user.name).value<UserId>());
  if (taken) return user_name_is_taken(user.name);
  CHECK(connection.execute(
      "INSERT INTO users (name, role, password_hash, created_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?4)", user.name,
      user.role, user.password_hash, now));
  return User{.id = {connection.last_insert_id()},
              .name = user.name,
              .role = user.role,
              .disabled = false,
              .created_at = now,
              .updated_at = now};
}

SchedulerResult<User> insert_first(Connection& connection, const NewUser& user, const std::optional<std::string>& token,
                                   TimePoint now) {
  TRY(const bool any, any_user(connection));
  if (any) return is_set_up();
  if (token) {
    TRY(const auto good,
        connection.query("SELECT 1 FROM setup_tokens WHERE digest = ? AND expires_at > ?", *token, now).value<int>());
    if (!good) return setup_token_is_old();
  }
  CHECK(connection.execute("DELETE FROM setup_tokens"));
  return insert_user(connection, user, now);
}

SchedulerResult<void> end_sessions(Connection& connection, UserId user, std::string_view why,
                                   std::optional<SessionId> but, TimePoint now) {
  CHECK(
      connection.execute("UPDATE login_sessions SET ended_at = ?1, end_reason = ?2 WHERE user_id = ?3 AND ended_at IS"
                         " NULL AND id <> ?4",
                         now, why, user, but.value_or(SessionId{})));
  return {};
}

SchedulerResult<void> check_admin_is_left(Connection& connection, UserId without) {
  TRY(const auto other,
      connection
          .query("SELECT id FROM users u WHERE role = 'admin' AND " SCHEDULER_LIVING_USER " AND id <> ? LIMIT 1",
                 without)
          .value<UserId>());
  if (!other) return last_admin();
  return {};
}

bool is_living_admin(const User& user) { return user.role == domain::Role::admin && !user.disabled; }

SchedulerResult<User> update_user(Connection& connection, UserId id, const UserChange& change, TimePoint now) {
  TRY(auto stored, get_user(connection, id));
  auto& user = stored.user;
  const bool was_admin = is_living_admin(user);
  user.role = change.role.value_or(user.role);
  user.disabled = change.disabled.value_or(user.disabled);
  user.updated_at = now;
  if (was_admin && !is_living_admin(user)) CHECK(check_admin_is_left(connection, id));
  CHECK(connection.execute("UPDATE users SET role = ?, disabled = ?, password_hash = ?, updated_at = ? WHERE id = ?",
                           user.role, user.disabled, change.password_hash.value_or(stored.password_hash), now, id));
  if (change.password_hash)
    CHECK(end_sessions(connection, id, "the password was changed", change.session_that_stays, now));
  if (user.disabled) CHECK(end_sessions(connection, id, "the account was disabled", std::nullopt, now));
  return user;
}

SchedulerResult<void> remove_user(Connection& connection, UserId id, TimePoint now) {
  TRY(const auto stored, get_user(connection, id));
  if (is_living_admin(stored.user)) CHECK(check_admin_is_left(connection, id));
  CHECK(connection.execute("UPDATE users SET removed_at = ?1, updated_at = ?1 WHERE id = ?2", now, id));
  CHECK(connection.execute("UPDATE api_keys SET revoked_at = ?1 WHERE user_id = ?2 AND revoked_at IS NULL", now, id));
  return end_sessions(connection, id, "the account was removed", std::nullopt, now);
}

SchedulerResult<LoginSession> get_session(Connection& connection, SessionId id) {
  static const auto kSql = fmt::format("SELECT {} FROM login_sessions s WHERE s.id = ?", kSessionColumns);
  TRY(auto session, connection.query(kSql, id).first(read_session));
  if (!session) return no_such_session();
  return *std::move(session);
}

SchedulerResult<void> insert_refresh_token(Connection& connection, const std::string& digest, SessionId session,
                                           TimePoint expires_at) {
  CHECK(connection.execute("INSERT INTO refresh_tokens (digest, session_id, expires_at) VALUES (?, ?, ?)", digest,
                           session, expires_at));
  return {};
}

SchedulerResult<LoginSession> open_session(Connection& connection, const application::NewSession& it, TimePoint now) {
  TRY(const auto stored, get_user(connection, it.user));
  if (stored.user.disabled) return no_such_user();
  CHECK(connection.execute("DELETE FROM refresh_tokens WHERE expires_at < ?", now));
  const auto expires_at = session_end(now, now);
  CHECK(
      connection.execute("INSERT INTO login_sessions (user_id, created_at, used_at, expires_at, address, agent) VALUES "
                         "(?1, ?2, ?2, ?3, ?4,"
                         " ?5)",
                         it.user, now, expires_at, it.address, it.agent));
  const SessionId id{connection.last_insert_id()};
  CHECK(insert_refresh_token(connection, it.refresh_digest, id, expires_at));
  return get_session(connection, id);
}

// Nothing: refused. The end of a session whose token came twice is kept, so this is no error inside the transaction.
SchedulerResult<std::optional<LoginSession>> rotate_token(Connection& connection, const std::string& old_digest,
                                                          const std::string& new_digest, TimePoint now) {
  static const auto kFind = fmt::format(
      "SELECT {} FROM refresh_tokens t JOIN login_sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id"
      " WHERE t.digest = ?",
      kRefreshColumns);
  TRY(const auto found, connection.query(kFind, old_digest).first(read_refresh));
  if (!found) return std::nullopt;
  const auto exchange = exchange_of(*found, now);
  if (exchange == Exchange::end_session)
    CHECK(connection.execute("UPDATE login_sessions SET ended_at = ?, end_reason = ? WHERE id = ?", now, kReused,
                             found->session));
  if (exchange != Exchange::go) return std::nullopt;
  const auto expires_at = session_end(found->session_created_at, now);
  CHECK(connection.execute("UPDATE refresh_tokens SET used_at = ? WHERE digest = ?", now, old_digest));
  CHECK(insert_refresh_token(connection, new_digest, found->session, expires_at));
  CHECK(connection.execute("UPDATE login_sessions SET used_at = ?, expires_at = ? WHERE id = ?", now, expires_at,
                           found->session));
  TRY(auto session, get_session(connection, found->session));
  return session;
}

SchedulerResult<ApiKey> get_key(Connection& connection, UserId user, ApiKeyId id) {
  static const auto kSql =
      fmt::format("SELECT {} FROM api_keys k WHERE k.id = ? AND k.user_id = ? AND k.revoked_at IS NULL", kKeyColumns);
  TRY(auto key, connection.query(kSql, id, user).first(read_key));
  if (!key) return no_such_key();
  return *std::move(key);
}

}  // namespace

Async<bool> SqliteUserRepository::any() { return database_.read(any_user); }

Async<User> SqliteUserRepository::create(NewUser user) {
  return database_.write(
      [this, user = std::move(user)](Connection& connection) { return insert_user(connection, user, clock_.now()); });
}

Async<User> SqliteUserRepository::create_first(NewUser user, std::optional<std::string> setup_token) {
  return database_.write([this, user = std::move(user), token = std::move(setup_token)](Connection& connection) {
    return insert_first(connection, user, token, clock_.now());
  });
}

Async<void> SqliteUserRepository::offer_setup(std::string token_digest, Seconds life) {
  return database_.write(
      [this, digest = std::move(token_digest), life](Connection& connection) -> SchedulerResult<void> {
        const auto now = clock_.now();
        CHECK(connection.execute("DELETE FROM setup_tokens WHERE expires_at <= ?", now));
        CHECK(connection.execute("INSERT INTO setup_tokens (digest, expires_at) VALUES (?, ?)", digest, now + life));
        return {};
      });
}

Async<StoredUser> SqliteUserRepository::get(UserId id) {
  return database_.read([id](Connection& connection) { return get_user(connection, id); });
}

Async<std::optional<StoredUser>> SqliteUserRepository::find(std::string name) {
  return database_.read([name = std::move(name)](Connection& connection) {
    static const auto kSql =
        fmt::format("SELECT {}, u.password_hash FROM users u WHERE u.name = ? AND u.removed_at IS NULL", kUserColumns);
    return connection.query(kSql, name).first(read_stored_user);
  });
}

Async<std::vector<User>> SqliteUserRepository::list() {
  return database_.read([](Connection& connection) {
    static const auto kSql = fmt::format("SELECT {} FROM users u WHERE u.removed_at IS NULL ORDER BY u.name LIMIT {}",
                                         kUserColumns, application::kUsersListed);
    return connection.query(kSql).all(read_user);
  });
}

Async<User> SqliteUserRepository::update(UserId id, UserChange change) {
  return database_.write([this, id, change = std::move(change)](Connection& connection) {
    return update_user(connection, id, change, clock_.now());
  });
}

Async<void> SqliteUserRepository::remove(UserId id) {
  return database_.write([this, id](Connection& connection) { return remove_user(connection, id, clock_.now()); });
}

Async<LoginSession> SqliteSessionRepository::open(application::NewSession session) {
  return database_.write([this, session = std::move(session)](Connection& connection) {
    return open_session(connection, session, clock_.now());
  });
}

Async<LoginSession> SqliteSessionRepository::rotate(std::string old_digest, std::string new_digest) {
  CO_TRY(auto session,
         database_.write([this, from = std::move(old_digest), to = std::move(new_digest)](Connection& connection) {
           return rotate_token(connection, from, to, clock_.now());
         }));
  if (!session) co_return session_is_over();
  co_return *std::move(session);
}

Async<User> SqliteSessionRepository::owner_of(SessionId id) {
  CO_TRY(auto user, database_.read([this, id](Connection& connection) {
    static const auto kSql = fmt::format(
        "SELECT {} FROM login_sessions s JOIN users u ON u.id = s.user_id WHERE s.id = ? AND s.ended_at IS NULL"
        " AND s.expires_at > ? AND " SCHEDULER_LIVING_USER,
        kUserColumns);
    return connection.query(kSql, id, clock_.now()).first(read_user);
  }));
  if (!user) co_return session_is_over();
  co_return *std::move(user);
}

Async<std::vector<LoginSession>> SqliteSessionRepository::list(UserId user) {
  return database_.read([this, user](Connection& connection) {
    static const auto kSql = fmt::format(
        "SELECT {} FROM login_sessions s WHERE s.user_id = ? AND s.ended_at IS NULL AND s.expires_at > ?"
        " ORDER BY s.id DESC LIMIT 100",
        kSessionColumns);
    return connection.query(kSql, user, clock_.now()).all(read_session);
  });
}

Async<void> SqliteSessionRepository::end(UserId user, SessionId id) {
  return database_.write([this, user, id](Connection& connection) -> SchedulerResult<void> {
    TRY(const auto changed, connection.execute("UPDATE login_sessions SET ended_at = ?, end_reason = 'logged out'"
                                               " WHERE id = ? AND user_id = ? AND ended_at IS NULL",
                                               clock_.now(), id, user));
    if (changed == 0) return no_such_session();
    return {};
  });
}

Async<void> SqliteSessionRepository::publish_key(TrustedKey key) {
  return database_.write([this, key = std::move(key)](Connection& connection) -> SchedulerResult<void> {
    const auto now = clock_.now();
    CHECK(connection.execute("DELETE FROM signing_keys WHERE published_at <= ?", now - kKeyTrusted));
    CHECK(connection.execute("INSERT OR REPLACE INTO signing_keys (kid, public_key, published_at) VALUES (?, ?, ?)",
                             key.kid, key.public_key, now));
    return {};
  });
}

Async<std::vector<TrustedKey>> SqliteSessionRepository::trusted_keys() {
  return database_.read([this](Connection& connection) {
    return connection
        .query("SELECT kid, public_key FROM signing_keys WHERE published_at > ?", clock_.now() - kKeyTrusted)
        .all([](Statement& row) {
          TrustedKey it;
          row.read(it.kid, it.public_key);
          return it;
        });
  });
}

Async<ApiKey> SqliteApiKeyRepository::create(application::NewApiKey key) {
  return database_.write([this, key = std::move(key)](Connection& connection) -> SchedulerResult<ApiKey> {
    CHECK(get_user(connection, key.user));
    const auto now = clock_.now();
    CHECK(connection.execute(
        "INSERT INTO api_keys (user_id, key_id, name, permissions, secret_digest, created_at,"
        " expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)",
        key.user, key.key_id, key.name, to_json_text(key.permissions), key.secret_digest, now, now + key.life));
    return get_key(connection, key.user, {connection.last_insert_id()});
  });
}

Async<std::optional<StoredApiKey>> SqliteApiKeyRepository::find(std::string key_id) {
  return database_.read([this, key_id = std::move(key_id)](Connection& connection) {
    static const auto kSql = fmt::format(
        "SELECT {}, k.secret_digest, {} FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.key_id = ?"
        " AND k.revoked_at IS NULL AND k.expires_at > ? AND " SCHEDULER_LIVING_USER,
        kKeyColumns, kUserColumns);
    return connection.query(kSql, key_id, clock_.now()).first(read_stored_key);
  });
}

Async<void> SqliteApiKeyRepository::mark_used(ApiKeyId id) {
  return database_.write([this, id](Connection& connection) -> SchedulerResult<void> {
    CHECK(connection.execute("UPDATE api_keys SET used_at = ? WHERE id = ?", clock_.now(), id));
    return {};
  });
}

Async<std::vector<ApiKey>> SqliteApiKeyRepository::list(UserId user) {
  return database_.read([user](Connection& connection) {
    static const auto kSql = fmt::format(
        "SELECT {} FROM api_keys k WHERE k.user_id = ? AND k.revoked_at IS NULL ORDER BY k.id DESC LIMIT 100",
        kKeyColumns);
    return connection.query(kSql, user).all(read_key);
  });
}

Async<ApiKey> SqliteApiKeyRepository::rotate(UserId user, ApiKeyId id, std::string secret_digest, Seconds life) {
  return database_.write(
      [this, user, id, digest = std::move(secret_digest), life](Connection& connection) -> SchedulerResult<ApiKey> {
        CHECK(
            connection.execute("UPDATE api_keys SET secret_digest = ?, expires_at = ? WHERE id = ? AND user_id = ?"
                               " AND revoked_at IS NULL",
                               digest, clock_.now() + life, id, user));
        return get_key(connection, user, id);
      });
}

Async<void> SqliteApiKeyRepository::revoke(UserId user, ApiKeyId id) {
  return database_.write([this, user, id](Connection& connection) -> SchedulerResult<void> {
    TRY(const auto changed,
        connection.execute("UPDATE api_keys SET revoked_at = ? WHERE id = ? AND user_id = ? AND revoked_at IS NULL",
                           clock_.now(), id, user));
    if (changed == 0) return no_such_key();
    return {};
  });
}

}  // namespace scheduler::infrastructure
