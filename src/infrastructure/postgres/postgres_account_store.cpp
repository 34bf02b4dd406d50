#include "infrastructure/postgres/postgres_account_store.hpp"

#include "infrastructure/postgres/rows.hpp"
#include "infrastructure/store/account_rows.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

using application::NewUser;
using application::StoredApiKey;
using application::StoredUser;
using application::TrustedKey;
using application::UserChange;
using database::postgres::Access;
using domain::ApiKey;
using domain::LoginSession;
using domain::User;
using postgres::instant_of;
using postgres::Row;
using postgres::Rows;
using postgres::Transaction;

// Whoever takes an admin away locks all of them first: two who do so at once wait for each other.
constexpr auto kLockAdmins =
    "SELECT u.id FROM users u WHERE u.role = 'admin' AND " SCHEDULER_LIVING_USER " ORDER BY u.id FOR NO KEY UPDATE";
constexpr auto kEndSessions =
    "UPDATE login_sessions SET ended_at = $1, end_reason = $2 WHERE user_id = $3 AND ended_at IS NULL AND id <> $4";
constexpr auto kInsertToken = "INSERT INTO refresh_tokens (digest, session_id, expires_at) VALUES ($1, $2, $3)";

template <class T>
SchedulerResult<T> one(SchedulerResult<std::optional<T>> found, const Refusal& otherwise) {
  if (!found) return std::unexpected(std::move(found).error());
  if (!*found) return otherwise;
  return **std::move(found);
}

const std::string& insert_user() {
  static const auto kSql = fmt::format(
      "INSERT INTO users AS u (name, role, password_hash, created_at, updated_at) SELECT $2, $3, $4, t, t FROM (SELECT"
      " " SCHEDULER_NOW " AS t) at RETURNING {}",
      kUserColumns);
  return kSql;
}

SchedulerError taken_meanwhile(SchedulerError error, std::string_view name) {
  return error.kind == ErrorKind::Conflict ? user_name_is_taken(name).error() : error;
}

const std::string& select_user(std::string_view where) {
  static const auto kById =
      fmt::format("SELECT {}, u.password_hash FROM users u WHERE u.removed_at IS NULL AND u.id = $1", kUserColumns);
  static const auto kByIdLocked = kById + " FOR NO KEY UPDATE";
  static const auto kByName =
      fmt::format("SELECT {}, u.password_hash FROM users u WHERE u.removed_at IS NULL AND u.name = $1", kUserColumns);
  return where == "id" ? kById : where == "locked" ? kByIdLocked : kByName;
}

bool is_living_admin(const User& user) { return user.role == domain::Role::admin && !user.disabled; }

SchedulerResult<void> check_admin_is_left(Rows& admins, UserId without) {
  TRY(const auto ids, admins.values<UserId>());
  if (std::ranges::none_of(ids, [&](UserId id) { return id != without; })) return last_admin();
  return {};
}

const std::string& select_key(bool of_user) {
  static const auto kOfUser =
      fmt::format("SELECT {} FROM api_keys k WHERE k.id = $1 AND k.user_id = $2 AND k.revoked_at IS NULL", kKeyColumns);
  static const auto kAny = fmt::format(
      "SELECT {}, k.secret_digest, {} FROM api_keys k JOIN users u ON u.id = k.user_id WHERE k.key_id = $2"
      " AND k.revoked_at IS NULL AND k.expires_at > " SCHEDULER_NOW " AND " SCHEDULER_LIVING_USER,
      kKeyColumns, kUserColumns);
  return of_user ? kOfUser : kAny;
}

}  // namespace

Async<bool> PostgresUserRepository::any() {
  CO_TRY(auto rows, database_.query("SELECT EXISTS (SELECT 1 FROM users WHERE removed_at IS NULL)"));
  CO_UNWRAP(const auto found, rows.value<bool>());
  co_return *found;
}

Async<User> PostgresUserRepository::create(NewUser user) {
  auto rows = co_await database_.query(insert_user(), clock_.own(), user.name, user.role, user.password_hash);
  if (!rows) co_return std::unexpected(taken_meanwhile(rows.error(), user.name));
  co_return one(rows->first(read_user), no_such_user());
}

