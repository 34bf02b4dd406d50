// Schedules: next and explain work without a server; preview asks it, and audit what became of a task's fire times.
#include "cli/commands.hpp"
#include "cli/paging_options.hpp"
#include "cli/text.hpp"
#include "domain/schedule.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

namespace scheduler::cli {
namespace {

struct ScheduleOptions {
  std::string text, timezone = "UTC";
  std::optional<std::string> from, task_name;
  std::optional<int> count;
};

constexpr int kCountDefault = 5, kCountMax = 1000;

std::vector<Option> text_options(ScheduleOptions& it) {
  return {
      {.names = "TEXT",
       .value = "TEXT",
       .doc = "cron, @every 90s, @daily, @at INSTANT",
       .into = &it.text,
       .required = true},
      {.names = "--timezone", .value = "ZONE", .doc = "for example Europe/Berlin; default UTC", .into = &it.timezone},
      {.names = "--task-name", .value = "NAME", .doc = "what H spreads by", .into = &it.task_name}};
}

std::vector<Option> slot_options(ScheduleOptions& it) {
  auto options = text_options(it);
  options.push_back(
      {.names = "--from", .value = "INSTANT", .doc = "fire times after this; default now", .into = &it.from});
  options.push_back({.names = "-n,--count", .value = "N", .doc = "how many, 1 to 1000; default 5", .into = &it.count});
  return options;
}

Outcome<TimePoint> start_of(const Session& session, const ScheduleOptions& it) {
  if (!it.from) return session.ports.clock.now();
  auto from = parse_rfc3339(*it.from);
  if (!from) return failed(Exit::usage, "--from: " + from.error().message);
  return *from;
}

// Read as a task made at `from` would read it.
Outcome<domain::Schedule> read_schedule(const Session& session, const ScheduleOptions& it, TimePoint from) {
  auto zone = session.ports.zones.find(it.timezone);
  if (!zone) return failed(std::move(zone).error());
  auto schedule = domain::parse_schedule({.text = it.text,
                                          .zone = *zone,
                                          .hash_seed = domain::schedule_hash_seed(it.task_name.value_or("")),
                                          .anchor = std::chrono::floor<Seconds>(from)});
  if (!schedule) return failed(std::move(schedule).error());
  return *std::move(schedule);
}

// "2026-03-29T01:00:00Z", and beside it the time on the wall where that differs.
std::string slot_line(TimePoint slot, const domain::TimeZone& zone) {
  if (zone.name() == "UTC") return format_rfc3339(slot) + "\n";
  const auto local = zone.to_local(std::chrono::floor<Seconds>(slot));
  const auto day = std::chrono::floor<std::chrono::days>(local);
  const std::chrono::year_month_day date(day);
  const std::chrono::hh_mm_ss time(local - day);
  return fmt::format("{}  {:04}-{:02}-{:02} {:02}:{:02}:{:02} {}\n", format_rfc3339(slot),
                     static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                     static_cast<unsigned>(date.day()), time.hours().count(), time.minutes().count(),
                     time.seconds().count(), zone.name());
}

Outcome<Exit> next(const Session& session, const ScheduleOptions& it) {
  const int count = it.count.value_or(kCountDefault);
  if (count < 1 || count > kCountMax)
    return failed(Exit::usage, fmt::format("--count: {} is out of range; use 1 to {}", count, kCountMax));
  TRY(const auto from, start_of(session, it));
  TRY(const auto schedule, read_schedule(session, it, from));
  const auto* zone = session.ports.zones.find(it.timezone).value();
  json::array instants;
  std::string lines;
  auto slot = domain::next_slot(schedule, from);
  for (int i = 0; i < count && slot; ++i, slot = domain::next_slot(schedule, *slot)) {
    instants.emplace_back(format_rfc3339(*slot));
    lines += slot_line(*slot, *zone);
  }
  session.output().text(instants, lines);
  if (instants.empty() && session.format == "table") session.talk("no fire times after that instant");
  return Exit::ok;
}

Outcome<Exit> explain(const Session& session, const ScheduleOptions& it) {
  TRY(const auto schedule, read_schedule(session, it, session.ports.clock.now()));
  const auto sentence = domain::explain(schedule);
  session.output().text(json::object{{"schedule", it.text}, {"timezone", it.timezone}, {"explanation", sentence}},
                        sentence + "\n");
  return Exit::ok;
}

Outcome<Exit> preview(const Session& session, const ScheduleOptions& it) {
  json::object body{{"schedule", it.text}, {"timezone", it.timezone}};
  if (it.task_name) body["task_name"] = *it.task_name;
  if (it.from) body["from"] = *it.from;
  if (it.count) body["count"] = *it.count;
  TRY(const auto api, session.api());
  TRY(const auto data, api.send("POST", "/api/schedules/preview", body));
  auto lines = member_text(data, "explanation") + "\n";
  for (const auto& slot : array_in(data, "slots")) lines += cell_of(slot) + "\n";
  session.output().text(data, lines);
  return Exit::ok;
}

struct AuditOptions {
  std::string task;
  std::optional<std::string> from, to, cursor;
  std::optional<int> limit;
};

const std::vector<Column> kSlotColumns = {
    {"FIRST", "first"},   {"LAST", "last"},  {"FIRE TIMES", "slots"},   {"DISPOSITION", "disposition"},
    {"REASON", "reason"}, {"RUN", "run_id"}, {"CAUSE", "cause_run_id"}, {"DECIDED", "decided_at"}};

void tell_spans(const Session& session, const json::value& audit, std::string_view member, std::string_view what) {
  for (const auto& span : array_in(audit, member))
    session.talk(fmt::format("{}: {} to {}, fire times: {}", what, member_text(span, "first"),
                             member_text(span, "last"), member_text(span, "slots")));
}

// The verdict, an object, is the result: said beside the table, and by the exit code.
Exit tell_verdict(const Session& session, const json::value& audit) {
  session.talk(member_text(audit, "sentence"));
  tell_spans(session, audit, "gaps", "no disposition");
  tell_spans(session, audit, "doubles", "more than one");
  for (const auto& note : array_in(audit, "notes")) session.talk("note: " + cell_of(note));
  const auto* complete = audit.get_object().if_contains("complete");
  return complete && *complete == json::value(true) ? Exit::ok : Exit::error;
}

Outcome<void> check_instant(std::string_view option, const std::optional<std::string>& given) {
  if (!given) return {};
  if (const auto at = parse_rfc3339(*given); !at)
    return failed(Exit::usage, fmt::format("{}: {}", option, at.error().message));
  return {};
}

Outcome<Exit> audit(const Session& session, const AuditOptions& it) {
  CHECK(check_instant("--from", it.from));
  CHECK(check_instant("--to", it.to));
  TRY(const auto api, session.api());
  TRY(const auto id, api.task_id(it.task));
  Query query;
  query.add("from", it.from).add("to", it.to).add("limit", it.limit).add("cursor", it.cursor);
  TRY(const auto data, api.get(fmt::format("/api/tasks/{}/slots{}", id, query.text())));
  session.output().list(data, array_in(data, "items"), kSlotColumns);
  hint_at_more(session, data, "fire times on record");
  const auto* verdict = data.is_object() ? data.get_object().if_contains("audit") : nullptr;
  return verdict && verdict->is_object() ? tell_verdict(session, *verdict) : Exit::ok;
}

Verb audit_verb(Session& session) {
  auto it = std::make_shared<AuditOptions>();
  return {"audit",
          "Show what became of a task's fire times, and prove that none is missing; exit code 1 where one is.",
          {{.names = "TASK", .value = "TASK", .doc = "id or name", .into = &it->task, .required = true},
           {.names = "--from",
            .value = "INSTANT",
            .doc = "fire times after this; default 24 hours before the end",
            .into = &it->from},
           {.names = "--to", .value = "INSTANT", .doc = "up to this and at it; default now", .into = &it->to},
           {.names = "--limit", .value = "N", .doc = "at most so many lines, 1 to 100; default 20", .into = &it->limit},
           {.names = "--cursor",
            .value = "CURSOR",
            .doc = "go on after the page that named it; no audit",
            .into = &it->cursor}},
          [&session, it] { return audit(session, *it); }};
}

Verb verb_of(Session& session, std::string name, std::string doc, std::vector<Option> (*options)(ScheduleOptions&),
             Outcome<Exit> (*run)(const Session&, const ScheduleOptions&)) {
  auto it = std::make_shared<ScheduleOptions>();
  return {std::move(name), std::move(doc), options(*it), [&session, it, run] { return run(session, *it); }};
}

}  // namespace

Noun schedule_commands(Session& session) {
  return {"schedule",
          "Schedules: when would this fire, and did it?",
          {verb_of(session, "next", "Show the next fire times; needs no server.", slot_options, next),
           verb_of(session, "explain", "Say it in words; needs no server.", text_options, explain),
           verb_of(session, "preview", "Ask the server for both.", slot_options, preview), audit_verb(session)}};
}

}  // namespace scheduler::cli
