// application/slot_report.hpp — what became of the fire times of a task, and whether every one of them is accounted
// for.
#pragma once

#include "application/ports/store.hpp"
#include "domain/slot_audit.hpp"
#include "domain/time_zone.hpp"

#include <optional>
#include <vector>

namespace scheduler::application {

// An audit names every fire time of its window once; a longer window is a Validation error that says so.
inline constexpr std::size_t kAuditSlotsMax = 100'000;

// The window is (from, to].
struct SlotQuery {
  std::optional<TimePoint> from, to;  // default: the 24 hours up to `to`; now
  int limit = 20;                     // 1–100 records
  std::optional<TimePoint> before;    // only records before this instant (a page's next_before); without an audit
};

struct SlotEntry {
  domain::SlotRecord record;          // its ends are slots, and lie in the window
  std::optional<std::int64_t> slots;  // how many it stands for; nothing: more than kAuditSlotsMax
};

struct SlotReport {
  TaskId task;
  TimePoint from{}, to{};
  std::vector<SlotEntry> entries;        // newest first
  std::optional<TimePoint> next_before;  // set when there is more
  std::optional<domain::SlotVerdict> verdict;
  domain::SlotCounts counts;
  TimePoint covered_from{}, covered_to{};  // what verdict and counts are about: (covered_from, covered_to]
  std::int64_t undecided = 0;              // due, and not decided yet; counted up to kAuditSlotsMax
};

// TaskNotFound; Validation for a window that is empty or too long.
[[nodiscard]] Async<SlotReport> slot_report(Store& store, const domain::TimeZones& zones, TaskId id, SlotQuery query);

}  // namespace scheduler::application
