// Accounts as the use cases see them: first start, login, tokens, keys. The rules of rows are tests/contract's matter.
#include "application/auth_service.hpp"

#include "support/account_world.hpp"
#include "support/fake_clock.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scheduler::application {
namespace {

using namespace std::chrono_literals;
using domain::Permission;
using domain::Role;
using testing::HasSubstr;
using testing_support::AccountWorld;
using testing_support::FakeClock;
using testing_support::run_async;

class AuthServiceTest : public testing::Test {
 protected:
  template <class T>
  static T ok(Async<T> work) {
    auto result = run_async(std::move(work));
    if (!result) throw std::runtime_error(result.error().message);
    if constexpr (!std::is_void_v<T>) return *std::move(result);
  }
  template <class T>
  static ErrorKind kind(Async<T> work) {
    const auto result = run_async(std::move(work));
    return result ? throw std::runtime_error("expected an error and got a value") : result.error().kind;
  }
  // As after a first start with a password.
  void begin() { ok(world.auth.begin({.name = "root1", .password = AccountWorld::kPassword})); }
  Tokens log_in(const std::string& name = "root1", const std::string& address = "10.0.0.1") {
    return ok(world.auth.login(name, AccountWorld::kPassword, {address, "curl"}));
  }
  // Another process of the cluster, over the same store.
  AuthService other_process() {
    return AuthService({world.store->accounts(), world.passwords, world.secrets, other_signer, clock});
  }

