#include "application/api_key_service.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace scheduler::application {
namespace {

using domain::Permission;

void check_days(int days, std::vector<FieldError>& faults) {
  if (days < 1 || days > domain::kKeyDaysMax)
    faults.push_back({"/expires_in_days", fmt::format("must be 1 to {}", domain::kKeyDaysMax)});
}

SchedulerResult<void> check(std::vector<FieldError> faults) {
  if (faults.empty()) return {};
  auto message = fmt::format("{} {}", faults.front().pointer.substr(1), faults.front().message);
  return fail(ErrorKind::Validation, std::move(message), std::move(faults));
}

std::vector<FieldError> faults_of(const domain::Principal& who, const ApiKeyDraft& draft) {
  constexpr std::size_t kNameBytesMax = 100;
  std::vector<FieldError> faults;
  if (draft.name.empty() || draft.name.size() > kNameBytesMax ||
      std::ranges::any_of(draft.name, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == 0x7f; }))
    faults.push_back({"/name", fmt::format("must be 1 to {} bytes without control characters", kNameBytesMax)});
  check_days(draft.days, faults);
  if (draft.permissions.empty())
    faults.push_back({"/permissions", "must name what the key is for, for example [\"task_read\"]"});
  for (std::size_t i = 0; i < draft.permissions.size(); ++i) {
    const auto it = draft.permissions[i];
    const auto pointer = fmt::format("/permissions/{}", i);
    if (std::ranges::find(domain::kKeyPermissions, it) == domain::kKeyPermissions.end())
      faults.push_back({pointer, fmt::format("'{}' is not given to keys", name_of(it))});
    else if (grant_of(who, it) == domain::Grant::no)
      faults.push_back(
          {pointer, fmt::format("'{}' is more than your role '{}' allows", name_of(it), name_of(who.role))});
  }
  return faults;
}

std::string text_of(std::string_view key_id, std::string_view secret) {
  return fmt::format("{}{}_{}", domain::kKeyPrefix, key_id, secret);
}

}  // namespace

Async<ApiKeyWithText> ApiKeyService::create(domain::Principal who, ApiKeyDraft draft) {
  CO_ENSURE(check(faults_of(who, draft)));
  const auto key_id = secrets_.draw_id(), secret = secrets_.draw();
  NewApiKey key{.user = who.user,
                .key_id = key_id,
                .name = std::move(draft.name),
                .secret_digest = secrets_.digest(secret),
                .permissions = {},
                .life = std::chrono::days{draft.days}};
  for (const auto it : draft.permissions) key.permissions.add(it);
  CO_TRY(auto made, accounts_.api_keys().create(std::move(key)));
  co_return ApiKeyWithText{std::move(made), text_of(key_id, secret)};
}

Async<ApiKeyWithText> ApiKeyService::rotate(domain::Principal who, ApiKeyId id, int days) {
  std::vector<FieldError> faults;
  check_days(days, faults);
  CO_ENSURE(check(std::move(faults)));
  const auto secret = secrets_.draw();
  CO_TRY(auto key, accounts_.api_keys().rotate(who.user, id, secrets_.digest(secret), std::chrono::days{days}));
  auth_.forget();
  auto text = text_of(key.key_id, secret);
  co_return ApiKeyWithText{std::move(key), std::move(text)};
}

Async<void> ApiKeyService::revoke(domain::Principal who, ApiKeyId id) {
  CO_CHECK(accounts_.api_keys().revoke(who.user, id));
  auth_.forget();
  co_return SchedulerResult<void>{};
}

}  // namespace scheduler::application