Async<User> PostgresUserRepository::create_first(NewUser user, std::optional<std::string> setup_token) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send("LOCK TABLE users IN SHARE ROW EXCLUSIVE MODE");
  tx.send("SELECT EXISTS (SELECT 1 FROM users WHERE removed_at IS NULL)");
  tx.send("SELECT EXISTS (SELECT 1 FROM setup_tokens WHERE digest = $2 AND expires_at > " SCHEDULER_NOW ")",
          clock_.own(), setup_token.value_or(""));
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto any, results[1].value<bool>());
  CO_UNWRAP(const auto offered, results[2].value<bool>());
  if (*any) co_return is_set_up();
  if (setup_token && !*offered) co_return setup_token_is_old();
  tx.send("DELETE FROM setup_tokens");
  tx.send(insert_user(), clock_.own(), user.name, user.role, user.password_hash);
  CO_TRY(auto made, tx.finish());
  co_return one(made.back().first(read_user), no_such_user());
}

Async<void> PostgresUserRepository::offer_setup(std::string token_digest, Seconds life) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send("DELETE FROM setup_tokens WHERE expires_at <= " SCHEDULER_NOW, clock_.own());
  tx.send("INSERT INTO setup_tokens (digest, expires_at) VALUES ($2, " SCHEDULER_NOW " + $3 * interval '1 second')",
          clock_.own(), token_digest, life);
  co_return co_await tx.commit();
}

Async<StoredUser> PostgresUserRepository::get(UserId id) {
  CO_TRY(auto rows, database_.query(select_user("id"), id));
  co_return one(rows.first(read_stored_user), no_such_user());
}

Async<std::optional<StoredUser>> PostgresUserRepository::find(std::string name) {
  CO_TRY(auto rows, database_.query(select_user("name"), name));
  co_return rows.first(read_stored_user);
}

Async<std::vector<User>> PostgresUserRepository::list() {
  static const auto kSql = fmt::format("SELECT {} FROM users u WHERE u.removed_at IS NULL ORDER BY u.name LIMIT {}",
                                       kUserColumns, application::kUsersListed);
  CO_TRY(auto rows, database_.query(kSql));
  co_return rows.all(read_user);
}

Async<User> PostgresUserRepository::update(UserId id, UserChange change) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send(kSelectNow, clock_.own());
  tx.send(kLockAdmins);
  tx.send(select_user("locked"), id);
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results[0]));
  CO_UNWRAP(auto stored, one(results[2].first(read_stored_user), no_such_user()));
  auto& user = stored.user;
  const bool was_admin = is_living_admin(user);
  user.role = change.role.value_or(user.role);
  user.disabled = change.disabled.value_or(user.disabled);
  user.updated_at = now;
  if (was_admin && !is_living_admin(user)) CO_ENSURE(check_admin_is_left(results[1], id));
  tx.send("UPDATE users SET role = $1, disabled = $2, password_hash = $3, updated_at = $4 WHERE id = $5", user.role,
          user.disabled, change.password_hash.value_or(stored.password_hash), now, id);
  if (change.password_hash)
    tx.send(kEndSessions, now, "the password was changed", id, change.session_that_stays.value_or(SessionId{}));
  if (user.disabled) tx.send(kEndSessions, now, "the account was disabled", id, SessionId{});
  CO_CHECK(tx.commit());
  co_return user;
}

Async<void> PostgresUserRepository::remove(UserId id) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send(kSelectNow, clock_.own());
  tx.send(kLockAdmins);
  tx.send(select_user("locked"), id);
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results[0]));
  CO_UNWRAP(const auto stored, one(results[2].first(read_stored_user), no_such_user()));
  if (is_living_admin(stored.user)) CO_ENSURE(check_admin_is_left(results[1], id));
  tx.send("UPDATE users SET removed_at = $1, updated_at = $1 WHERE id = $2", now, id);
  tx.send("UPDATE api_keys SET revoked_at = $1 WHERE user_id = $2 AND revoked_at IS NULL", now, id);
  tx.send(kEndSessions, now, "the account was removed", id, SessionId{});
  co_return co_await tx.commit();
}

