#include "api/task_json.hpp"

#include "api/query.hpp"
#include "core/json_reader.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace scheduler::api {
namespace {

constexpr auto kReadOnly =
    std::to_array<std::string_view>({"id", "version", "owner_id", "created_at", "updated_at", "next_fire_at"});

}  // namespace

struct UpstreamBody {
  application::TaskRef task;
};

struct RetryBackoffBody {
  double base_seconds = domain::RetryBackoff{}.base_seconds;
  double factor = domain::RetryBackoff{}.factor;
  double cap_seconds = domain::RetryBackoff{}.cap_seconds;
};
BOOST_DESCRIBE_STRUCT(RetryBackoffBody, (), (base_seconds, factor, cap_seconds))

struct RetryOnBody {
  std::vector<domain::Reason> reasons;
  std::vector<int> exit_codes, http_statuses;
};
BOOST_DESCRIBE_STRUCT(RetryOnBody, (), (reasons, exit_codes, http_statuses))

// The fields that a person writes; the defaults are the domain's.
struct TaskBody {
  std::string name, description, task_type;
  std::optional<std::string> schedule;
  std::string timezone = domain::TaskSpec{}.timezone;
  json::object parameters;
  std::int64_t timeout_seconds = domain::TaskSpec{}.timeout.count();
  int max_retries = domain::TaskSpec{}.max_retries;
  RetryBackoffBody retry_backoff;
  RetryOnBody retry_on;
  int max_lost_attempts = domain::TaskSpec{}.max_lost_attempts;
  std::vector<UpstreamBody> dependencies;
  domain::TriggerRule trigger_rule = domain::TaskSpec{}.trigger_rule;
  domain::OverlapPolicy overlap_policy = domain::TaskSpec{}.overlap_policy;
  domain::MisfirePolicy misfire_policy = domain::TaskSpec{}.misfire_policy;
  std::int64_t misfire_grace_seconds = domain::TaskSpec{}.misfire_grace.count();
  std::optional<std::int64_t> catch_up_window_seconds;
  domain::Delivery delivery = domain::TaskSpec{}.delivery;
  int priority = domain::TaskSpec{}.priority;
  std::map<std::string, std::string> labels, worker_labels;
  int shard_count = domain::TaskSpec{}.shard_count;
  std::optional<int> max_concurrent_runs;
  int max_queued_runs = domain::TaskSpec{}.max_queued_runs;
  domain::TaskStatus status = domain::TaskSpec{}.status;
};
BOOST_DESCRIBE_STRUCT(TaskBody, (),
                      (name, description, task_type, schedule, timezone, parameters, timeout_seconds, max_retries,
                       retry_backoff, retry_on, max_lost_attempts, dependencies, trigger_rule, overlap_policy,
                       misfire_policy, misfire_grace_seconds, catch_up_window_seconds, delivery, priority, labels,
                       worker_labels, shard_count, max_concurrent_runs, max_queued_runs, status))
constexpr auto required_fields(const TaskBody*) { return std::to_array<std::string_view>({"name", "task_type"}); }

