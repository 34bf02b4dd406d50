#include "api/request_guard.hpp"

#include "api/bodies.hpp"

#include <fmt/format.h>

namespace scheduler::api {
namespace {

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  return out;
}

std::string media_type(std::string_view content_type) {
  auto type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ') || type.ends_with('\t')) type.remove_suffix(1);
  return lower(type);
}

Problem forbidden(std::string detail) { return {403, "INSUFFICIENT_PERMISSIONS", std::move(detail)}; }

}  // namespace

std::optional<Problem> check_origin(const Request& request) {
  if (!request.host) {
    if (request.http_1_0) return std::nullopt;
    return Problem{400, code_of(ErrorKind::Validation), "an HTTP/1.1 request must have exactly one Host header"};
  }
  if (!request.origin) return std::nullopt;
  auto origin = lower(*request.origin);
  for (const std::string_view scheme : {"http://", "https://"})
    if (origin == std::string(scheme) + lower(*request.host)) return std::nullopt;
  return forbidden("the Origin header names another web page: only pages of this server itself may use it");
}

std::optional<Problem> check_body(const Request& request, BodyKind kind) {
  const Problem missing{400, code_of(ErrorKind::Validation), "this request needs a JSON object as its body"};
  if (request.body.empty()) {
    if (kind == BodyKind::none || kind == BodyKind::optional) return std::nullopt;
    return missing;
  }
  const bool reads_body = kind != BodyKind::none;
  // What a reading method carries means nothing (RFC 9110, 9.3.1).
  if (!reads_body && (request.method == "GET" || request.method == "DELETE")) return std::nullopt;

  const auto type = media_type(request.content_type.value_or(""));
  const bool patch = kind == BodyKind::merge_patch;
  if (type != "application/json" && !(patch && type == "application/merge-patch+json"))
    return Problem{415, code_of(ErrorKind::Validation),
                   fmt::format("the body must be JSON, and say so: Content-Type: application/json{}",
                               patch ? " or application/merge-patch+json" : "")};
  if (reads_body) return std::nullopt;
  const auto nothing = read_nothing(request.body);
  if (nothing) return std::nullopt;
  return problem_of(nothing.error());
}

}  // namespace scheduler::api
