#include "api/slot_json.hpp"

#include "core/enum_names.hpp"

namespace scheduler::api {
namespace {

void write_entry(JsonWriter& json, const application::SlotEntry& entry) {
  const auto& it = entry.record;
  const bool has_reason = it.reason != domain::Reason::none;
  json.begin_object()
      .member("first", it.first)
      .member("last", it.last)
      .member("slots", entry.slots)
      .member("disposition", it.fired ? "fired" : "skipped")
      .member("reason", has_reason ? std::optional(std::string(name_of(it.reason))) : std::nullopt)
      .member("run_id", it.run)
      .member("runs", it.runs)
      .member("cause_run_id", it.cause)
      .member("decided_at", it.decided_at)
      .end_object();
}

void write_span(JsonWriter& json, const domain::SlotSpan& it) {
  json.begin_object().member("first", it.first).member("last", it.last).member("slots", it.slots).end_object();
}

void write_audit(JsonWriter& json, const application::SlotReport& report) {
  const auto& counts = report.counts;
  std::map<std::string, std::int64_t> skipped;
  for (const auto& [reason, n] : counts.skipped) skipped.emplace(name_of(reason), n);
  json.begin_object()
      .member("from", report.covered_from)
      .member("to", report.covered_to)
      .member("complete", report.verdict->complete)
      .member("sentence", report.verdict->sentence)
      .member("notes", report.verdict->notes)
      .member("expected", counts.expected)
      .member("fired", counts.fired)
      .member("skipped", skipped)
      .member("missing", counts.missing)
      .member("doubled", counts.doubled)
      .member("undecided", report.undecided);
  json.key("gaps").array(counts.gaps, write_span);
  json.key("doubles").array(counts.doubles, write_span);
  json.end_object();
}

}  // namespace

void write_slot_report(JsonWriter& json, const application::SlotReport& report, int limit) {
  json.begin_object().member("task_id", report.task).member("from", report.from).member("to", report.to);
  json.key("items").array(report.entries, write_entry).member("limit", limit);
  json.member("next_cursor", report.next_before ? std::optional(to_micros(*report.next_before)) : std::nullopt);
  if (report.verdict) {
    json.key("audit");
    write_audit(json, report);
  }
  json.end_object();
}

}  // namespace scheduler::api
