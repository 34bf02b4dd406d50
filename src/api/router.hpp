// api/router.hpp — which function answers which request. One table is the truth for routing, 405 replies, metric
// labels, permissions and the test that compares it with docs/openapi.yaml.
#pragma once

#include "api/context.hpp"
#include "core/enum_names.hpp"

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::api {

// Context and request outlive the await.
using Handler = Async<Reply> (*)(const Context& context, const Request& request);

// What the caller must be allowed to do, once there are accounts.
enum class Permission { none, task_read, task_write, task_delete, worker_read, worker_write, system_read };
constexpr auto enum_names(Permission) {
  return std::to_array<std::string_view>(
      {"none", "task_read", "task_write", "task_delete", "worker_read", "worker_write", "system_read"});
}

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
  Permission permission = Permission::none;
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

  // Of paths that fit, the first of the table. Validation for a path that is not well encoded.
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

// All of them.
[[nodiscard]] const Router& api_router();

}  // namespace scheduler::api
