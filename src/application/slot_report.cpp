#include "application/slot_report.hpp"

#include "application/task_schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>

namespace scheduler::application {
namespace {

using domain::Schedule;
using domain::SlotRecord;

// So many slots are looked up by one call: enough to make the call worth it, few enough that nobody waits for it.
constexpr std::size_t kStretch = 5000;

struct Window {
  TimePoint after{}, until{};
};

SchedulerResult<Window> window_of(const SlotQuery& query, TimePoint now) {
  const auto to = query.to.value_or(now);
  const auto from = query.from.value_or(to - std::chrono::hours(24));
  if (from < to) return Window{from, to};
  const auto what = fmt::format("must be before the end of the window, {}", format_rfc3339(to));
  return fail(ErrorKind::Validation, "from " + what, {{"from", what}});
}

// Up to `limit` slots of the window, the last ones, ascending.
std::vector<TimePoint> last_slots(const Schedule& schedule, Window window, std::size_t limit) {
  std::vector<TimePoint> found;
  auto until = window.until;
  while (found.size() < limit) {
    const auto slot = domain::last_slot(schedule, window.after, until);
    if (!slot) break;
    found.push_back(*slot);
    until = *slot - Micros{1};
  }
  std::ranges::reverse(found);
  return found;
}

// The part of a record that lies in the window, from slot to slot.
SlotEntry entry_of(const Schedule& schedule, Window window, SlotRecord record) {
  if (record.fired) return {record, 1};
  const auto after = std::max(window.after, record.first - Micros{1});
  record.last = std::min(record.last, window.until);
  record.first = domain::next_slot(schedule, after).value_or(record.last);
  record.last = domain::last_slot(schedule, after, record.last).value_or(record.last);
  const auto slots = domain::slots(schedule, after, record.last, kAuditSlotsMax + 1).size();
  return {record, slots <= kAuditSlotsMax ? std::optional(static_cast<std::int64_t>(slots)) : std::nullopt};
}

// Walks back from the end of the window, over skipped ranges in one step.
Async<void> add_entries(SlotReport& report, SlotRepository& ledger, TaskId task, const Schedule& schedule,
                        Window window, std::size_t limit) {
  std::size_t seen = 0;
  const auto whole = window;
  for (;;) {
    auto slots = last_slots(schedule, window, limit + 1);
    if (slots.empty()) co_return SchedulerResult<void>{};
    auto edge = slots.front();
    seen += slots.size();
    CO_TRY(auto records, ledger.recorded(task, std::move(slots)));
    std::ranges::sort(records, std::ranges::greater{}, [](const auto& it) { return std::pair(it.last, it.first); });
    for (const auto& record : records) {
      if (report.entries.size() == limit) {
        report.next_before = report.entries.back().record.first;
        co_return SchedulerResult<void>{};
      }
      report.entries.push_back(entry_of(schedule, whole, record));
      edge = std::min(edge, record.first);
    }
    window.until = edge - Micros{1};
    if (seen > kAuditSlotsMax) {  // a gap of that size: the page ends early
      report.next_before = edge;
      co_return SchedulerResult<void>{};
    }
  }
}

Async<domain::SlotCounts> audit(SlotRepository& ledger, TaskId task, const Schedule& schedule, Window window) {
  domain::SlotAudit audit;
  for (std::size_t seen = 0;;) {
    auto slots = domain::slots(schedule, window.after, window.until, kStretch);
    if (slots.empty()) co_return audit.counts();
    seen += slots.size();
    if (seen > kAuditSlotsMax) {
      const auto what = fmt::format("names a window of more than {} fire times; ask for a shorter one", kAuditSlotsMax);
      co_return fail(ErrorKind::Validation, "from " + what, {{"from", what}});
    }
    CO_TRY(const auto records, ledger.recorded(task, slots));
    audit.add(slots, records);
    window.after = slots.back();
  }
}

}  // namespace

Async<SlotReport> slot_report(Store& store, const domain::TimeZones& zones, TaskId id, SlotQuery query) {
  CO_TRY(auto task, store.tasks().get(id));
  CO_TRY(const auto now, store.now());
  CO_UNWRAP(const auto asked, window_of(query, now));
  SlotReport report{.task = id, .from = asked.after, .to = asked.until};
  const auto decided = task.watermark.value_or(asked.after);
  const Window covered{std::max(asked.after, domain::schedule_known_since(task)), std::min(asked.until, decided)};
  report.covered_from = covered.after;
  report.covered_to = std::max(covered.after, covered.until);

  domain::AuditView view{.now = now, .from = asked.after, .to = asked.until};
  if (task.spec.schedule) {
    view.set_aside = set_aside(task, zones);
    if (const auto schedule = schedule_of(task.spec, task.created_at, zones)) {
      const auto until = query.before ? std::min(covered.until, *query.before - Micros{1}) : covered.until;
      CO_CHECK(add_entries(report, store.slots(), id, *schedule, {covered.after, until},
                           static_cast<std::size_t>(std::clamp(query.limit, 1, 100))));
      if (!query.before) {
        CO_TRY(report.counts, audit(store.slots(), id, *schedule, covered));
        const Window open{std::max(covered.after, decided), std::min(asked.until, now)};
        report.undecided =
            static_cast<std::int64_t>(domain::slots(*schedule, open.after, open.until, kAuditSlotsMax).size());
      }
    } else {
      view.readable = false;
    }
  }
  if (query.before) co_return report;
  view.covered_from = report.covered_from;
  view.covered_to = report.covered_to;
  view.counts = report.counts;
  view.undecided = report.undecided;
  view.task = std::move(task);
  report.verdict = domain::verdict(view);
  co_return report;
}

}  // namespace scheduler::application
