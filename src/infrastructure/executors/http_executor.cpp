#include "infrastructure/executors/http_executor.hpp"

#include "infrastructure/executors/executor_parameters.hpp"
#include "infrastructure/executors/outcomes.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace scheduler::infrastructure {
namespace {

using domain::AttemptState;
using domain::Outcome;
using domain::Reason;

bool same_name(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? char(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

bool has_header(const HttpParameters& parameters, std::string_view name) {
  return std::ranges::any_of(parameters.headers, [&](const auto& header) { return same_name(header.first, name); });
}

std::vector<std::string> headers_of(const HttpParameters& parameters, const application::TaskExecution& execution) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : parameters.headers)
    if (!same_name(name.substr(0, 12), "X-Scheduler-"))
      lines.push_back(value.empty() ? name + ";" : fmt::format("{}: {}", name, value));
  // The run's id, not the attempt's: a repeated attempt asks for the same effect.
  if (!has_header(parameters, "Idempotency-Key"))
    lines.push_back(fmt::format("Idempotency-Key: scheduler-run-{}", execution.run.value));
  if (parameters.body && !has_header(parameters, "Content-Type"))
    lines.push_back(parameters.body->is_json ? "Content-Type: application/json"
                                             : "Content-Type: text/plain; charset=utf-8");
  lines.push_back(fmt::format("X-Scheduler-Run-Id: {}", execution.run.value));
  lines.push_back(fmt::format("X-Scheduler-Attempt: {}", execution.attempt));
  lines.push_back(fmt::format("X-Scheduler-Token: {}", execution.token));
  lines.push_back(fmt::format("X-Scheduler-Shard-Index: {}", execution.shard_index));
  lines.push_back(fmt::format("X-Scheduler-Shard-Total: {}", execution.shard_total));
  return lines;
}

HttpRequest request_for(HttpParameters parameters, const application::TaskExecution& execution) {
  HttpRequest request{.headers = headers_of(parameters, execution)};
  request.url = std::move(parameters.url);
  request.method = name_of(parameters.method);
  if (parameters.body) request.body = std::move(parameters.body->text);
  if (parameters.timeout_ms) request.timeout = Millis{*parameters.timeout_ms};
  request.follow_redirects = parameters.follow_redirects;
  return request;
}

bool is_expected(int status, const std::vector<int>& expected) {
  return expected.empty() ? status < 400 : std::ranges::find(expected, status) != expected.end();
}

Outcome outcome_of(const HttpReply& reply, const std::vector<int>& expected) {
  Outcome outcome;
  if (reply.status != 0) outcome.http_status = reply.status;
  if (reply.end == HttpReply::End::answered && is_expected(reply.status, expected)) return outcome;
  outcome.state = AttemptState::failed;
  outcome.retry_after = reply.retry_after;
  switch (reply.end) {
    case HttpReply::End::answered:
      outcome.reason = Reason::http_status;
      outcome.message = fmt::format("the answer's status was {}", reply.status);
      break;
    case HttpReply::End::timed_out:
      outcome.state = AttemptState::timed_out;
      outcome.reason = Reason::timeout;
      outcome.message = fmt::format("the request took too long: {}", reply.error);
      break;
    case HttpReply::End::failed:
    case HttpReply::End::stopped:
      outcome.reason = Reason::executor_error;
      outcome.message = fmt::format("the request failed: {}", reply.error);
      break;
  }
  return outcome;
}

}  // namespace

HttpExecutor::HttpExecutor(asio::io_context& io, Timer& timer, std::string_view version)
    : client_(io, timer, fmt::format("scheduler/{}", version)) {}

asio::awaitable<Outcome> HttpExecutor::execute(const application::TaskExecution& execution,
                                               application::OutputSink& sink, StopSignal& stop) {
  auto parameters = parse_http_parameters(execution.parameters);
  if (!parameters) co_return not_executed(parameters.error(), true);
  const auto expected = parameters->expected_status;
  auto request = request_for(std::move(*parameters), execution);
  const auto reply = co_await client_.send(std::move(request), sink, stop);
  if (reply.bytes_left_out > 0)
    sink.write(application::Stream::out, fmt::format("\n… {} bytes of the answer left out …\n", reply.bytes_left_out));
  co_return outcome_of(reply, expected);
}

}  // namespace scheduler::infrastructure
