#include "infrastructure/executors/http_executor.hpp"

#include "core/json_reader.hpp"
#include "infrastructure/executors/attempt_files.hpp"
#include "infrastructure/executors/executor_parameters.hpp"
#include "infrastructure/executors/outcomes.hpp"
#include "infrastructure/executors/upstream_values.hpp"

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

// RFC 6839: application/json, and whatever ends in +json. Parameters say nothing about it.
bool is_json(std::string_view content_type) {
  auto type = content_type.substr(0, content_type.find(';'));
  while (type.ends_with(' ')) type.remove_suffix(1);
  constexpr std::string_view kSuffix = "+json";
  return same_name(type, "application/json") ||
         (type.size() > kSuffix.size() && same_name(type.substr(type.size() - kSuffix.size()), kSuffix));
}

// Passes the answer on, and keeps as much of it as an output may have, and one byte more.
class Capture final : public application::OutputSink {
 public:
  explicit Capture(application::OutputSink& next) : next_(next) {}
  void write(application::Stream stream, std::string_view bytes) override {
    next_.write(stream, bytes);
    kept_.append(bytes.substr(0, domain::kOutputBytesMax + 1 - kept_.size()));
  }
  std::string take() { return std::move(kept_); }

 private:
  application::OutputSink& next_;
  std::string kept_;
};

SchedulerResult<std::optional<std::string>> output_of(const HttpReply& reply, std::string body) {
  if (!is_json(reply.content_type))
    return fail(ErrorKind::Validation,
                fmt::format("the answer is to be the output, and its Content-Type is {}, not application/json",
                            reply.content_type.empty() ? "missing" : quote_word(reply.content_type)));
  TRY(auto output, checked_output(std::move(body)));
  if (!output) return fail(ErrorKind::Validation, "the answer is to be the output, and its body is empty");
  return output;
}

}  // namespace

HttpExecutor::HttpExecutor(asio::io_context& io, Timer& timer, std::string_view version)
    : client_(io, timer, fmt::format("scheduler/{}", version)) {}

asio::awaitable<Outcome> HttpExecutor::execute(const application::TaskExecution& execution,
                                               application::OutputSink& sink, StopSignal& stop) {
  auto parameters = parse_http_parameters(execution.parameters);
  if (!parameters) co_return not_executed(parameters.error(), true);
  if (const auto inserted = insert_upstream_values(*parameters, execution.upstream); !inserted)
    co_return without_upstream(inserted.error());
  const auto expected = parameters->expected_status;
  const bool capture = parameters->capture_output;
  auto request = request_for(std::move(*parameters), execution);
  Capture captured(sink);
  application::OutputSink& whole = capture ? captured : sink;
  const auto reply = co_await client_.send(std::move(request), whole, stop);
  if (reply.bytes_left_out > 0)
    sink.write(application::Stream::out, fmt::format("\n… {} bytes of the answer left out …\n", reply.bytes_left_out));
  auto outcome = outcome_of(reply, expected);
  if (capture && outcome.state == AttemptState::succeeded) take_output(output_of(reply, captured.take()), outcome);
  co_return outcome;
}

}  // namespace scheduler::infrastructure
