// domain/schedule_rule.hpp — what a schedule is once its text is understood. Only the schedule_*.cpp files look inside.
#pragma once

#include "domain/cron_fields.hpp"
#include "domain/schedule.hpp"

#include <variant>

namespace scheduler::domain {

// Slots at anchor + k × interval, k >= 1: elapsed time, whatever the clocks on the wall do.
struct EveryRule {
  Seconds interval;  // 1 s – kIntervalMax
  SysSeconds anchor;
};

// One slot.
struct AtRule {
  SysSeconds at;
};

struct Schedule::Rule {
  const TimeZone* zone;
  DstGap dst_gap;
  DstOverlap dst_overlap;
  std::variant<CronFields, EveryRule, AtRule> when;
};

inline constexpr Seconds kIntervalMax = std::chrono::days{3660};

// Slots exist only in these years.
inline constexpr SysSeconds kSlotsBegin = std::chrono::sys_days{std::chrono::year{kYearMin} / 1 / 1};
inline constexpr SysSeconds kSlotsEnd = std::chrono::sys_days{std::chrono::year{kYearMax + 1} / 1 / 1};

}  // namespace scheduler::domain