Async<LoginSession> PostgresSessionRepository::open(application::NewSession session) {
  static const auto kInsert = fmt::format(
      "INSERT INTO login_sessions AS s (user_id, created_at, used_at, expires_at, address, agent) VALUES ($1, $2, $2, "
      "$3,"
      " $4, $5) RETURNING {}",
      kSessionColumns);
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send(kSelectNow, clock_.own());
  tx.send(select_user("locked"), session.user);
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results[0]));
  CO_UNWRAP(const auto stored, one(results[1].first(read_stored_user), no_such_user()));
  if (stored.user.disabled) co_return no_such_user();
  const auto expires_at = session_end(now, now);
  tx.send("DELETE FROM refresh_tokens WHERE expires_at < $1", now);
  CO_TRY(auto made, tx.query(kInsert, session.user, now, expires_at, session.address, session.agent));
  CO_UNWRAP(auto opened, one(made.first(read_session), no_such_session()));
  tx.send(kInsertToken, session.refresh_digest, opened.id, expires_at);
  CO_CHECK(tx.commit());
  co_return opened;
}

Async<LoginSession> PostgresSessionRepository::rotate(std::string old_digest, std::string new_digest) {
  static const auto kFind = fmt::format(
      "SELECT {} FROM refresh_tokens t JOIN login_sessions s ON s.id = t.session_id JOIN users u ON u.id = s.user_id"
      " WHERE t.digest = $1 FOR NO KEY UPDATE OF t, s",
      kRefreshColumns);
  static const auto kTouch = fmt::format(
      "UPDATE login_sessions s SET used_at = $1, expires_at = $2 WHERE s.id = $3 RETURNING {}", kSessionColumns);
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send(kSelectNow, clock_.own());
  tx.send(kFind, old_digest);
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results[0]));
  CO_UNWRAP(const auto found, results[1].first(read_refresh));
  if (!found) co_return session_is_over();
  const auto exchange = exchange_of(*found, now);
  if (exchange == Exchange::end_session) {
    tx.send("UPDATE login_sessions SET ended_at = $1, end_reason = $2 WHERE id = $3", now, kReused, found->session);
    CO_CHECK(tx.commit());
  }
  if (exchange != Exchange::go) co_return session_is_over();
  const auto expires_at = session_end(found->session_created_at, now);
  tx.send("UPDATE refresh_tokens SET used_at = $1 WHERE digest = $2", now, old_digest);
  tx.send(kInsertToken, new_digest, found->session, expires_at);
  tx.send(kTouch, now, expires_at, found->session);
  CO_TRY(auto done, tx.finish());
  co_return one(done.back().first(read_session), no_such_session());
}

Async<User> PostgresSessionRepository::owner_of(SessionId id) {
  static const auto kSql = fmt::format(
      "SELECT {} FROM login_sessions s JOIN users u ON u.id = s.user_id WHERE s.id = $2 AND s.ended_at IS NULL"
      " AND s.expires_at > " SCHEDULER_NOW " AND " SCHEDULER_LIVING_USER,
      kUserColumns);
  CO_TRY(auto rows, database_.query(kSql, clock_.own(), id));
  co_return one(rows.first(read_user), session_is_over());
}

Async<std::vector<LoginSession>> PostgresSessionRepository::list(UserId user) {
  static const auto kSql = fmt::format(
      "SELECT {} FROM login_sessions s WHERE s.user_id = $2 AND s.ended_at IS NULL AND s.expires_at > " SCHEDULER_NOW
      " ORDER BY s.id DESC LIMIT 100",
      kSessionColumns);
  CO_TRY(auto rows, database_.query(kSql, clock_.own(), user));
  co_return rows.all(read_session);
}

