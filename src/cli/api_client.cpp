#include "cli/api_client.hpp"

#include "cli/text.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace scheduler::cli {
namespace {

// Servers send something every few seconds of a stream, if only a comment.
constexpr Millis kStreamSilence{60'000};

Exit exit_of_status(int status) {
  switch (status) {
    case 401:
    case 403:
      return Exit::auth;
    case 404:
      return Exit::not_found;
    case 400:
    case 409:
    case 412:
    case 413:
    case 415:
    case 422:
      return Exit::refused;
    case 429:
    case 502:
    case 503:
    case 504:
      return Exit::unreachable;
    default:
      return Exit::error;
  }
}

std::string text_of(const json::value& value, std::string_view name) {
  const auto* member = member_of(value, name);
  return member && member->is_string() ? one_line(member->get_string()) : std::string();
}

// A problem as the API words it, or nothing where the body is something else.
std::optional<Failure> read_problem(const HttpReply& reply) {
  boost::system::error_code fault;
  const auto value = json::parse(reply.body, fault);
  const auto* error = fault ? nullptr : member_of(value, "error");
  if (!error) return std::nullopt;
  Failure failure{exit_of_status(reply.status), text_of(*error, "message")};
  for (const auto& detail : array_in(*error, "details"))
    failure.fields.push_back({text_of(detail, "pointer"), text_of(detail, "message")});
  if (failure.message.empty()) return std::nullopt;
  return failure;
}

std::unexpected<Failure> refused(const HttpReply& reply, const std::string& base_url, const std::string& target) {
  auto failure = read_problem(reply);
  if (!failure)
    return failed(exit_of_status(reply.status),
                  fmt::format("{} answered {} ({}) without the scheduler's error text; does --api-url name the "
                              "scheduler?",
                              base_url, reply.status, reply.content_type.empty() ? "no type" : reply.content_type));
  if (failure->exit == Exit::auth && !target.starts_with("/auth/"))
    failure->message +=
        "; log in with scheduler-cli auth login, or set SCHEDULER_API_KEY or --api-key-file to a key that may do this";
  return std::unexpected(*std::move(failure));
}

Outcome<json::value> data_of(const HttpReply& reply, const std::string& base_url, const std::string& target) {
  if (reply.status < 200 || reply.status > 299) return refused(reply, base_url, target);
  if (reply.status == 204) return json::value();
  boost::system::error_code fault;
  auto value = json::parse(reply.body, fault);
  if (!fault && value.is_object())
    if (auto* data = value.get_object().if_contains("data")) return std::move(*data);
  return failed(Exit::error,
                fmt::format("{} answered {} ({}), which is not the scheduler's API; does --api-url name the "
                            "scheduler?",
                            base_url, reply.status, reply.content_type.empty() ? "no type" : reply.content_type));
}

}  // namespace

Query& Query::add(std::string_view name, const std::optional<std::string>& value) {
  if (value) text_ += fmt::format("{}{}={}", text_.empty() ? "?" : "&", name, url_encoded(*value));
  return *this;
}

Query& Query::add(std::string_view name, const std::optional<int>& value) {
  return value ? add(name, std::optional(std::to_string(*value))) : *this;
}

Outcome<HttpClient> ApiClient::http() const {
  TRY(auto key, key_());
  return HttpClient(base_url_, std::move(key));
}

Outcome<json::value> ApiClient::get(const std::string& target, Millis timeout) const {
  TRY(const auto client, http());
  TRY(const auto reply, client.send({.target = target, .timeout = timeout}));
  return data_of(reply, base_url_, target);
}

Outcome<json::value> ApiClient::send(const std::string& method, const std::string& target, const json::value& body,
                                     std::vector<std::pair<std::string, std::string>> headers) const {
  TRY(const auto client, http());
  TRY(const auto reply, client.send({.method = method,
                                     .target = target,
                                     .body = body.is_null() ? std::string() : json::serialize(body),
                                     .headers = std::move(headers)}));
  return data_of(reply, base_url_, target);
}

Outcome<void> ApiClient::events(const std::string& target, const std::string& last_id, const OnEvent& on_event,
                                const std::function<bool()>& keep_going) const {
  HttpRequest request{.target = target,
                      .headers = {{"Accept", "text/event-stream"}},
                      .timeout = kStreamSilence,
                      .keep_going = keep_going};
  if (!last_id.empty()) request.headers.emplace_back("Last-Event-ID", last_id);
  SseParser parser;
  TRY(const auto client, http());
  TRY(const auto reply, client.stream(request, [&](std::string_view bytes) { return parser.feed(bytes, on_event); }));
  if (!keep_going()) return {};
  if (reply.status != 200) return refused(reply, base_url_, target);
  if (!reply.content_type.starts_with("text/event-stream"))
    return failed(Exit::error,
                  fmt::format("{} answered with {} instead of a stream; does --api-url name the scheduler?", base_url_,
                              reply.content_type));
  return {};
}

Outcome<std::string> ApiClient::task_id(const std::string& id_or_name) const {
  if (parse_id(id_or_name)) return id_or_name;
  TRY(const auto data, get("/api/tasks" + Query().add("name", std::optional(id_or_name)).text()));
  for (const auto& task : array_in(data, "items"))
    if (const auto* name = member_of(task, "name"); name && *name == json::string_view(id_or_name))
      if (auto id = member_text(task, "id"); parse_id(id)) return id;
  return failed(Exit::not_found, fmt::format("no task is named '{}'; scheduler-cli task list shows those there are",
                                             one_line(id_or_name)));
}

}  // namespace scheduler::cli
