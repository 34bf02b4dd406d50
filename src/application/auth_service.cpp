#include "application/auth_service.hpp"

#include "core/log.hpp"

#include <fmt/format.h>

namespace scheduler::application {
namespace {

using domain::Principal;

// Another process loads our key when it meets it; it must be there long before and after (kKeyTrusted of the stores).
constexpr Micros kPublishEvery = std::chrono::minutes{30};
// Keys that are not known yet are looked for this often at most, however many forged tokens name one.
constexpr Micros kLoadKeysEvery = std::chrono::seconds{1}, kLoadKeysAnyway = std::chrono::minutes{1};
constexpr Micros kMarkUsedEvery = std::chrono::minutes{1};
constexpr std::size_t kKnownMax = 20'000;

std::unexpected<SchedulerError> wrong_password() {
  return fail(ErrorKind::Unauthenticated, "the name or the password is not right");
}
std::unexpected<SchedulerError> bad_key() {
  return fail(ErrorKind::InvalidToken, "the API key is not known, has expired or was revoked");
}

// Whatever was sent, in an amount that is cheap to work on.
std::string bounded(std::string text) {
  constexpr std::size_t kBytesMax = 512;
  if (text.size() > kBytesMax) text.resize(kBytesMax);
  return text;
}

SchedulerResult<void> check_new_account(std::string_view name, std::string_view password) {
  std::vector<FieldError> faults;
  if (const auto fault = domain::user_name_fault(name)) faults.push_back({"/username", *fault});
  if (const auto fault = domain::password_fault(password, name)) faults.push_back({"/password", *fault});
  if (faults.empty()) return {};
  auto message = fmt::format("{} {}", faults.front().pointer.substr(1), faults.front().message);
  return fail(ErrorKind::Validation, std::move(message), std::move(faults));
}

}  // namespace

Async<std::optional<std::string>> AuthService::begin(FirstAdmin first) {
  if (first.password)
    if (const auto fault = domain::password_fault(*first.password, first.name))
      co_return fail(ErrorKind::Config, fmt::format("auth.bootstrap_admin_password {}", *fault));
  CO_TRY(nobodys_hash_, ports_.passwords.hash(ports_.secrets.draw()));
  CO_CHECK(publish_key());
  CO_TRY(const bool any, ports_.accounts.users().any());
  if (any) co_return std::nullopt;
  if (!first.password) {
    auto token = ports_.secrets.draw();
    CO_CHECK(ports_.accounts.users().offer_setup(ports_.secrets.digest(token), domain::kSetupTokenLife));
    co_return token;
  }
  CO_TRY(auto hash, ports_.passwords.hash(*first.password));
  const auto made = co_await ports_.accounts.users().create_first(
      {.name = first.name, .role = domain::Role::admin, .password_hash = std::move(hash)}, std::nullopt);
  // Conflict: another process of the cluster was faster.
  if (!made && made.error().kind != ErrorKind::Conflict) co_return std::unexpected(made.error());
  if (made) log::info("made the first account", {{"user", first.name}});
  co_return std::nullopt;
}

Async<Tokens> AuthService::setup(std::string token, std::string name, std::string password, Origin from) {
  CO_ENSURE(throttle("(setup)", from));
  CO_ENSURE(check_new_account(name, password));
  CO_TRY(auto hash, ports_.passwords.hash(std::move(password)));
  CO_TRY(const auto user, ports_.accounts.users().create_first(
                              {.name = std::move(name), .role = domain::Role::admin, .password_hash = std::move(hash)},
                              ports_.secrets.digest(bounded(std::move(token)))));
  log::info("made the first account", {{"user", user.name}, {"address", from.address}});
  co_return co_await open_session(user.id, std::move(from));
}

SchedulerResult<void> AuthService::throttle(const std::string& name, const Origin& from) {
  const auto wait = throttle_.begin(name, from.address, ports_.clock.elapsed());
  if (!wait) return {};
  SchedulerError error{ErrorKind::RateLimited,
                       fmt::format("too many attempts to log in; try again in {} s", wait->count())};
  error.retry_after = *wait;
  return std::unexpected(std::move(error));
}

Async<Tokens> AuthService::login(std::string name, std::string password, Origin from) {
  name = bounded(std::move(name));
  CO_ENSURE(throttle(name, from));
  CO_TRY(const auto stored, ports_.accounts.users().find(name));
  CO_TRY(const bool right,
         ports_.passwords.verify(bounded(std::move(password)), stored ? stored->password_hash : nobodys_hash_));
  if (!stored || !right || stored->user.disabled) {
    // Not what was typed: people mistake the fields, and then it is a password.
    log::warning("login refused", {{"user", stored ? stored->user.name : "unknown"}, {"address", from.address}});
    co_return wrong_password();
  }
  throttle_.succeeded(name, from.address);
  co_return co_await open_session(stored->user.id, std::move(from));
}

Async<Tokens> AuthService::open_session(UserId user, Origin from) {
  constexpr std::size_t kAgentBytesMax = 200;
  from.agent.resize(std::min(from.agent.size(), kAgentBytesMax));
  CO_CHECK(publish_key());
  auto secret = ports_.secrets.draw();
  auto session = co_await ports_.accounts.sessions().open({.user = user,
                                                           .refresh_digest = ports_.secrets.digest(secret),
                                                           .address = std::move(from.address),
                                                           .agent = std::move(from.agent)});
  if (!session && session.error().kind == ErrorKind::NotFound) co_return wrong_password();  // removed meanwhile
  if (!session) co_return std::unexpected(std::move(session).error());
  co_return tokens(user, session->id, std::move(secret));
}

Tokens AuthService::tokens(UserId user, SessionId session, std::string refresh) {
  const auto claims = domain::claims_for(user, session, ports_.secrets.draw_id(), ports_.clock.now());
  return {.access = ports_.signer.sign(claims), .refresh = std::move(refresh), .session = session};
}

Async<Tokens> AuthService::refresh(std::string token) {
  CO_CHECK(publish_key());
  auto secret = ports_.secrets.draw();
  const auto session = co_await ports_.accounts.sessions().rotate(ports_.secrets.digest(bounded(std::move(token))),
                                                                  ports_.secrets.digest(secret));
  if (!session) {
    forget();  // it may have ended a session
    co_return std::unexpected(session.error());
  }
  co_return tokens(session->user, session->id, std::move(secret));
}

Async<Principal> AuthService::authenticate(std::string credential) {
  if (credential.starts_with(domain::kKeyPrefix)) return by_key(std::move(credential));
  return by_token(std::move(credential));
}

Async<Principal> AuthService::by_token(std::string token) {
  CO_TRY(const auto claims, claims_of(std::move(token)));
  if (const auto fault = domain::claims_fault(claims, ports_.clock.now()))
    co_return fail(ErrorKind::InvalidToken,
                   fmt::format("the access token does not count: {}; log in again, or refresh it", *fault));
  co_return co_await by_session(claims.user, claims.session);
}

Async<Principal> AuthService::authenticate_again(Principal who, std::string credential) {
  return who.session ? by_session(who.user, *who.session) : by_key(std::move(credential));
}

Async<Principal> AuthService::by_session(UserId id, SessionId session) {
  const auto name = fmt::format("session {}", session.value);
  if (const auto* known = recall(name, kFresh)) co_return known->who;
  const auto user = co_await ports_.accounts.sessions().owner_of(session);
  if (!user) {
    const auto* known = is_retryable(user.error().kind) ? recall(name, kStale) : nullptr;
    if (known == nullptr) co_return std::unexpected(user.error());
    co_return known->who;
  }
  if (user->id != id)
    co_return fail(ErrorKind::InvalidToken, "the access token does not belong to its session; log in again");
  Principal who{.user = user->id, .name = user->name, .role = user->role, .session = session};
  remember(name, {.who = who, .secret_digest = {}});
  co_return who;
}

Async<domain::AccessClaims> AuthService::claims_of(std::string token) {
  const auto now = ports_.clock.elapsed();
  if (!keys_loaded_at_ || now - *keys_loaded_at_ >= kLoadKeysAnyway)
    if (auto loaded = co_await load_keys(); !loaded && keys_.empty())
      co_return std::unexpected(std::move(loaded).error());
  auto claims = ports_.signer.open(token, keys_);
  if (claims || (keys_loaded_at_ && now - *keys_loaded_at_ < kLoadKeysEvery)) co_return claims;
  CO_CHECK(load_keys());
  co_return ports_.signer.open(token, keys_);
}

Async<void> AuthService::load_keys() {
  CO_TRY(keys_, ports_.accounts.sessions().trusted_keys());
  keys_loaded_at_ = ports_.clock.elapsed();
  co_return SchedulerResult<void>{};
}

Async<void> AuthService::publish_key() {
  const auto now = ports_.clock.elapsed();
  if (key_published_at_ && now - *key_published_at_ < kPublishEvery) co_return SchedulerResult<void>{};
  CO_CHECK(ports_.accounts.sessions().publish_key(ports_.signer.own_key()));
  key_published_at_ = now;
  co_return SchedulerResult<void>{};
}

Async<Principal> AuthService::by_key(std::string text) {
  const auto parts = domain::parse_key_text(text);
  if (!parts) co_return bad_key();
  const auto digest = ports_.secrets.digest(parts->secret);
  const auto name = fmt::format("key {}", parts->key_id);
  const auto judged = [&](const Known& known) -> SchedulerResult<Principal> {
    if (!ports_.secrets.same(digest, known.secret_digest)) return bad_key();
    return known.who;
  };
  if (const auto* known = recall(name, kFresh)) co_return judged(*known);
  const auto looked = co_await ports_.accounts.api_keys().find(std::string(parts->key_id));
  if (!looked) {
    const auto* known = is_retryable(looked.error().kind) ? recall(name, kStale) : nullptr;
    if (known == nullptr) co_return std::unexpected(looked.error());
    co_return judged(*known);
  }
  const auto& stored = *looked;
  if (!stored || !ports_.secrets.same(digest, stored->secret_digest)) co_return bad_key();
  Principal who{.user = stored->user.id,
                .name = stored->user.name,
                .role = stored->user.role,
                .session = {},
                .api_key = stored->key.id,
                .scope = stored->key.permissions};
  remember(name, {.who = who, .secret_digest = digest});
  if (!stored->key.used_at || ports_.clock.now() - *stored->key.used_at >= kMarkUsedEvery)
    if (const auto marked = co_await ports_.accounts.api_keys().mark_used(stored->key.id); !marked)
      log::warning("cannot note that an API key was used", {{"error", marked.error().message}});
  co_return who;
}

void AuthService::remember(const std::string& name, Known known) {
  if (known_.size() >= kKnownMax) known_.clear();
  known.learned_at = ports_.clock.elapsed();
  known_[name] = std::move(known);
}

const AuthService::Known* AuthService::recall(const std::string& name, Seconds age) const {
  const auto found = known_.find(name);
  if (found == known_.end() || found->second.learned_at + age <= ports_.clock.elapsed()) return nullptr;
  return &found->second;
}

Async<void> AuthService::logout(Principal who) {
  if (!who.session)
    co_return fail(ErrorKind::Conflict, "an API key has no session to end; revoke the key to make it useless");
  co_return co_await end_session(who, *who.session);
}

Async<std::vector<domain::LoginSession>> AuthService::sessions(Principal who) {
  return ports_.accounts.sessions().list(who.user);
}

Async<void> AuthService::end_session(Principal who, SessionId id) {
  CO_CHECK(ports_.accounts.sessions().end(who.user, id));
  forget();
  co_return SchedulerResult<void>{};
}

Async<void> AuthService::change_password(Principal who, std::string present, std::string next, Origin from) {
  CO_ENSURE(throttle(who.name, from));
  if (const auto fault = domain::password_fault(next, who.name))
    co_return fail(ErrorKind::Validation, "new_password " + *fault, {{"/new_password", *fault}});
  CO_TRY(const auto stored, ports_.accounts.users().get(who.user));
  CO_TRY(const bool right, ports_.passwords.verify(bounded(std::move(present)), stored.password_hash));
  if (!right) co_return fail(ErrorKind::Forbidden, "the present password is not right");
  throttle_.succeeded(who.name, from.address);
  CO_TRY(auto hash, ports_.passwords.hash(std::move(next)));
  CO_TRY(
      [[maybe_unused]] const auto user,
      ports_.accounts.users().update(
          who.user, {.role = {}, .disabled = {}, .password_hash = std::move(hash), .session_that_stays = who.session}));
  forget();
  co_return SchedulerResult<void>{};
}

}  // namespace scheduler::application
