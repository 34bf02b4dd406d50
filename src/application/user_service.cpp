#include "application/user_service.hpp"

namespace scheduler::application {
namespace {

SchedulerResult<void> check(const std::vector<FieldError>& faults) {
  if (faults.empty()) return {};
  return fail(ErrorKind::Validation, faults.front().pointer.substr(1) + " " + faults.front().message, faults);
}

}  // namespace

Async<domain::User> UserService::get(UserId id) {
  CO_TRY(auto stored, accounts_.users().get(id));
  co_return std::move(stored.user);
}

Async<domain::User> UserService::create(UserDraft draft) {
  std::vector<FieldError> faults;
  if (const auto fault = domain::user_name_fault(draft.name)) faults.push_back({"/username", *fault});
  if (const auto fault = domain::password_fault(draft.password, draft.name)) faults.push_back({"/password", *fault});
  CO_ENSURE(check(faults));
  CO_TRY(auto hash, passwords_.hash(std::move(draft.password)));
  co_return co_await accounts_.users().create(
      {.name = std::move(draft.name), .role = draft.role, .password_hash = std::move(hash)});
}

Async<domain::User> UserService::update(UserId id, UserPatch patch) {
  UserChange change{.role = patch.role, .disabled = patch.disabled, .password_hash = {}, .session_that_stays = {}};
  if (patch.password) {
    CO_TRY(const auto stored, accounts_.users().get(id));
    if (const auto fault = domain::password_fault(*patch.password, stored.user.name))
      co_return fail(ErrorKind::Validation, "password " + *fault, {{"/password", *fault}});
    CO_TRY(change.password_hash, passwords_.hash(*std::move(patch.password)));
  }
  auto user = co_await accounts_.users().update(id, std::move(change));
  auth_.forget();
  co_return user;
}

Async<void> UserService::remove(UserId id) {
  CO_CHECK(accounts_.users().remove(id));
  auth_.forget();
  co_return SchedulerResult<void>{};
}

}  // namespace scheduler::application
