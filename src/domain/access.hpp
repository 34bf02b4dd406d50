// domain/access.hpp — who may do what, as one table. The router asks it at every request, docs/roles.md is made from
// it, and a test calls every route as every role.
//
// Always true:
//   - a route names one permission; a role has it for all objects, for its own ones, or not at all;
//   - an object is somebody's own when it is a task that they created, or a run of such a task;
//   - an API key may do what both its owner's role and its own list allow, never more than either.
#pragma once

#include "core/enum_names.hpp"
#include "core/ids.hpp"

#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace scheduler::domain {

enum class Role { admin, operator_, user, viewer, worker };
constexpr auto enum_names(Role) {
  return std::to_array<std::string_view>({"admin", "operator", "user", "viewer", "worker"});
}

enum class Permission {
  none,       // anybody, unknown as they are
  signed_in,  // whoever is known
  task_read,
  task_write,
  task_delete,
  worker_read,
  worker_write,
  system_read,
  account,  // one's own password, sessions and API keys
  admin,    // everybody's accounts
};
constexpr auto enum_names(Permission) {
  return std::to_array<std::string_view>({"none", "signed_in", "task_read", "task_write", "task_delete", "worker_read",
                                          "worker_write", "system_read", "account", "admin"});
}
inline constexpr std::size_t kPermissionCount = enum_names(Permission{}).size();

enum class Grant { no, own, any };
constexpr auto enum_names(Grant) { return std::to_array<std::string_view>({"no", "own", "any"}); }

struct RoleGrants {
  Role role;
  std::array<Grant, kPermissionCount> grants;  // in the order of Permission
};

// clang-format off
inline constexpr auto kAccess = [] {
  constexpr auto no = Grant::no, own = Grant::own, any = Grant::any;
  return std::to_array<RoleGrants>({
      //                  none signed_in task_read task_write task_delete worker_read worker_write system_read account admin
      {Role::admin,     {{any, any,      any,      any,       any,        any,        any,         any,        own,    any}}},
      {Role::operator_, {{any, any,      any,      any,       any,        any,        any,         any,        own,    no}}},
      {Role::user,      {{any, any,      any,      own,       own,        any,        no,          any,        own,    no}}},
      {Role::viewer,    {{any, any,      any,      no,        no,         any,        no,          any,        own,    no}}},
      {Role::worker,    {{any, any,      no,       no,        no,         any,        any,         no,         no,     no}}},
  });
}();
// clang-format on

[[nodiscard]] constexpr Grant grant_of(Role role, Permission permission) {
  return kAccess[static_cast<std::size_t>(role)].grants[static_cast<std::size_t>(permission)];
}

// Which permissions an API key lists.
class PermissionSet {
 public:
  constexpr PermissionSet() = default;
  constexpr PermissionSet(std::initializer_list<Permission> list) {
    for (const auto it : list) add(it);
  }
  constexpr void add(Permission it) { bits_ |= bit(it); }
  [[nodiscard]] constexpr bool contains(Permission it) const { return (bits_ & bit(it)) != 0; }
  [[nodiscard]] constexpr bool empty() const { return bits_ == 0; }
  constexpr bool operator==(const PermissionSet&) const = default;

 private:
  static constexpr std::uint32_t bit(Permission it) { return 1u << static_cast<unsigned>(it); }
  std::uint32_t bits_ = 0;
};

// What a key can be made for. Not `account` and `admin`: a key that leaks must not make more keys, or people.
inline constexpr auto kKeyPermissions =
    std::to_array<Permission>({Permission::task_read, Permission::task_write, Permission::task_delete,
                               Permission::worker_read, Permission::worker_write, Permission::system_read});

// Who asks: known by a session or by an API key.
struct Principal {
  UserId user;
  std::string name;
  Role role = Role::viewer;
  std::optional<SessionId> session;
  std::optional<ApiKeyId> api_key;
  std::optional<PermissionSet> scope;  // of the API key; nothing: all that the role has
};

[[nodiscard]] constexpr Grant grant_of(const Principal& who, Permission permission) {
  const bool always = permission == Permission::none || permission == Permission::signed_in;
  if (who.scope && !always && !who.scope->contains(permission)) return Grant::no;
  return grant_of(who.role, permission);
}

}  // namespace scheduler::domain
