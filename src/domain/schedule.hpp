// domain/schedule.hpp — when a task is due: schedule text, the slots it names, and its explanation in words.
//
// Always true:
//   - one pure function family answers every question about slots: engine, preview, command line, lint, tests;
//   - a slot is an instant with whole seconds, UTC, before any jitter; slots strictly increase;
//   - slots lie in the years 1970–2199, whatever the text asks for;
//   - equal inputs give equal answers: no clock, no host zone, no randomness.
//
// Text: cron with 5 fields, 6 (seconds first) or 7 (with year), @every <duration>, @hourly @daily @midnight @weekly
// @monthly @yearly @annually, @at <RFC 3339>. Grammar and DST rules: docs/how-to/schedules.md.
#pragma once

#include "core/time.hpp"
#include "domain/time_zone.hpp"
#include "errors/result.hpp"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::domain {

// A fixed-time schedule whose local time falls into the hour that a zone skips or repeats. Interval-like schedules (all
// 24 hours, or several fires an hour) follow elapsed time instead; schedule_slots.cpp has the exact rules.
enum class DstGap { next, shift, skip };  // first valid instant after the gap | as far after it as before | not at all
enum class DstOverlap { first, last, both };  // which pass of the repeated hour

struct ScheduleSpec {
  std::string text;
  const TimeZone* zone = nullptr;  // not null; outlives every Schedule made from it
  std::uint64_t hash_seed = 0;     // what `H` spreads by: a stable hash of the task's name
  TimePoint anchor{};              // where @every counts from: the task's creation, cut to seconds
  DstGap dst_gap = DstGap::next;
  DstOverlap dst_overlap = DstOverlap::first;
};

// A parsed schedule: cheap to copy, immutable.
class Schedule {
 public:
  struct Rule;
  explicit Schedule(std::shared_ptr<const Rule> rule) : rule_(std::move(rule)) {}
  [[nodiscard]] const Rule& rule() const { return *rule_; }

 private:
  std::shared_ptr<const Rule> rule_;
};

inline constexpr std::size_t kScheduleTextBytesMax = 1024;

// Error: InvalidSchedule; the message names the position (1-based character) and says in a plain sentence what is
// wrong and what would be right. Text that can never fire ("0 0 30 2 *") is an error too. Any text takes < 1 ms.
[[nodiscard]] SchedulerResult<Schedule> parse_schedule(const ScheduleSpec& spec);

// The first slot strictly after `after`; nothing when there is none any more (one-shot past, year field exhausted).
[[nodiscard]] std::optional<TimePoint> next_slot(const Schedule& schedule, TimePoint after);

// The last slot in (after, until]; nothing when there is none. Cost does not grow with the number of slots between.
[[nodiscard]] std::optional<TimePoint> last_slot(const Schedule& schedule, TimePoint after, TimePoint until);

// The slots in (after, until], oldest first, at most `limit` of them.
[[nodiscard]] std::vector<TimePoint> slots(const Schedule& schedule, TimePoint after, TimePoint until,
                                           std::size_t limit);

// One or two sentences: "At 02:00 every day (Europe/Berlin)."; says OR where both day fields are restricted.
[[nodiscard]] std::string explain(const Schedule& schedule);

// FNV-1a of the task name: the `hash_seed` of `H`, the same on every host and version.
[[nodiscard]] std::uint64_t schedule_hash_seed(std::string_view task_name);

}  // namespace scheduler::domain
