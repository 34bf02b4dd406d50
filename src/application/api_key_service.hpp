// application/api_key_service.hpp — everybody's own API keys. The secret is shown once, when it is made.
#pragma once

#include "application/auth_service.hpp"

#include <optional>
#include <string>
#include <vector>

namespace scheduler::application {

struct ApiKeyDraft {
  std::string name;
  std::vector<domain::Permission> permissions;  // at least one; none beyond the owner's role
  int days = domain::kKeyDaysDefault;           // 1–kKeyDaysMax until it expires
};

struct ApiKeyWithText {
  domain::ApiKey key;
  std::string text;  // "sch_<key_id>_<secret>"
};

class ApiKeyService {
 public:
  ApiKeyService(AccountStore& accounts, Secrets& secrets, AuthService& auth)
      : accounts_(accounts), secrets_(secrets), auth_(auth) {}

  Async<std::vector<domain::ApiKey>> list(domain::Principal who) { return accounts_.api_keys().list(who.user); }
  Async<ApiKeyWithText> create(domain::Principal who, ApiKeyDraft draft);      // Validation
  Async<ApiKeyWithText> rotate(domain::Principal who, ApiKeyId id, int days);  // Validation; NotFound
  Async<void> revoke(domain::Principal who, ApiKeyId id);                      // NotFound

 private:
  AccountStore& accounts_;
  Secrets& secrets_;
  AuthService& auth_;
};

}  // namespace scheduler::application
