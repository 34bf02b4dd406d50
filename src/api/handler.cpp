#include "api/handler.hpp"

#include "api/query.hpp"
#include "api/run_json.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace scheduler::api {
namespace {

std::string_view trimmed(std::string_view text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

}  // namespace

SchedulerResult<std::int64_t> id_in_path(const Request& request) {
  const auto& text = request.parameters.at(0);
  if (const auto number = parse_integer(text, 1, kIdMax)) return *number;
  const auto message = fmt::format("must be a whole number between 1 and {}", kIdMax);
  return fail(ErrorKind::Validation, "the id in the path " + message, {{"id", message}});
}

SchedulerResult<TaskId> task_id(const Request& request) {
  TRY(const auto number, id_in_path(request));
  return TaskId{number};
}

SchedulerResult<RunId> run_id(const Request& request) {
  TRY(const auto number, id_in_path(request));
  return RunId{number};
}

SchedulerResult<WorkerId> worker_id(const Request& request) {
  const auto& text = request.parameters.at(0);
  if (text.size() <= 255) return WorkerId{text};
  return fail(ErrorKind::Validation, "the worker's id in the path must be at most 255 bytes long",
              {{"id", "must be at most 255 bytes long"}});
}

SchedulerResult<std::optional<std::int64_t>> if_match_version(const Request& request) {
  if (!request.if_match) return std::nullopt;
  auto tag = trimmed(*request.if_match);
  if (tag == "*") return std::nullopt;
  // A proxy that compresses may have made our tag a weak one; the version in it still identifies the definition.
  if (tag.starts_with("W/")) tag.remove_prefix(2);
  if (tag.size() > 2 && tag.front() == '"' && tag.back() == '"') {
    tag = tag.substr(1, tag.size() - 2);
    // What follows the dash tells states of the same definition apart; a precondition is about the definition.
    if (const auto version = parse_integer(tag.substr(0, tag.find('-')), 1, kIdMax)) return version;
  }
  return fail(ErrorKind::Validation, "the header If-Match must hold the ETag of the task, for example \"3\", or *",
              {{"If-Match", "must hold one ETag of this task"}});
}

bool client_has(const Request& request, std::string_view etag) {
  auto rest = request.if_none_match.value_or("");
  while (!rest.empty()) {
    const auto part = rest.substr(0, rest.find(','));
    rest.remove_prefix(std::min(rest.size(), part.size() + 1));
    auto tag = trimmed(part);
    if (tag == "*") return true;
    if (tag.starts_with("W/")) tag.remove_prefix(2);
    if (tag == etag) return true;
  }
  return false;
}

Reply new_runs_reply(const Context& context, const application::NewRuns& made) {
  JsonWriter json;
  write_new_runs(json, made);
  auto reply = success(context, json.take(), 202);
  if (!made.runs.empty()) reply.headers.emplace_back("Location", fmt::format("/api/runs/{}", made.runs[0].id.value));
  return reply;
}

SchedulerResult<void> no_query(const Request& request) { return QueryReader(request.query).finish(); }

}  // namespace scheduler::api
