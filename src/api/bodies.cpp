#include "api/bodies.hpp"

#include "core/json_reader.hpp"

namespace scheduler::api {

struct TriggerBody {
  std::optional<json::object> parameters;
};
BOOST_DESCRIBE_STRUCT(TriggerBody, (), (parameters))

struct RetryBody {
  bool downstream = false;
};
BOOST_DESCRIBE_STRUCT(RetryBody, (), (downstream))

struct PreviewBody {
  std::string schedule;
  std::string timezone = application::PreviewRequest{}.timezone;
  std::string task_name;
  std::optional<std::string> from;
  int count = application::PreviewRequest{}.count;
};
BOOST_DESCRIBE_STRUCT(PreviewBody, (), (schedule, timezone, task_name, from, count))
constexpr auto required_fields(const PreviewBody*) { return std::to_array<std::string_view>({"schedule"}); }

struct NoBody {};
BOOST_DESCRIBE_STRUCT(NoBody, (), ())

SchedulerResult<application::TriggerRequest> read_trigger(std::string_view text) {
  application::TriggerRequest request;
  if (text.empty()) return request;
  TRY(const auto body, parse_json_as<TriggerBody>(text));
  if (!body.parameters) return request;
  request.parameters = json::serialize(*body.parameters);
  if (request.parameters->size() > domain::kParameterBytesMax)
    return fail_with_faults({{"/parameters", "must be at most 1048576 bytes of JSON"}});
  return request;
}

SchedulerResult<bool> read_retry(std::string_view text) {
  if (text.empty()) return false;
  TRY(const auto body, parse_json_as<RetryBody>(text));
  return body.downstream;
}

SchedulerResult<application::PreviewRequest> read_preview(std::string_view text) {
  TRY(auto body, parse_json_as<PreviewBody>(text));
  application::PreviewRequest request{.schedule = std::move(body.schedule),
                                      .timezone = std::move(body.timezone),
                                      .task_name = std::move(body.task_name),
                                      .from = {},
                                      .count = body.count};
  if (body.from) {
    const auto from = parse_rfc3339(*body.from);
    if (!from) return fail_with_faults({{"/from", from.error().message}});
    request.from = *from;
  }
  return request;
}

SchedulerResult<void> read_nothing(std::string_view text) {
  if (text.empty()) return {};
  TRY([[maybe_unused]] const auto body, parse_json_as<NoBody>(text));
  return {};
}

}  // namespace scheduler::api