Async<void> PostgresSessionRepository::end(UserId user, SessionId id) {
  CO_TRY(const auto rows, database_.query("UPDATE login_sessions SET ended_at = " SCHEDULER_NOW
                                          ", end_reason = 'logged out' WHERE id = $2 AND user_id = $3"
                                          " AND ended_at IS NULL",
                                          clock_.own(), id, user));
  if (rows.changed() == 0) co_return no_such_session();
  co_return SchedulerResult<void>{};
}

Async<void> PostgresSessionRepository::publish_key(TrustedKey key) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send("DELETE FROM signing_keys WHERE published_at <= " SCHEDULER_NOW " - $2 * interval '1 second'", clock_.own(),
          kKeyTrusted);
  tx.send("INSERT INTO signing_keys (kid, public_key, published_at) VALUES ($2, $3, " SCHEDULER_NOW
          ") ON CONFLICT (kid) DO UPDATE SET published_at = excluded.published_at",
          clock_.own(), key.kid, key.public_key);
  co_return co_await tx.commit();
}

Async<std::vector<TrustedKey>> PostgresSessionRepository::trusted_keys() {
  CO_TRY(auto rows, database_.query("SELECT kid, public_key FROM signing_keys WHERE published_at > " SCHEDULER_NOW
                                    " - $2 * interval '1 second'",
                                    clock_.own(), kKeyTrusted));
  co_return rows.all([](Row& row) {
    TrustedKey it;
    row.read(it.kid, it.public_key);
    return it;
  });
}

Async<ApiKey> PostgresApiKeyRepository::create(application::NewApiKey key) {
  static const auto kSql = fmt::format(
      "INSERT INTO api_keys AS k (user_id, key_id, name, permissions, secret_digest, created_at, expires_at)"
      " SELECT u.id, $3, $4, $5, $6, " SCHEDULER_NOW ", " SCHEDULER_NOW
      " + $7 * interval '1 second' FROM users u WHERE u.id = $2 AND u.removed_at IS NULL RETURNING {}",
      kKeyColumns);
  CO_TRY(auto rows, database_.query(kSql, clock_.own(), key.user, key.key_id, key.name, to_json_text(key.permissions),
                                    key.secret_digest, key.life));
  co_return one(rows.first(read_key), no_such_user());
}

Async<std::optional<StoredApiKey>> PostgresApiKeyRepository::find(std::string key_id) {
  CO_TRY(auto rows, database_.query(select_key(false), clock_.own(), key_id));
  co_return rows.first(read_stored_key);
}

Async<void> PostgresApiKeyRepository::mark_used(ApiKeyId id) {
  CO_TRY(const auto rows,
         database_.query("UPDATE api_keys SET used_at = " SCHEDULER_NOW " WHERE id = $2", clock_.own(), id));
  co_return SchedulerResult<void>{};
}

Async<std::vector<ApiKey>> PostgresApiKeyRepository::list(UserId user) {
  static const auto kSql = fmt::format(
      "SELECT {} FROM api_keys k WHERE k.user_id = $1 AND k.revoked_at IS NULL ORDER BY k.id DESC LIMIT 100",
      kKeyColumns);
  CO_TRY(auto rows, database_.query(kSql, user));
  co_return rows.all(read_key);
}

Async<ApiKey> PostgresApiKeyRepository::rotate(UserId user, ApiKeyId id, std::string secret_digest, Seconds life) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send("UPDATE api_keys SET secret_digest = $2, expires_at = " SCHEDULER_NOW
          " + $3 * interval '1 second' WHERE id = $4 AND user_id = $5 AND revoked_at IS NULL",
          clock_.own(), secret_digest, life, id, user);
  tx.send(select_key(true), id, user);
  CO_TRY(auto results, tx.finish());
  co_return one(results.back().first(read_key), no_such_key());
}

Async<void> PostgresApiKeyRepository::revoke(UserId user, ApiKeyId id) {
  CO_TRY(const auto rows, database_.query("UPDATE api_keys SET revoked_at = " SCHEDULER_NOW
                                          " WHERE id = $2 AND user_id = $3 AND revoked_at IS NULL",
                                          clock_.own(), id, user));
  if (rows.changed() == 0) co_return no_such_key();
  co_return SchedulerResult<void>{};
}

}  // namespace scheduler::infrastructure
