// tests/fuzz/naive_cron.hpp — whether cron fields allow a local time, by the definition of each field and nothing
// clever: what the engine's bit arithmetic must agree with.
#pragma once

#include "domain/cron_fields.hpp"
#include "domain/time_zone.hpp"

#include <cstdlib>
#include <vector>

namespace scheduler::fuzz {

struct NaiveDate {
  std::chrono::year_month_day date;
  int day, length, weekday;

  explicit NaiveDate(std::chrono::local_days at)
      : date(at),
        day(static_cast<int>(unsigned{date.day()})),
        length(static_cast<int>(
            unsigned{std::chrono::year_month_day_last{date.year() / date.month() / std::chrono::last}.day()})),
        weekday(static_cast<int>(std::chrono::weekday{at}.c_encoding())) {}

  [[nodiscard]] bool is_workday(int d) const {
    const int it = ((weekday + d - day) % 7 + 7) % 7;
    return it >= 1 && it <= 5;
  }
  // The Monday–Friday of this month that is nearest to day n.
  [[nodiscard]] int workday_near(int n) const {
    int best = 0;
    for (int d = 1; d <= length; ++d)
      if (is_workday(d) && (best == 0 || std::abs(d - n) < std::abs(best - n))) best = d;
    return best;
  }
  [[nodiscard]] int last_workday() const {
    int d = length;
    while (!is_workday(d)) --d;
    return d;
  }
};

inline bool has(std::uint64_t bits, int n) { return (bits >> n & 1) != 0; }

inline bool allows_month_day(const domain::MonthDays& field, const NaiveDate& it) {
  if (has(field.plain, it.day) || has(field.from_last, it.length - it.day)) return true;
  for (int n = 1; n <= it.length; ++n)
    if (has(field.near_workday, n) && it.workday_near(n) == it.day) return true;
  return field.last_workday && it.last_workday() == it.day;
}

inline bool allows_weekday(const domain::Weekdays& field, const NaiveDate& it) {
  if (has(field.plain, it.weekday)) return true;
  if (has(field.nth[static_cast<std::size_t>((it.day - 1) / 7 + 1)], it.weekday)) return true;
  return has(field.last, it.weekday) && it.day + 7 > it.length;
}

inline bool allows_date(const domain::CronFields& fields, std::chrono::local_days at) {
  const NaiveDate it(at);
  const int year = static_cast<int>(it.date.year());
  if (year < domain::kYearMin || year > domain::kYearMax) return false;
  if (!fields.years[static_cast<std::size_t>(year - domain::kYearMin)]) return false;
  if (!has(fields.months, static_cast<int>(unsigned{it.date.month()}))) return false;
  const bool by_day = allows_month_day(fields.month_days, it), by_weekday = allows_weekday(fields.weekdays, it);
  return domain::either_day_field_is_enough(fields) ? by_day || by_weekday : by_day && by_weekday;
}

// Every local time in [from, until) that the fields allow, oldest first.
inline std::vector<domain::LocalTime> naive_matches(const domain::CronFields& fields, domain::LocalTime from,
                                                    domain::LocalTime until) {
  using namespace std::chrono;
  std::vector<domain::LocalTime> found;
  const seconds step{fields.seconds == 1 ? 60 : 1};
  for (auto at = fields.seconds == 1 ? ceil<minutes>(from) : from; at < until; at += step) {
    const auto day = floor<days>(at);
    const hh_mm_ss time{at - day};
    if (has(fields.seconds, static_cast<int>(time.seconds().count())) &&
        has(fields.minutes, static_cast<int>(time.minutes().count())) &&
        has(fields.hours, static_cast<int>(time.hours().count())) && allows_date(fields, day))
      found.push_back(at);
  }
  return found;
}

}  // namespace scheduler::fuzz
