// docs/roles.md is made from the table of roles and from the routes, so that it cannot say anything else.
// SCHEDULER_REWRITE_DOCS=1 writes the page instead of comparing it.
#include "api/router.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace scheduler::api {
namespace {

using domain::Grant;
using domain::Role;

constexpr std::string_view kHead = R"(# Roles and permissions

Each route of the API names one permission; a role has it for everything, for its own things, or not at all. This page is
made from `src/domain/access.hpp` and from the table of routes, by which requests are judged as well. To rewrite it after a
change: `SCHEDULER_REWRITE_DOCS=1 ./dev test AccessPage`.

A task is its creator's own, and so are its runs. `none` is for anybody, `signed_in` for whoever has an account or a key,
`account` for one's own password, sessions and API keys, `admin` for everybody's accounts. An API key may do what its role
*and* its own list of permissions allow; `account` and `admin` are not given to keys.

Whoever may write tasks decides which commands workers run, with the rights of the worker's process.

)";

std::string words(Grant grant) { return grant == Grant::any ? "yes" : grant == Grant::own ? "own" : ""; }

std::string page() {
  const auto roles = enum_names(Role{});
  const auto header = [&](std::string_view first) {
    std::string line = fmt::format("| {} |", first), rule = "|---|";
    for (const auto role : roles) {
      line += fmt::format(" {} |", role);
      rule += "---|";
    }
    return line + "\n" + rule + "\n";
  };
  std::string text(kHead);
  text += header("permission");
  for (std::size_t p = 0; p < domain::kPermissionCount; ++p) {
    text += fmt::format("| `{}` |", enum_names(Permission{})[p]);
    for (std::size_t r = 0; r < roles.size(); ++r)
      text += fmt::format(" {} |", words(grant_of(static_cast<Role>(r), static_cast<Permission>(p))));
    text += "\n";
  }
  text += "\nRoutes. `/api/auth/…` is another name for `/auth/…`.\n\n";
  std::string line = "| route | permission |", rule = "|---|---|";
  for (const auto role : roles) {
    line += fmt::format(" {} |", role);
    rule += "---|";
  }
  text += line + "\n" + rule + "\n";
  for (const auto& route : api_router().routes()) {
    const auto [permission, object] = route.access;
    text += fmt::format("| `{} {}` | `{}` |", route.method, route.path, name_of(permission));
    for (std::size_t r = 0; r < roles.size(); ++r) {
      const auto grant = grant_of(static_cast<Role>(r), permission);
      const bool useless = grant == Grant::own && object == Object::unknown;
      text += fmt::format(" {} |", useless ? "" : words(grant));
    }
    text += "\n";
  }
  return text;
}

TEST(AccessPage, MadeFromTheTables_EqualsTheFile) {
  const std::string path = SCHEDULER_SOURCE_DIR "/docs/roles.md";
  if (std::getenv("SCHEDULER_REWRITE_DOCS") != nullptr) std::ofstream(path) << page();
  std::stringstream file;
  file << std::ifstream(path).rdbuf();
  EXPECT_EQ(page(), file.str()) << "a role, a permission or a route has changed; rewrite the page: "
                                   "SCHEDULER_REWRITE_DOCS=1 ./dev test AccessPage";
}

}  // namespace
}  // namespace scheduler::api
