#include "api/router.hpp"

#include "api/url.hpp"
#include "core/suggest.hpp"

#include <fmt/format.h>

namespace scheduler::api {
namespace {

std::vector<std::string_view> split(std::string_view path) {
  std::vector<std::string_view> segments;
  if (path.starts_with('/')) path.remove_prefix(1);
  for (;;) {
    const auto slash = path.find('/');
    segments.push_back(path.substr(0, slash));
    if (slash == std::string_view::npos) return segments;
    path.remove_prefix(slash + 1);
  }
}

bool is_parameter(std::string_view segment) { return segment.starts_with('{'); }

bool fits(std::span<const std::string_view> wanted, std::span<const std::string> got) {
  if (wanted.size() != got.size()) return false;
  for (std::size_t i = 0; i < wanted.size(); ++i)
    if (is_parameter(wanted[i]) ? got[i].empty() : wanted[i] != got[i]) return false;
  return true;
}

SchedulerResult<std::vector<std::string>> decode(std::string_view path) {
  std::vector<std::string> segments;
  for (const auto segment : split(path)) {
    auto text = percent_decode(segment, false);
    if (!text)
      return fail(ErrorKind::Validation,
                  "the path is not well encoded: '%' needs two hexadecimal digits, and the result must be UTF-8");
    segments.push_back(*std::move(text));
  }
  return segments;
}

// "/api/task/17" -> "/api/task/{id}", so that it looks like a template.
std::string generalise(std::string_view path) {
  std::string out;
  for (const auto segment : split(path)) {
    const bool number = !segment.empty() && segment.find_first_not_of("0123456789") == std::string_view::npos;
    out.append("/").append(number ? "{id}" : segment);
  }
  return out;
}

std::vector<Route> all_routes() {
  std::vector<Route> all;
  for (const auto part : {task_routes(), run_routes(), log_routes(), schedule_routes(), worker_routes(),
                          system_routes(), auth_routes(), user_routes()})
    all.insert(all.end(), part.begin(), part.end());
  return all;
}

}  // namespace

Router::Router(std::vector<Route> routes) : routes_(std::move(routes)) {
  for (const auto& route : routes_) segments_.push_back(split(route.path));
}

SchedulerResult<RouteMatch> Router::match(std::string_view method, std::string_view path) const {
  TRY(auto got, decode(path));
  if (got.size() > 2 && got[0] == "api" && got[1] == "auth") got.erase(got.begin());
  RouteMatch match;
  std::optional<std::string_view> chosen;  // the first path that fits; "/api/workers/stats" stands before "…/{id}"
  for (std::size_t i = 0; i < routes_.size(); ++i) {
    if ((chosen && routes_[i].path != *chosen) || !fits(segments_[i], got)) continue;
    chosen = routes_[i].path;
    match.allow.append(routes_[i].method).append(routes_[i].method == "GET" ? ", HEAD, " : ", ");
    if (routes_[i].method != method) continue;
    match.route = &routes_[i];
    for (std::size_t s = 0; s < got.size(); ++s)
      if (is_parameter(segments_[i][s])) match.parameters.push_back(got[s]);
  }
  if (!match.allow.empty()) match.allow += "OPTIONS";
  return match;
}

std::string Router::explain_missing(std::string_view path) const {
  constexpr std::size_t kShownMax = 80;
  std::vector<std::string_view> known;
  for (const auto& route : routes_) known.push_back(route.path);
  return fmt::format("there is nothing at '{}{}'{} All endpoints are listed in /openapi.yaml.",
                     path.substr(0, kShownMax), path.size() > kShownMax ? "…" : "",
                     nearest(generalise(path), known).empty() ? "." : suggestion(generalise(path), known));
}

const Router& api_router() {
  static const Router router(all_routes());
  return router;
}

}  // namespace scheduler::api
