// application/user_service.hpp — the accounts of everybody, for admins.
#pragma once

#include "application/auth_service.hpp"

#include <optional>
#include <string>
#include <vector>

namespace scheduler::application {

struct UserDraft {
  std::string name, password;
  domain::Role role = domain::Role::viewer;
};

struct UserPatch {
  std::optional<domain::Role> role;
  std::optional<bool> disabled;
  std::optional<std::string> password;  // ends the user's sessions
};

class UserService {
 public:
  // `auth` is told when what it knows may have become wrong.
  UserService(AccountStore& accounts, PasswordHasher& passwords, AuthService& auth)
      : accounts_(accounts), passwords_(passwords), auth_(auth) {}

  Async<std::vector<domain::User>> list() { return accounts_.users().list(); }
  Async<domain::User> get(UserId id);           // NotFound
  Async<domain::User> create(UserDraft draft);  // Validation; Conflict: the name is taken
  Async<domain::User> update(UserId id,
                             UserPatch patch);  // Validation; NotFound; Conflict: nobody could manage accounts
  Async<void> remove(UserId id);                // NotFound; Conflict as above

 private:
  AccountStore& accounts_;
  PasswordHasher& passwords_;
  AuthService& auth_;
};

}  // namespace scheduler::application
