// domain/cron_fields.hpp — cron text as sets of values: what each field allows, ready for bit arithmetic.
//
// Always true:
//   - a set bit n means "value n"; every field allows at least one value;
//   - text with 5 fields means second 0 and every year; with 6, every year;
//   - nothing here knows instants or zones: cron speaks local time only (domain/cron_match.hpp).
#pragma once

#include "errors/result.hpp"

#include <array>
#include <bitset>
#include <cstdint>
#include <string>
#include <string_view>

namespace scheduler::domain {

inline constexpr int kYearMin = 1970;
inline constexpr int kYearMax = 2199;
using YearSet = std::bitset<kYearMax - kYearMin + 1>;  // bit 0 is kYearMin

struct MonthDays {
  std::uint32_t plain = 0;         // bits 1–31
  std::uint32_t from_last = 0;     // bit n: n days before the month's last day (L is bit 0)
  std::uint32_t near_workday = 0;  // bit n: the Monday–Friday nearest to day n, in the same month (nW)
  bool last_workday = false;       // LW
  bool starred = false;            // the field begins with * or ?: it does not count as a restriction
  bool operator==(const MonthDays&) const = default;
};

// Weekdays are bits 0 (Sunday) – 6 (Saturday).
struct Weekdays {
  std::uint8_t plain = 0;
  std::array<std::uint8_t, 6> nth{};  // nth[k]: the k-th such weekday of the month, k 1–5
  std::uint8_t last = 0;              // the last such weekday of the month
  bool starred = false;
  bool operator==(const Weekdays&) const = default;
};

struct CronFields {
  std::uint64_t seconds = 0;  // bits 0–59
  std::uint64_t minutes = 0;  // bits 0–59
  std::uint32_t hours = 0;    // bits 0–23
  std::uint32_t months = 0;   // bits 1–12
  MonthDays month_days;
  Weekdays weekdays;
  YearSet years;
  bool operator==(const CronFields&) const = default;
};

inline constexpr std::uint64_t kSixtyBits = (std::uint64_t{1} << 60) - 1;
inline constexpr std::uint32_t kAllHours = (1U << 24) - 1;
inline constexpr std::uint32_t kAllMonths = (1U << 13) - 2;
inline constexpr std::uint32_t kAllMonthDays = 0xFFFFFFFEU;
inline constexpr std::uint8_t kAllWeekdays = 0x7F;

// Vixie cron's rule: where both day fields restrict, either one is enough; otherwise both must agree.
[[nodiscard]] constexpr bool either_day_field_is_enough(const CronFields& fields) {
  return !fields.month_days.starred && !fields.weekdays.starred;
}

// Error: InvalidSchedule, as parse_schedule() promises it. `text` holds only printable ASCII and tabs.
[[nodiscard]] SchedulerResult<CronFields> parse_cron(std::string_view text, std::uint64_t hash_seed);

// The one form of every complaint about schedule text; `position` counts from 1.
[[nodiscard]] std::unexpected<SchedulerError> schedule_fault(std::size_t position, std::string_view sentence);

}  // namespace scheduler::domain