void read_json_value(const json::value& from, UpstreamBody& into, const JsonPlace& at, JsonFaults& faults) {
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

// A number too large for a double would come out as infinity, which JSON cannot say.
void check_finite(const json::value& value, const JsonPlace& at, JsonFaults& faults) {
  if (const auto* number = value.if_double(); number != nullptr && !std::isfinite(*number))
    return faults.add(at, "the number is too large");
  if (const auto* object = value.if_object())
    for (const auto& [key, item] : *object) check_finite(item, at.member(key), faults);
  if (const auto* array = value.if_array())
    for (std::size_t i = 0; i < array->size(); ++i) check_finite((*array)[i], at.item(i), faults);
}

bool is_faulty(std::span<const FieldError> faults, std::string_view pointer) {
  return std::ranges::any_of(faults, [&](const FieldError& it) { return it.pointer.starts_with(pointer); });
}

application::TaskDraft draft_of(TaskBody body, std::vector<FieldError> faults) {
  application::TaskDraft draft;
  auto& spec = draft.spec;
  spec.name = std::move(body.name);
  spec.description = std::move(body.description);
  spec.task_type = std::move(body.task_type);
  spec.schedule = std::move(body.schedule);
  spec.timezone = std::move(body.timezone);
  if (!is_faulty(faults, "/parameters")) spec.parameters = json::serialize(body.parameters);
  spec.timeout = Seconds{body.timeout_seconds};
  spec.max_retries = body.max_retries;
  spec.retry_backoff = {body.retry_backoff.base_seconds, body.retry_backoff.factor, body.retry_backoff.cap_seconds};
  spec.retry_on = {std::move(body.retry_on.reasons), std::move(body.retry_on.exit_codes),
                   std::move(body.retry_on.http_statuses)};
  spec.max_lost_attempts = body.max_lost_attempts;
  if (!is_faulty(faults, "/dependencies"))
    for (auto& upstream : body.dependencies) draft.dependencies.push_back(std::move(upstream.task));
  spec.trigger_rule = body.trigger_rule;
  spec.overlap_policy = body.overlap_policy;
  spec.misfire_policy = body.misfire_policy;
  spec.misfire_grace = Seconds{body.misfire_grace_seconds};
  if (body.catch_up_window_seconds) spec.catch_up_window = Seconds{*body.catch_up_window_seconds};
  spec.delivery = body.delivery;
  spec.priority = body.priority;
  spec.labels = std::move(body.labels);
  spec.worker_labels = std::move(body.worker_labels);
  spec.shard_count = body.shard_count;
  spec.max_concurrent_runs = body.max_concurrent_runs;
  spec.max_queued_runs = body.max_queued_runs;
  spec.status = body.status;
  draft.faults = std::move(faults);
  return draft;
}

application::TaskDraft read_members(const json::value& from, JsonFaults faults) {
  TaskBody body;
  const JsonPlace whole("");
  read_json(from, body, whole, faults);
  check_finite(body.parameters, whole.member("parameters"), faults);
  return draft_of(std::move(body), faults.take());
}

SchedulerResult<json::value> parse_object(std::string_view text) {
  auto value = parse_json(text);
  if (!value) return fail(ErrorKind::Validation, value.error().message, {{"", value.error().message}});
  if (value->is_object()) return value;
  JsonFaults faults;
  faults.add_wrong_type(JsonPlace(""), "an object with the fields of a task", *value);
  return fail_with_faults(faults.take());
}

void refuse_read_only(json::object& members, JsonFaults& faults) {
  const JsonPlace whole("");
  for (const auto name : kReadOnly)
    if (members.erase(name) > 0) faults.add(whole.member(name), "is set by the server; leave it out");
}

// RFC 7396, section 2. As deep as the patch, which the reader bounds.
void merge(json::value& target, const json::value& patch) {
  const auto* members = patch.if_object();
  if (members == nullptr) {
    target = patch;
    return;
  }
  if (!target.is_object()) target.emplace_object();
  auto& object = target.get_object();
  for (const auto& [key, value] : *members) {
    if (value.is_null())
      object.erase(key);
    else
      merge(object[key], value);
  }
}

void write_members(JsonWriter& json, const domain::TaskSpec& spec) {
  json.member("name", spec.name)
      .member("description", spec.description)
      .member("task_type", spec.task_type)
      .member("schedule", spec.schedule)
      .member("timezone", spec.timezone);
  json.key("parameters").raw(spec.parameters);
  json.member("timeout_seconds", spec.timeout.count()).member("max_retries", spec.max_retries);
  json.key("retry_backoff")
      .begin_object()
      .member("base_seconds", spec.retry_backoff.base_seconds)
      .member("factor", spec.retry_backoff.factor)
      .member("cap_seconds", spec.retry_backoff.cap_seconds)
      .end_object();
  json.key("retry_on").begin_object().key("reasons").begin_array();
  for (const auto reason : spec.retry_on.reasons) json.value(name_of(reason));
  json.end_array()
      .member("exit_codes", spec.retry_on.exit_codes)
      .member("http_statuses", spec.retry_on.http_statuses)
      .end_object()
      .member("max_lost_attempts", spec.max_lost_attempts)
      .member("dependencies", spec.dependencies)
      .member("trigger_rule", name_of(spec.trigger_rule))
      .member("overlap_policy", name_of(spec.overlap_policy))
      .member("misfire_policy", name_of(spec.misfire_policy))
      .member("misfire_grace_seconds", spec.misfire_grace.count())
      .member("catch_up_window_seconds",
              spec.catch_up_window ? std::optional(spec.catch_up_window->count()) : std::nullopt)
      .member("delivery", name_of(spec.delivery))
      .member("priority", spec.priority)
      .member("labels", spec.labels)
      .member("worker_labels", spec.worker_labels)
      .member("shard_count", spec.shard_count)
      .member("max_concurrent_runs", spec.max_concurrent_runs)
      .member("max_queued_runs", spec.max_queued_runs)
      .member("status", name_of(spec.status));
}

}  // namespace

SchedulerResult<application::TaskDraft> read_task(std::string_view body, ReadOnlyFields policy) {
  TRY(auto value, parse_object(body));
  JsonFaults faults;
  if (policy == ReadOnlyFields::refuse)
    refuse_read_only(value.get_object(), faults);
  else
    for (const auto name : kReadOnly) value.get_object().erase(name);
  return read_members(value, std::move(faults));
}

SchedulerResult<application::TaskDraft> read_patched_task(const domain::Task& current, std::string_view patch_text) {
  TRY(auto patch, parse_object(patch_text));
  JsonFaults faults;
  refuse_read_only(patch.get_object(), faults);
  // Before the merge, because {"shedule": null} would leave no trace in the result.
  static constexpr auto kKnown = json_reader::member_names<TaskBody>();
  for (const auto& [key, value] : patch.get_object())
    if (value.is_null() && std::ranges::find(kKnown, std::string_view(key)) == kKnown.end())
      faults.add(JsonPlace("").member(key), "unknown field" + suggestion(key, kKnown));

  JsonWriter own;
  own.begin_object();
  write_members(own, current.spec);
  own.end_object();
  TRY(auto merged, parse_json(own.take()));
  merge(merged, patch);
  return read_members(merged, std::move(faults));
}

void write_task(JsonWriter& json, const domain::Task& task) {
  json.begin_object().member("id", task.id);
  write_members(json, task.spec);
  json.member("version", task.version)
      .member("owner_id", task.owner)
      .member("created_at", task.created_at)
      .member("updated_at", task.updated_at)
      .member("next_fire_at", task.next_fire_at)
      .end_object();
}

std::string etag_of(const domain::Task& task) {
  if (!task.next_fire_at) return fmt::format("\"{}\"", task.version);
  return fmt::format("\"{}-{:x}\"", task.version, to_micros(*task.next_fire_at) / 1'000'000);
}

}  // namespace scheduler::api
