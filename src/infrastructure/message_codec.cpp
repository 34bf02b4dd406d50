#include "infrastructure/message_codec.hpp"

#include "core/json_reader.hpp"

#include <fmt/format.h>

#include <cmath>

// What travels: members in the order of their struct. Only what the receiver may use; a worker's registration and death
// are the store's business.
namespace scheduler::domain {

BOOST_DESCRIBE_STRUCT(Held, (), (run, token))
BOOST_DESCRIBE_STRUCT(Outcome, (), (state, reason, message, exit_code, http_status, permanent, retry_after, output))
BOOST_DESCRIBE_STRUCT(WorkerInfo, (),
                      (id, incarnation, host, pid, version, task_types, labels, slots, capacity, busy, load,
                       memory_bytes, state))

static constexpr auto required_fields(const Held*) { return std::to_array<std::string_view>({"run", "token"}); }
static constexpr auto required_fields(const Outcome*) { return std::to_array<std::string_view>({"state", "reason"}); }
static constexpr auto required_fields(const WorkerInfo*) {
  return std::to_array<std::string_view>({"id", "incarnation", "task_types", "slots", "capacity", "state"});
}

}  // namespace scheduler::domain

namespace scheduler::application {

BOOST_DESCRIBE_STRUCT(TaskExecution, (),
                      (run, task, task_name, task_type, parameters, attempt, token, timeout, slot, shard_index,
                       shard_total, upstream, upstream_fault))
BOOST_DESCRIBE_STRUCT(StatusUpdate, (),
                      (run, attempt, token, incarnation, age, duration, outcome, unstarted, log_lines))
BOOST_DESCRIBE_STRUCT(WorkerHeartbeat, (), (worker, held, leaving))
BOOST_DESCRIBE_STRUCT(TaskControl, (), (kind, run, token, reason))
BOOST_DESCRIBE_STRUCT(LogChunk, (), (run, attempt, first_line, lines, stream, at, text))

static constexpr auto required_fields(const TaskExecution*) {
  return std::to_array<std::string_view>({"run", "task", "task_type", "parameters", "attempt", "token", "timeout"});
}
static constexpr auto required_fields(const StatusUpdate*) {
  return std::to_array<std::string_view>({"run", "attempt", "token", "incarnation"});
}
static constexpr auto required_fields(const WorkerHeartbeat*) {
  return std::to_array<std::string_view>({"worker", "held"});
}
static constexpr auto required_fields(const TaskControl*) {
  return std::to_array<std::string_view>({"kind", "run", "token"});
}
static constexpr auto required_fields(const LogChunk*) {
  return std::to_array<std::string_view>({"run", "attempt", "first_line", "lines", "stream", "at", "text"});
}

}  // namespace scheduler::application

namespace scheduler {

// Found by argument-dependent lookup, so they cannot hide in an unnamed namespace.

using json_reader::read_whole;

// Longer ones are nobody's meaning, and would overflow where they are converted or added.
constexpr Micros kLongest = std::chrono::hours{24 * 36525};

template <class Tag>
static void read_json_value(const json::value& from, Id<Tag>& into, const JsonPlace& at, JsonFaults& faults) {
  if (const auto id = read_whole(from, 0, std::numeric_limits<std::int64_t>::max(), at, faults)) into.value = *id;
}

static void read_json_value(const json::value& from, WorkerId& into, const JsonPlace& at, JsonFaults& faults) {
  json_reader::read_string(from, into.value, at, faults);
}

template <class Rep, class Period>
static void read_json_value(const json::value& from, std::chrono::duration<Rep, Period>& into, const JsonPlace& at,
                            JsonFaults& faults) {
  using Duration = std::chrono::duration<Rep, Period>;
  constexpr auto kMax = std::chrono::duration_cast<Duration>(kLongest).count();
  if (const auto count = read_whole(from, -kMax, kMax, at, faults)) into = Duration{*count};
}

static void read_json_value(const json::value& from, TimePoint& into, const JsonPlace& at, JsonFaults& faults) {
  constexpr auto kMax = 5 * kLongest.count();  // within the years 1470 to 2470
  if (const auto micros = read_whole(from, -kMax, kMax, at, faults)) into = from_micros(*micros);
}

// Unlike a person's, a message's unknown members are no faults: a newer version may say more.
template <json_reader::Described T>
static void read_json_value(const json::value& from, T& into, const JsonPlace& at, JsonFaults& faults) {
  const auto* object = json_reader::as_object(from, at, faults);
  if (object == nullptr) return;
  boost::mp11::mp_for_each<json_reader::Members<T>>([&](auto member) {
    if (const auto* value = object->if_contains(member.name))
      read_json(*value, into.*member.pointer, at.member(member.name), faults);
  });
  for (const auto name : required_fields(static_cast<const T*>(nullptr)))
    if (!object->contains(name)) faults.add(at.member(name), "is required");
}

}  // namespace scheduler

