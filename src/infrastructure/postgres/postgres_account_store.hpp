// infrastructure/postgres/postgres_account_store.hpp — accounts, sessions and API keys.
#pragma once

#include "application/ports/account_store.hpp"
#include "database/postgres/database.hpp"
#include "infrastructure/postgres/store_clock.hpp"

namespace scheduler::infrastructure {

class PostgresUserRepository final : public application::UserRepository {
 public:
  PostgresUserRepository(StoreClock clock, database::postgres::Database& database)
      : clock_(clock), database_(database) {}
  Async<bool> any() override;
  Async<domain::User> create(application::NewUser user) override;
  Async<domain::User> create_first(application::NewUser user, std::optional<std::string> setup_token) override;
  Async<void> offer_setup(std::string token_digest, Seconds life) override;
  Async<application::StoredUser> get(UserId id) override;
  Async<std::optional<application::StoredUser>> find(std::string name) override;
  Async<std::vector<domain::User>> list() override;
  Async<domain::User> update(UserId id, application::UserChange change) override;
  Async<void> remove(UserId id) override;

 private:
  StoreClock clock_;
  database::postgres::Database& database_;
};

class PostgresSessionRepository final : public application::SessionRepository {
 public:
  PostgresSessionRepository(StoreClock clock, database::postgres::Database& database)
      : clock_(clock), database_(database) {}
  Async<domain::LoginSession> open(application::NewSession session) override;
  Async<domain::LoginSession> rotate(std::string old_digest, std::string new_digest) override;
  Async<domain::User> owner_of(SessionId id) override;
  Async<std::vector<domain::LoginSession>> list(UserId user) override;
  Async<void> end(UserId user, SessionId id) override;
  Async<void> publish_key(application::TrustedKey key) override;
  Async<std::vector<application::TrustedKey>> trusted_keys() override;

 private:
  StoreClock clock_;
  database::postgres::Database& database_;
};

class PostgresApiKeyRepository final : public application::ApiKeyRepository {
 public:
  PostgresApiKeyRepository(StoreClock clock, database::postgres::Database& database)
      : clock_(clock), database_(database) {}
  Async<domain::ApiKey> create(application::NewApiKey key) override;
  Async<std::optional<application::StoredApiKey>> find(std::string key_id) override;
  Async<void> mark_used(ApiKeyId id) override;
  Async<std::vector<domain::ApiKey>> list(UserId user) override;
  Async<domain::ApiKey> rotate(UserId user, ApiKeyId id, std::string secret_digest, Seconds life) override;
  Async<void> revoke(UserId user, ApiKeyId id) override;

 private:
  StoreClock clock_;
  database::postgres::Database& database_;
};

class PostgresAccountStore final : public application::AccountStore {
 public:
  PostgresAccountStore(StoreClock clock, database::postgres::Database& database)
      : users_(clock, database), sessions_(clock, database), api_keys_(clock, database) {}
  application::UserRepository& users() override { return users_; }
  application::SessionRepository& sessions() override { return sessions_; }
  application::ApiKeyRepository& api_keys() override { return api_keys_; }

 private:
  PostgresUserRepository users_;
  PostgresSessionRepository sessions_;
  PostgresApiKeyRepository api_keys_;
};

}  // namespace scheduler::infrastructure
