#include "api/bodies.hpp"

#include "api/query.hpp"
#include "core/json_reader.hpp"

#include <fmt/format.h>

namespace scheduler::api {

// An instant as text.
struct InstantBody {
  TimePoint at{};
};

struct TriggerBody {
  std::optional<json::object> parameters;
  std::optional<InstantBody> run_at;
};
BOOST_DESCRIBE_STRUCT(TriggerBody, (), (parameters, run_at))

struct AnyTaskBody {
  application::TaskRef task;
};

struct BulkItemBody {
  AnyTaskBody task;
  std::optional<json::object> parameters;
  std::optional<std::string> idempotency_key;
  std::optional<InstantBody> run_at;
};
BOOST_DESCRIBE_STRUCT(BulkItemBody, (), (task, parameters, idempotency_key, run_at))
constexpr auto required_fields(const BulkItemBody*) { return std::to_array<std::string_view>({"task"}); }

struct BulkBody {
  std::vector<BulkItemBody> items;
};
BOOST_DESCRIBE_STRUCT(BulkBody, (), (items))
constexpr auto required_fields(const BulkBody*) { return std::to_array<std::string_view>({"items"}); }

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

void read_json_value(const json::value& from, InstantBody& into, const JsonPlace& at, JsonFaults& faults) {
  if (!from.is_string()) return faults.add_wrong_type(at, "an instant as text", from);
  const auto parsed = parse_rfc3339(from.get_string());
  if (parsed)
    into.at = *parsed;
  else
    faults.add(at, parsed.error().message);
}

void read_json_value(const json::value& from, AnyTaskBody& into, const JsonPlace& at, JsonFaults& faults) {
  const auto* id = from.if_int64();
  const auto* name = from.if_string();
  if (id != nullptr && *id >= 1 && *id <= kIdMax)
    into.task = TaskId{*id};
  else if (name != nullptr && !name->empty())
    into.task = std::string(*name);
  else
    faults.add(at, "must be the id or the name of a task");
}

namespace {

// `place` of the parameters, "" for the body itself.
SchedulerResult<application::TriggerRequest> request_of(const std::optional<json::object>& parameters,
                                                        const std::optional<InstantBody>& run_at,
                                                        std::string_view place) {
  application::TriggerRequest request;
  if (run_at) request.run_at = run_at->at;
  if (!parameters) return request;
  request.parameters = json::serialize(*parameters);
  if (request.parameters->size() > domain::kParameterBytesMax)
    return fail_with_faults({{std::string(place) + "/parameters", "must be at most 1048576 bytes of JSON"}});
  return request;
}

}  // namespace

SchedulerResult<application::TriggerRequest> read_trigger(std::string_view text) {
  if (text.empty()) return application::TriggerRequest{};
  TRY(const auto body, parse_json_as<TriggerBody>(text));
  return request_of(body.parameters, body.run_at, "");
}

SchedulerResult<std::vector<application::BulkItem>> read_bulk(std::string_view text) {
  TRY(auto body, parse_json_as<BulkBody>(text));
  if (body.items.empty() || body.items.size() > application::kBulkItemsMax)
    return fail_with_faults({{"/items", fmt::format("must hold 1 to {} items", application::kBulkItemsMax)}});
  std::vector<application::BulkItem> items;
  for (auto& it : body.items) {
    TRY(auto request, request_of(it.parameters, it.run_at, fmt::format("/items/{}", items.size())));
    request.idempotency_key = std::move(it.idempotency_key);
    items.push_back({std::move(it.task.task), std::move(request)});
  }
  return items;
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