  FakeClock clock;
  AccountWorld world{clock};
  infrastructure::Ed25519Signer other_signer{std::string(32, 'b')};
  const Origin from{"10.0.0.1", "curl/8"};
};

TEST_F(AuthServiceTest, Begin_NoAccount_OffersASetupLinkThatWorksOnceAndForAWhile) {
  const auto token = ok(world.auth.begin({}));
  ASSERT_TRUE(token);
  EXPECT_EQ(kind(world.auth.setup("guess", "ada", AccountWorld::kPassword, from)), ErrorKind::InvalidToken);
  EXPECT_EQ(kind(world.auth.setup(*token, "ada", "password1234", from)), ErrorKind::Validation);
  const auto tokens = ok(world.auth.setup(*token, "ada", AccountWorld::kPassword, from));
  EXPECT_EQ(ok(world.auth.authenticate(tokens.access)).role, Role::admin);
  EXPECT_EQ(kind(world.auth.setup(*token, "eve", AccountWorld::kPassword, from)), ErrorKind::Conflict);
  EXPECT_FALSE(ok(world.auth.begin({})));  // a restart offers nothing
}

TEST_F(AuthServiceTest, Begin_SetupLinkAfterItsTime_IsRefusedAndARestartMakesAnother) {
  const auto old = ok(world.auth.begin({}));
  clock.advance(15min);
  EXPECT_EQ(kind(world.auth.setup(*old, "ada", AccountWorld::kPassword, from)), ErrorKind::InvalidToken);
  const auto fresh = ok(other_process().begin({}));
  ASSERT_TRUE(fresh);
  ok(world.auth.setup(*fresh, "ada", AccountWorld::kPassword, from));
}

TEST_F(AuthServiceTest, Begin_PasswordOfTheSettings_MakesTheFirstAdminOnce) {
  begin();
  EXPECT_EQ(ok(world.auth.authenticate(log_in().access)).name, "root1");
  EXPECT_FALSE(ok(world.auth.begin({.name = "root2", .password = "another good password"})));
  EXPECT_EQ(ok(world.users.list()).size(), 1u);
}

TEST_F(AuthServiceTest, Begin_PasswordThatAnybodyCouldGuess_StopsTheStart) {
  for (const auto* bad : {"", "short", "changeme-changeme", "ChangeMe12345", "aaaaaaaaaaaaaaaaaa", "123456789012345"})
    EXPECT_EQ(kind(world.auth.begin({.name = "root1", .password = bad})), ErrorKind::Config) << bad;
  begin();
  // Even where it would not be used any more: it stands in a file somewhere.
  EXPECT_EQ(kind(world.auth.begin({.name = "root1", .password = "changeme1234"})), ErrorKind::Config);
}

TEST_F(AuthServiceTest, Login_UnknownNameWrongPasswordDisabledAccount_LookTheSame) {
  begin();
  const auto bob = ok(world.users.create({.name = "bob", .password = AccountWorld::kPassword, .role = Role::user}));
  ok(world.users.update(bob.id, {.role = {}, .disabled = true, .password = {}}));
  std::vector<SchedulerError> errors;
  int before = world.passwords.verified;
  for (const auto& [name, password] :
       {std::pair{"nobody", AccountWorld::kPassword}, {"root1", "wrong"}, {"bob", AccountWorld::kPassword}, {"", ""}}) {
    errors.push_back(run_async(world.auth.login(name, password, from)).error());
    EXPECT_EQ(world.passwords.verified, ++before) << name;  // one password is worked on, whatever the reason
  }
  for (const auto& it : errors) EXPECT_EQ(it, errors[0]);
  EXPECT_EQ(errors[0].kind, ErrorKind::Unauthenticated);
}

TEST_F(AuthServiceTest, Login_TooManyTries_WaitAndAreToldHowLong) {
  begin();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(kind(world.auth.login("root1", "wrong", from)), ErrorKind::Unauthenticated);
  const int before = world.passwords.verified;
  const auto refused = run_async(world.auth.login("root1", AccountWorld::kPassword, from)).error();
  EXPECT_EQ(refused.kind, ErrorKind::RateLimited);
  EXPECT_EQ(refused.retry_after, 30s);
  EXPECT_EQ(world.passwords.verified, before);  // no work for those who are to wait
  log_in("root1", "10.0.0.2");                  // nobody is locked out
  clock.advance(30s);
  log_in();
}

TEST_F(AuthServiceTest, Authenticate_AccessToken_CountsForTenMinutes) {
  begin();
  const auto tokens = log_in();
  const auto who = ok(world.auth.authenticate(tokens.access));
  EXPECT_EQ(who.name, "root1");
  EXPECT_EQ(who.session, tokens.session);
  EXPECT_FALSE(who.scope);
  clock.advance(9min + 59s);
  ok(world.auth.authenticate(tokens.access));
  clock.advance(1s);
  EXPECT_EQ(kind(world.auth.authenticate(tokens.access)), ErrorKind::InvalidToken);
  EXPECT_EQ(kind(world.auth.authenticate(tokens.refresh)), ErrorKind::InvalidToken);
  EXPECT_EQ(kind(world.auth.authenticate("")), ErrorKind::InvalidToken);
}

// Of a request that goes on for longer than its token lives.
TEST_F(AuthServiceTest, AuthenticateAgain_TokenHasExpired_AsksForTheSessionAlone) {
  begin();
  const auto tokens = log_in();
  const auto who = ok(world.auth.authenticate(tokens.access));
  clock.advance(1h);
  EXPECT_EQ(kind(world.auth.authenticate(tokens.access)), ErrorKind::InvalidToken);
  EXPECT_EQ(ok(world.auth.authenticate_again(who, tokens.access)).name, "root1");
  ok(world.auth.logout(who));
  EXPECT_EQ(kind(world.auth.authenticate_again(who, tokens.access)), ErrorKind::InvalidToken);
}

TEST_F(AuthServiceTest, Authenticate_TokenOfAnotherProcess_CountsWithoutASharedSecret) {
  begin();
  auto other = other_process();
  ok(other.begin({}));
  ok(world.auth.authenticate(log_in().access));
  clock.advance(2s);
  const auto tokens = ok(other.login("root1", AccountWorld::kPassword, from));
  EXPECT_EQ(ok(world.auth.authenticate(tokens.access)).name, "root1");
  for (int hour = 0; hour < 10; ++hour) {  // keys are published again before they are forgotten
    clock.advance(1h);
    ok(world.auth.authenticate(ok(other.login("root1", AccountWorld::kPassword, from)).access));
  }
}

TEST_F(AuthServiceTest, Refresh_EachTokenOnce_AndTheFamilyDiesWithAReuse) {
  begin();
  const auto first = log_in();
  const auto second = ok(world.auth.refresh(first.refresh));
  EXPECT_EQ(second.session, first.session);
  ok(world.auth.authenticate(second.access));
  EXPECT_EQ(kind(world.auth.refresh(first.refresh)), ErrorKind::InvalidToken);  // the thief, or the victim
  EXPECT_EQ(kind(world.auth.refresh(second.refresh)), ErrorKind::InvalidToken);
  EXPECT_EQ(kind(world.auth.authenticate(second.access)), ErrorKind::InvalidToken);
  EXPECT_EQ(kind(world.auth.refresh("never made")), ErrorKind::InvalidToken);
}

TEST_F(AuthServiceTest, Changes_OfAnotherProcess_CountWithinFiveSeconds) {
  begin();
  auto other = other_process();
  ok(other.begin({}));
  const auto bob = ok(world.users.create({.name = "bob", .password = AccountWorld::kPassword, .role = Role::user}));
  const auto tokens = log_in("bob");
  const auto seen = [&] { return run_async(other.authenticate(tokens.access)); };
  EXPECT_EQ(seen()->role, Role::user);
  ok(world.users.update(bob.id, {.role = Role::viewer, .disabled = {}, .password = {}}));
  clock.advance(5s);
  EXPECT_EQ(seen()->role, Role::viewer);
  ok(world.auth.logout(ok(world.auth.authenticate(tokens.access))));
  EXPECT_EQ(kind(world.auth.authenticate(tokens.access)), ErrorKind::InvalidToken);  // here at once
  clock.advance(5s);
  EXPECT_FALSE(seen());
}

TEST_F(AuthServiceTest, ChangePassword_EndsAllOtherSessions) {
  begin();
  const auto mine = log_in(), other = log_in();
  const auto who = ok(world.auth.authenticate(mine.access));
  ok(world.auth.authenticate(other.access));
  EXPECT_EQ(kind(world.auth.change_password(who, "wrong", "another good password", from)), ErrorKind::Forbidden);
  EXPECT_EQ(kind(world.auth.change_password(who, AccountWorld::kPassword, "changeme", from)), ErrorKind::Validation);
  ok(world.auth.change_password(who, AccountWorld::kPassword, "another good password", from));
  ok(world.auth.authenticate(mine.access));
  EXPECT_EQ(kind(world.auth.authenticate(other.access)), ErrorKind::InvalidToken);
  EXPECT_EQ(kind(world.auth.login("root1", AccountWorld::kPassword, from)), ErrorKind::Unauthenticated);
  ok(world.auth.login("root1", "another good password", from));
}

TEST_F(AuthServiceTest, Sessions_AreListedAndEndedByTheirOwnerAlone) {
  begin();
  ok(world.users.create({.name = "bob", .password = AccountWorld::kPassword, .role = Role::user}));
  const auto mine = log_in(), bobs = log_in("bob");
  const auto me = ok(world.auth.authenticate(mine.access)), bob = ok(world.auth.authenticate(bobs.access));
  EXPECT_EQ(ok(world.auth.sessions(me)).size(), 1u);
  EXPECT_EQ(kind(world.auth.end_session(bob, mine.session)), ErrorKind::NotFound);
  ok(world.auth.end_session(me, mine.session));
  EXPECT_EQ(kind(world.auth.authenticate(mine.access)), ErrorKind::InvalidToken);
}

TEST_F(AuthServiceTest, ApiKey_IsShownOnceAndCountsUntilItIsRotatedOrRevoked) {
  begin();
  const auto me = ok(world.auth.authenticate(log_in().access));
  const auto made = ok(world.keys.create(me, {.name = "ci", .permissions = {Permission::task_read}}));
  const auto who = ok(world.auth.authenticate(made.text));
  EXPECT_EQ(who.api_key, made.key.id);
  EXPECT_FALSE(who.session);
  EXPECT_EQ(who.scope, domain::PermissionSet{Permission::task_read});
  EXPECT_EQ(ok(world.keys.list(me)).at(0).used_at, clock.now());
  EXPECT_EQ(kind(world.auth.logout(who)), ErrorKind::Conflict);

  auto wrong = made.text;
  wrong.back() = wrong.back() == 'A' ? 'B' : 'A';
  EXPECT_EQ(kind(world.auth.authenticate(wrong)), ErrorKind::InvalidToken);  // from what is cached
  world.auth.forget();
  EXPECT_EQ(kind(world.auth.authenticate(wrong)), ErrorKind::InvalidToken);  // from the store

  const auto rotated = ok(world.keys.rotate(me, made.key.id, 30));
  EXPECT_EQ(kind(world.auth.authenticate(made.text)), ErrorKind::InvalidToken);
  ok(world.auth.authenticate(rotated.text));
  clock.advance(30 * 24h);
  EXPECT_EQ(kind(world.auth.authenticate(rotated.text)), ErrorKind::InvalidToken);
  const auto last = ok(world.keys.rotate(me, made.key.id, 30));
  ok(world.keys.revoke(me, made.key.id));
  EXPECT_EQ(kind(world.auth.authenticate(last.text)), ErrorKind::InvalidToken);
}

TEST_F(AuthServiceTest, ApiKey_BeyondItsOwnersRole_IsNotMade) {
  begin();
  world.log_in("viewer", Role::viewer);
  const auto viewer = ok(world.auth.authenticate(log_in("viewer").access));
  for (const auto it : {Permission::task_write, Permission::worker_write, Permission::account, Permission::admin})
    EXPECT_EQ(kind(world.keys.create(viewer, {.name = "k", .permissions = {it}})), ErrorKind::Validation)
        << name_of(it);
  const auto faults = run_async(world.keys.create(viewer, {.name = "", .permissions = {}, .days = 366})).error().fields;
  EXPECT_EQ(faults.size(), 3u);
}

TEST_F(AuthServiceTest, ApiKey_OfAUserWhoLosesARole_LosesItToo) {
  begin();
  world.log_in("op", Role::operator_);
  const auto op = ok(world.auth.authenticate(log_in("op").access));
  const auto key = ok(world.keys.create(op, {.name = "k", .permissions = {Permission::worker_write}}));
  EXPECT_EQ(grant_of(ok(world.auth.authenticate(key.text)), Permission::worker_write), domain::Grant::any);
  ok(world.users.update(op.user, {.role = Role::viewer, .disabled = {}, .password = {}}));
  EXPECT_EQ(grant_of(ok(world.auth.authenticate(key.text)), Permission::worker_write), domain::Grant::no);
  ok(world.users.update(op.user, {.role = {}, .disabled = true, .password = {}}));
  EXPECT_EQ(kind(world.auth.authenticate(key.text)), ErrorKind::InvalidToken);
}

TEST_F(AuthServiceTest, Users_LastAdmin_StaysAnAdmin) {
  begin();
  const auto admin = ok(world.users.list()).at(0);
  EXPECT_EQ(kind(world.users.remove(admin.id)), ErrorKind::Conflict);
  EXPECT_EQ(kind(world.users.update(admin.id, {.role = Role::user, .disabled = {}, .password = {}})),
            ErrorKind::Conflict);
}

}  // namespace
}  // namespace scheduler::application
