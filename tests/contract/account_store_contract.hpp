// contract/account_store_contract.hpp — what every AccountStore must do.
#pragma once

#include "contract/store_fixture.hpp"

namespace scheduler::contract {

using domain::Permission;
using domain::Role;

class AccountStoreContract : public StoreContract {
 protected:
  UserRepository& users() { return store().accounts().users(); }
  SessionRepository& sessions() { return store().accounts().sessions(); }
  ApiKeyRepository& keys() { return store().accounts().api_keys(); }

  domain::User add(const std::string& name, Role role = Role::user) {
    return ok(users().create({.name = name, .role = role, .password_hash = "$argon2id$" + name}));
  }
  domain::LoginSession log_in(UserId user, const std::string& digest) {
    return ok(sessions().open({.user = user, .refresh_digest = digest, .address = "10.0.0.7", .agent = "curl/8"}));
  }
  domain::ApiKey add_key(UserId user, const std::string& key_id, Seconds life = std::chrono::days{90}) {
    return ok(keys().create({.user = user,
                             .key_id = key_id,
                             .name = "ci",
                             .secret_digest = "d-" + key_id,
                             .permissions = {Permission::task_read, Permission::task_write},
                             .life = life}));
  }
  static std::vector<SessionId> ids_of(const std::vector<domain::LoginSession>& list) {
    std::vector<SessionId> ids;
    for (const auto& it : list) ids.push_back(it.id);
    return ids;
  }
};

TEST_P(AccountStoreContract, Create_NewName_IsFoundByNameAndId) {
  EXPECT_FALSE(ok(users().any()));
  EXPECT_FALSE(ok(users().find("ada")));
  const auto made = add("ada", Role::operator_);
  EXPECT_TRUE(ok(users().any()));
  EXPECT_EQ(made.created_at, clock.now());
  for (const auto& stored : {ok(users().get(made.id)), *ok(users().find("ada"))}) {
    EXPECT_EQ(stored.user.id, made.id);
    EXPECT_EQ(stored.user.name, "ada");
    EXPECT_EQ(stored.user.role, Role::operator_);
    EXPECT_FALSE(stored.user.disabled);
    EXPECT_EQ(stored.password_hash, "$argon2id$ada");
  }
}

TEST_P(AccountStoreContract, Create_NameThatIsTaken_IsAConflict) {
  add("ada");
  const auto refused = error(users().create({.name = "ada", .role = Role::viewer, .password_hash = "x"}));
  EXPECT_EQ(refused.kind, ErrorKind::Conflict);
  EXPECT_THAT(refused.message, HasSubstr("ada"));
  add("Ada");  // letter case counts
}

TEST_P(AccountStoreContract, CreateFirst_WithTheTokenThatWasOffered_WorksOnce) {
  ok(users().offer_setup("digest-1", 15min));
  ok(users().offer_setup("digest-2", 15min));
  const NewUser admin{.name = "root1", .role = Role::admin, .password_hash = "h"};
  EXPECT_EQ(error(users().create_first(admin, "digest-3")).kind, ErrorKind::InvalidToken);
  EXPECT_EQ(ok(users().create_first(admin, "digest-1")).role, Role::admin);
  EXPECT_EQ(error(users().create_first(admin, "digest-1")).kind, ErrorKind::Conflict);
  EXPECT_EQ(error(users().create_first(admin, "digest-2")).kind, ErrorKind::Conflict);
  EXPECT_EQ(error(users().create_first(admin, std::nullopt)).kind, ErrorKind::Conflict);
}

TEST_P(AccountStoreContract, CreateFirst_AfterTheTokensTime_IsRefused) {
  ok(users().offer_setup("digest", 15min));
  clock.advance(15min);
  EXPECT_EQ(error(users().create_first({.name = "a", .role = Role::admin, .password_hash = "h"}, "digest")).kind,
            ErrorKind::InvalidToken);
  EXPECT_FALSE(ok(users().any()));
}

TEST_P(AccountStoreContract, Update_RoleAndState_AreKept) {
  const auto user = add("ada");
  clock.advance(1min);
  const auto changed = ok(users().update(user.id, {.role = Role::viewer}));
  EXPECT_EQ(changed.role, Role::viewer);
  EXPECT_EQ(changed.updated_at, clock.now());
  ok(users().update(user.id, {.disabled = true}));
  const auto stored = ok(users().get(user.id));
  EXPECT_EQ(stored.user.role, Role::viewer);
  EXPECT_TRUE(stored.user.disabled);
  EXPECT_EQ(stored.password_hash, "$argon2id$ada");
  EXPECT_EQ(error(users().update({4711}, {.disabled = true})).kind, ErrorKind::NotFound);
}

TEST_P(AccountStoreContract, Update_LastAdmin_CannotBeTakenAway) {
  const auto admin = add("root1", Role::admin);
  const auto other = add("root2", Role::admin);
  ok(users().update(other.id, {.disabled = true}));
  EXPECT_EQ(error(users().update(admin.id, {.role = Role::user})).kind, ErrorKind::Conflict);
  EXPECT_EQ(error(users().update(admin.id, {.disabled = true})).kind, ErrorKind::Conflict);
  EXPECT_EQ(error(users().remove(admin.id)).kind, ErrorKind::Conflict);
  ok(users().update(other.id, {.disabled = false}));
  ok(users().update(admin.id, {.role = Role::user}));
}

TEST_P(AccountStoreContract, Update_NewPassword_EndsAllSessionsButOne) {
  const auto user = add("ada");
  const auto kept = log_in(user.id, "r1"), other = log_in(user.id, "r2");
  ok(users().update(user.id, {.password_hash = "new", .session_that_stays = kept.id}));
  EXPECT_EQ(ok(users().get(user.id)).password_hash, "new");
  EXPECT_THAT(ids_of(ok(sessions().list(user.id))), ElementsAre(kept.id));
  EXPECT_EQ(error(sessions().owner_of(other.id)).kind, ErrorKind::InvalidToken);
  EXPECT_EQ(error(sessions().rotate("r2", "r3")).kind, ErrorKind::InvalidToken);
}

TEST_P(AccountStoreContract, Remove_User_IsGoneWithSessionsAndKeysAndItsNameIsFree) {
  const auto user = add("ada");
  const auto session = log_in(user.id, "r1");
  add_key(user.id, "k1");
  ok(users().remove(user.id));
  EXPECT_FALSE(ok(users().find("ada")));
  EXPECT_THAT(ok(users().list()), IsEmpty());
  EXPECT_EQ(error(sessions().owner_of(session.id)).kind, ErrorKind::InvalidToken);
  EXPECT_FALSE(ok(keys().find("k1")));
  EXPECT_EQ(error(users().remove(user.id)).kind, ErrorKind::NotFound);
  EXPECT_NE(add("ada").id, user.id);
}

TEST_P(AccountStoreContract, Open_Session_IsListedAndOwned) {
  const auto user = add("ada");
  const auto session = log_in(user.id, "r1");
  EXPECT_EQ(session.user, user.id);
  EXPECT_EQ(session.address, "10.0.0.7");
  EXPECT_EQ(session.agent, "curl/8");
  EXPECT_EQ(session.created_at, clock.now());
  EXPECT_EQ(session.expires_at, clock.now() + domain::kRefreshTokenLife);
  EXPECT_EQ(ok(sessions().owner_of(session.id)).name, "ada");
  EXPECT_THAT(ids_of(ok(sessions().list(user.id))), ElementsAre(session.id));
  ok(users().update(user.id, {.disabled = true}));
  EXPECT_EQ(error(sessions().owner_of(session.id)).kind, ErrorKind::InvalidToken);
  EXPECT_EQ(error(sessions().open({.user = user.id, .refresh_digest = "r2", .address = "", .agent = ""})).kind,
            ErrorKind::NotFound);
}

TEST_P(AccountStoreContract, Rotate_EachTokenOnce_KeepsTheSession) {
  const auto session = log_in(add("ada").id, "r1");
  clock.advance(1h);
  const auto later = ok(sessions().rotate("r1", "r2"));
  EXPECT_EQ(later.id, session.id);
  EXPECT_EQ(later.used_at, clock.now());
  EXPECT_EQ(later.expires_at, clock.now() + domain::kRefreshTokenLife);
  EXPECT_EQ(ok(sessions().rotate("r2", "r3")).id, session.id);
  EXPECT_EQ(error(sessions().rotate("never", "r4")).kind, ErrorKind::InvalidToken);
}

TEST_P(AccountStoreContract, Rotate_TokenThatWasUsed_EndsTheWholeFamily) {
  const auto session = log_in(add("ada").id, "r1");
  ok(sessions().rotate("r1", "r2"));
  EXPECT_EQ(error(sessions().rotate("r1", "thief")).kind, ErrorKind::InvalidToken);
  EXPECT_EQ(error(sessions().rotate("r2", "r3")).kind, ErrorKind::InvalidToken);
  EXPECT_EQ(error(sessions().owner_of(session.id)).kind, ErrorKind::InvalidToken);
}

TEST_P(AccountStoreContract, Rotate_SameTokenAtOnce_NobodyKeepsTheSession) {
  const auto session = log_in(add("ada").id, "r1");
  std::vector<Async<domain::LoginSession>> both;
  both.push_back(sessions().rotate("r1", "a"));
  both.push_back(sessions().rotate("r1", "b"));
  const auto results = run_all(std::move(both));
  EXPECT_EQ(results[0].has_value() + results[1].has_value(), 1);
  EXPECT_EQ(error(sessions().owner_of(session.id)).kind, ErrorKind::InvalidToken);
}

TEST_P(AccountStoreContract, Rotate_UnusedForAWeekOrAfterAMonth_IsOver) {
  const auto user = add("ada").id;
  log_in(user, "idle");
  const auto session = log_in(user, "r0");
  for (int day = 1; day <= 25; ++day) {
    clock.advance(24h);
    ok(sessions().rotate(fmt::format("r{}", day - 1), fmt::format("r{}", day)));
  }
  EXPECT_EQ(error(sessions().rotate("idle", "x")).kind, ErrorKind::InvalidToken);
  const auto last = ok(sessions().rotate("r25", "r26"));
  EXPECT_EQ(last.expires_at, session.created_at + domain::kSessionLife);
  clock.advance(5 * 24h);
  EXPECT_EQ(error(sessions().rotate("r26", "r27")).kind, ErrorKind::InvalidToken);
  EXPECT_EQ(error(sessions().owner_of(session.id)).kind, ErrorKind::InvalidToken);
  EXPECT_THAT(ok(sessions().list(user)), IsEmpty());
}

TEST_P(AccountStoreContract, End_OwnSession_IsOverAndAForeignOneIsNotFound) {
  const auto ada = add("ada").id, bob = add("bob").id;
  const auto session = log_in(ada, "r1");
  EXPECT_EQ(error(sessions().end(bob, session.id)).kind, ErrorKind::NotFound);
  ok(sessions().end(ada, session.id));
  EXPECT_EQ(error(sessions().owner_of(session.id)).kind, ErrorKind::InvalidToken);
  EXPECT_EQ(error(sessions().rotate("r1", "r2")).kind, ErrorKind::InvalidToken);
  EXPECT_EQ(error(sessions().end(ada, session.id)).kind, ErrorKind::NotFound);
}

TEST_P(AccountStoreContract, PublishKey_IsTrustedForAWhile) {
  ok(sessions().publish_key({"kid-1", "aa"}));
  clock.advance(90min);
  ok(sessions().publish_key({"kid-2", "bb"}));
  auto trusted = ok(sessions().trusted_keys());
  ASSERT_EQ(trusted.size(), 2u);
  clock.advance(60min);
  ok(sessions().publish_key({"kid-2", "bb"}));
  trusted = ok(sessions().trusted_keys());
  ASSERT_EQ(trusted.size(), 1u);
  EXPECT_EQ(trusted[0].kid, "kid-2");
  EXPECT_EQ(trusted[0].public_key, "bb");
}

TEST_P(AccountStoreContract, ApiKey_NewOne_IsFoundWithItsOwner) {
  const auto user = add("ada", Role::operator_);
  const auto made = add_key(user.id, "k1");
  EXPECT_EQ(made.expires_at, clock.now() + std::chrono::days{90});
  EXPECT_FALSE(made.used_at);
  const auto found = ok(keys().find("k1"));
  ASSERT_TRUE(found);
  EXPECT_EQ(found->key.id, made.id);
  EXPECT_EQ(found->key.name, "ci");
  EXPECT_EQ(found->key.permissions, (domain::PermissionSet{Permission::task_read, Permission::task_write}));
  EXPECT_EQ(found->secret_digest, "d-k1");
  EXPECT_EQ(found->user.name, "ada");
  EXPECT_EQ(found->user.role, Role::operator_);
  ok(keys().mark_used(made.id));
  EXPECT_EQ(ok(keys().find("k1"))->key.used_at, clock.now());
  EXPECT_FALSE(ok(keys().find("k2")));
  EXPECT_EQ(error(keys().create({.user = {4711}, .key_id = "k3"})).kind, ErrorKind::NotFound);
}

TEST_P(AccountStoreContract, ApiKey_ExpiredRevokedOrOfADisabledUser_IsNotFound) {
  const auto user = add("ada").id;
  add_key(user, "short", 1h);
  const auto revoked = add_key(user, "revoked");
  add_key(user, "long");
  ok(keys().revoke(user, revoked.id));
  EXPECT_FALSE(ok(keys().find("revoked")));
  EXPECT_EQ(error(keys().revoke(user, revoked.id)).kind, ErrorKind::NotFound);
  clock.advance(1h);
  EXPECT_FALSE(ok(keys().find("short")));
  EXPECT_EQ(ok(keys().list(user)).size(), 2u);  // an expired one is shown, so that people see why it does not work
  ok(users().update(user, {.disabled = true}));
  EXPECT_FALSE(ok(keys().find("long")));
}

TEST_P(AccountStoreContract, ApiKey_RotatedOne_HasAnotherSecretAndTime) {
  const auto ada = add("ada").id, bob = add("bob").id;
  const auto key = add_key(ada, "k1", 1h);
  EXPECT_EQ(error(keys().rotate(bob, key.id, "stolen", 1h)).kind, ErrorKind::NotFound);
  EXPECT_EQ(error(keys().revoke(bob, key.id)).kind, ErrorKind::NotFound);
  clock.advance(30min);
  const auto rotated = ok(keys().rotate(ada, key.id, "d-2", 2h));
  EXPECT_EQ(rotated.id, key.id);
  EXPECT_EQ(rotated.expires_at, clock.now() + 2h);
  EXPECT_EQ(ok(keys().find("k1"))->secret_digest, "d-2");
}

TEST_P(AccountStoreContract, Task_Owner_IsKeptThroughUpdates) {
  const auto user = add("ada");
  auto task = ok(tasks().create({.spec = spec("mine"), .owner = user.id}));
  EXPECT_EQ(task.owner, user.id);
  task.spec.description = "changed";
  task.owner = UserId{4711};  // whoever writes: it stays whose it was
  EXPECT_EQ(ok(tasks().update(task, std::nullopt)).owner, user.id);
  EXPECT_EQ(ok(tasks().get(task.id)).owner, user.id);
  EXPECT_FALSE(create("nobodys").owner);
}

}  // namespace scheduler::contract