namespace scheduler::infrastructure {
namespace {

using application::Message;
using application::Payload;
using json_reader::kIs;

// --- writing ---

template <class T>
void write_json(const T& from, json::value& into);

template <json_reader::Described T>
void write_members(const T& from, json::value& into) {
  auto& object = into.emplace_object();
  object.reserve(boost::mp11::mp_size<json_reader::Members<T>>::value);
  boost::mp11::mp_for_each<json_reader::Members<T>>([&](auto member) {
    const auto& value = from.*member.pointer;
    if constexpr (kIs<std::remove_cvref_t<decltype(value)>, std::optional>) {
      if (value) write_json(*value, object[member.name]);
    } else {
      write_json(value, object[member.name]);
    }
  });
}

template <class Range>
void write_items(const Range& from, json::value& into) {
  auto& array = into.emplace_array();
  array.reserve(from.size());
  for (const auto& item : from) write_json(item, array.emplace_back(nullptr));
}

// `into` keeps its memory resource.
template <class T>
void write_json(const T& from, json::value& into) {
  if constexpr (requires { from.value; }) {  // an id
    write_json(from.value, into);
  } else if constexpr (std::same_as<T, TimePoint>) {
    into = to_micros(from);
  } else if constexpr (requires { from.count(); }) {  // a duration
    into = std::int64_t{from.count()};
  } else if constexpr (std::is_enum_v<T>) {
    into.emplace_string() = name_of(from);
  } else if constexpr (std::same_as<T, std::string>) {
    into.emplace_string() = from;
  } else if constexpr (std::same_as<T, double>) {
    into = std::isfinite(from) ? from : 0.0;  // JSON has no other
  } else if constexpr (std::is_arithmetic_v<T>) {
    into = from;
  } else if constexpr (kIs<T, std::vector>) {
    write_items(from, into);
  } else if constexpr (kIs<T, std::map>) {
    auto& object = into.emplace_object();
    for (const auto& [key, value] : from) write_json(value, object[key]);
  } else {
    write_members(from, into);
  }
}

// In the order of Payload's alternatives.
constexpr std::string_view kTypes[] = {"task_execution", "status_update", "worker_heartbeat",
                                       "task_control",   "log_chunk",     "nudge"};
static_assert(std::size(kTypes) == std::variant_size_v<Payload>);

template <class T>
std::size_t count_items(const T& payload) {
  if constexpr (kIs<T, std::vector>)
    return payload.size();
  else
    return 1;
}

template <class T>
void write_payload(const T& payload, json::value& into) {
  if constexpr (kIs<T, std::vector>)
    write_items(payload, into);
  else if constexpr (std::same_as<T, application::Nudge>)
    into.emplace_array();
  else
    write_json(payload, into.emplace_array().emplace_back(nullptr));
}

std::string encode_whole(const Message& message, const EnvelopeHeader& header) {
  json::monotonic_resource memory;
  json::object envelope(&memory);
  envelope["version"] = kEnvelopeVersion;
  envelope["id"] = header.id;
  envelope["type"] = kTypes[message.payload.index()];
  envelope["timestamp"] = format_rfc3339(header.sent_at);
  if (!header.correlation_id.empty()) envelope["correlation_id"] = header.correlation_id;
  if (!header.traceparent.empty()) envelope["traceparent"] = header.traceparent;
  if (!header.tracestate.empty()) envelope["tracestate"] = header.tracestate;
  std::visit([&](const auto& payload) { write_payload(payload, envelope["items"]); }, message.payload);
  return json::serialize(envelope);
}

// The first or the second half of the items.
Message half_of(const Message& message, bool first) {
  return std::visit(
      [&](const auto& payload) {
        using T = std::remove_cvref_t<decltype(payload)>;
        if constexpr (kIs<T, std::vector>) {
          const auto middle = payload.begin() + static_cast<std::ptrdiff_t>(payload.size() / 2);
          return Message{first ? T(payload.begin(), middle) : T(middle, payload.end())};
        } else {
          return message;
        }
      },
      message.payload);
}

void encode_parts(const Message& message, EnvelopeHeader header, std::size_t bytes_target,
                  std::vector<std::string>& into) {
  auto text = encode_whole(message, header);
  const auto items = std::visit([](const auto& payload) { return count_items(payload); }, message.payload);
  if (text.size() <= bytes_target || items < 2) return into.push_back(std::move(text));
  text.clear();
  const auto id = std::move(header.id);
  for (const bool first : {true, false}) {
    header.id = id + (first ? ".1" : ".2");
    encode_parts(half_of(message, first), header, bytes_target, into);
  }
}

// --- reading ---

template <class T>
void read_payload(const json::value& items, T& into, const JsonPlace& at, JsonFaults& faults) {
  if constexpr (kIs<T, std::vector>) {
    read_json(items, into, at, faults);
  } else if constexpr (!std::same_as<T, application::Nudge>) {
    const auto* array = json_reader::as_array(items, at, faults);
    if (array == nullptr) return;
    if (array->size() != 1) return faults.add(at, fmt::format("must hold one item, not {}", array->size()));
    read_json(array->front(), into, at.item(0), faults);
  }
}

// The envelope without its items: those are read when their type is known.
struct Outer {
  int version = 0;
  std::string id, type, timestamp, correlation_id, traceparent, tracestate;
};
BOOST_DESCRIBE_STRUCT(Outer, (), (version, id, type, timestamp, correlation_id, traceparent, tracestate))
constexpr auto required_fields(const Outer*) {
  return std::to_array<std::string_view>({"version", "id", "type", "timestamp", "items"});
}

std::unexpected<SchedulerError> refuse(std::string_view why) {
  return fail(ErrorKind::Validation, fmt::format("the message cannot be read: {}", why));
}

SchedulerResult<json::value> parse_text(std::string_view text, json::storage_ptr memory) {
  json::parse_options options;
  options.max_depth = kJsonDepthMax;
  options.allow_invalid_utf8 = true;
  boost::system::error_code fault;
  auto value = json::parse(json::string_view(text.data(), text.size()), fault, std::move(memory), options);
  if (fault) return refuse(fmt::format("it is no JSON ({})", fault.message()));
  return value;
}

// First of all: nothing else of a version that is not ours means anything.
SchedulerResult<void> check_version(const json::object& envelope) {
  const auto* found = envelope.if_contains("version");
  const auto* version = found ? found->if_int64() : nullptr;
  if (version == nullptr) return refuse("its 'version' is missing, or no whole number");
  if (*version != kEnvelopeVersion)
    return refuse(
        fmt::format("it has version {}, and this program reads version {}; let every part of the scheduler "
                    "run the same release",
                    *version, kEnvelopeVersion));
  return {};
}

SchedulerResult<Payload> payload_of(std::string_view type, const json::value& items) {
  const auto index = static_cast<std::size_t>(std::ranges::find(kTypes, type) - kTypes);
  if (index == std::size(kTypes)) return refuse(fmt::format("its type {} is not known", quote_word(type)));
  JsonFaults faults;
  auto payload = boost::mp11::mp_with_index<std::size(kTypes)>(index, [&](auto i) {
    Payload read(std::in_place_index<i>);
    read_payload(items, std::get<i>(read), JsonPlace("/items"), faults);
    return read;
  });
  if (!faults.empty()) return refuse(fail_with_faults(faults.take()).error().message);
  return payload;
}

}  // namespace

std::vector<std::string> encode_message(const Message& message, const EnvelopeHeader& header,
                                        std::size_t bytes_target) {
  std::vector<std::string> parts;
  encode_parts(message, header, bytes_target, parts);
  return parts;
}

SchedulerResult<Envelope> decode_message(std::string_view text) {
  if (text.size() > kEnvelopeBytesMax)
    return refuse(fmt::format("it has {} bytes; {} are the most", text.size(), kEnvelopeBytesMax));
  json::monotonic_resource memory;
  TRY(const auto value, parse_text(text, &memory));
  const auto* envelope = value.if_object();
  if (envelope == nullptr) return refuse("it is no JSON object");
  CHECK(check_version(*envelope));
  JsonFaults faults;
  Outer outer;
  read_json(value, outer, JsonPlace(""), faults);
  if (!faults.empty()) return refuse(fail_with_faults(faults.take()).error().message);
  const auto sent_at = parse_rfc3339(outer.timestamp);
  if (!sent_at) return refuse("its 'timestamp' is no instant like 2026-01-31T08:00:00Z");
  TRY(auto payload, payload_of(outer.type, envelope->at("items")));
  return Envelope{.header = {.id = std::move(outer.id),
                             .sent_at = *sent_at,
                             .correlation_id = std::move(outer.correlation_id),
                             .traceparent = std::move(outer.traceparent),
                             .tracestate = std::move(outer.tracestate)},
                  .message = {std::move(payload)}};
}

}  // namespace scheduler::infrastructure
