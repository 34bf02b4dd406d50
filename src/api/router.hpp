// api/router.hpp — which function answers which request. One table is the truth for routing, 405 replies, metric
// labels, permissions and the test that compares it with docs/openapi.yaml.
#pragma once

#include "api/context.hpp"
#include "core/enum_names.hpp"
#include "domain/access.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::api {

// Context and request outlive the await.
using Handler = Async<Reply> (*)(const Context& context, const Request& request);

using domain::Permission;

// Whose thing a route is about: what a role that may do something with its own things alone is asked for.
enum class Object {
  unknown,  // nobody's in particular: such roles may not use the route
  created,  // what the request makes will be the caller's own
  account,  // the caller's own account: the handler looks at nobody else's
  task,     // the task whose id is in the path
  run,      // the task of the run whose id is in the path
};

// What the caller must be allowed to do (domain/access.hpp). There is no default: a route without one does not compile.
struct Access {
  constexpr Access(Permission needed, Object of = Object::unknown) : permission(needed), object(of) {}
  Permission permission;
  Object object;
};

enum class BodyKind {
  none,         // absent, or {}
  optional,     // absent, or JSON
  json,         // application/json
  merge_patch,  // application/json or application/merge-patch+json
};

struct Route {
  std::string_view method;
  std::string_view path;  // "/api/tasks/{id}": a {…} stands for one segment
  Handler handler;
  Access access;
  BodyKind body = BodyKind::none;
};

struct RouteMatch {
  const Route* route = nullptr;         // nothing: no such path, or (allow not empty) not with this method
  std::vector<std::string> parameters;  // decoded
  std::string allow;                    // "GET, HEAD, POST, OPTIONS": what the path knows; empty: no such path
};

class Router {
 public:
  explicit Router(std::vector<Route> routes);

  // Of paths that fit, the first of the table; /api/auth/… is another name for /auth/…. Validation for a path that is
  // not well encoded.
  [[nodiscard]] SchedulerResult<RouteMatch> match(std::string_view method, std::string_view path) const;
  // A sentence for a path that nothing answers, with the nearest one that something does.
  [[nodiscard]] std::string explain_missing(std::string_view path) const;
  [[nodiscard]] std::span<const Route> routes() const { return routes_; }

 private:
  std::vector<Route> routes_;
  std::vector<std::vector<std::string_view>> segments_;  // of each route's path
};

[[nodiscard]] std::span<const Route> task_routes();
[[nodiscard]] std::span<const Route> run_routes();
[[nodiscard]] std::span<const Route> log_routes();
[[nodiscard]] std::span<const Route> schedule_routes();
[[nodiscard]] std::span<const Route> worker_routes();
[[nodiscard]] std::span<const Route> system_routes();
[[nodiscard]] std::span<const Route> auth_routes();
[[nodiscard]] std::span<const Route> user_routes();

// All of them.
[[nodiscard]] const Router& api_router();

}  // namespace scheduler::api
