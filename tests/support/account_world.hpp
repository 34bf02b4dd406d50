// support/account_world.hpp — accounts over SQLite in memory, with real tokens, and passwords that cost nothing.
#pragma once

#include "application/api_key_service.hpp"
#include "application/auth_service.hpp"
#include "application/user_service.hpp"
#include "infrastructure/auth/ed25519_signer.hpp"
#include "infrastructure/auth/sodium_secrets.hpp"
#include "infrastructure/sqlite/sqlite_store.hpp"
#include "support/run_async.hpp"

#include <memory>
#include <string>

namespace scheduler::testing_support {

class FakePasswordHasher final : public application::PasswordHasher {
 public:
  int verified = 0;  // calls so far, whatever they said
  Async<std::string> hash(std::string password) override { co_return "fake:" + password; }
  Async<bool> verify(std::string password, std::string hash) override {
    ++verified;
    co_return hash == "fake:" + password;
  }
};

struct AccountWorld {
  explicit AccountWorld(const Clock& clock)
      : store(*infrastructure::SqliteStore::open(clock, {.path = ":memory:", .mode = database::sqlite::Mode::inline_})),
        auth({store->accounts(), passwords, secrets, signer, clock}) {}

  // The user is made if there is none of that name; its password is kPassword.
  std::string log_in(const std::string& name, domain::Role role) {
    if (!*run_async(store->accounts().users().find(name)))
      (void)*run_async(users.create({.name = name, .password = kPassword, .role = role}));
    return run_async(auth.login(name, kPassword, {.address = "test", .agent = "test"}))->access;
  }

  static constexpr auto kPassword = "correct horse battery";
  std::unique_ptr<infrastructure::SqliteStore> store;
  FakePasswordHasher passwords;
  infrastructure::SodiumSecrets secrets;
  infrastructure::Ed25519Signer signer{std::string(32, 'a')};
  application::AuthService auth;
  application::UserService users{store->accounts(), passwords, auth};
  application::ApiKeyService keys{store->accounts(), secrets, auth};
};

}  // namespace scheduler::testing_support
