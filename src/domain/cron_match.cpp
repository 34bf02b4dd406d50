#include "domain/cron_match.hpp"

#include <algorithm>
#include <bit>

namespace scheduler::domain {
namespace {

using namespace std::chrono;

constexpr int kNone = -1;

constexpr std::uint32_t bit(int n) { return std::uint32_t{1} << n; }

// The lowest set bit at or above `from`, the highest at or below it; kNone when there is none.
int lowest_from(std::uint64_t set, int from) {
  if (from > 63) return kNone;
  const std::uint64_t rest = set & (~std::uint64_t{0} << from);
  return rest == 0 ? kNone : std::countr_zero(rest);
}

int highest_to(std::uint64_t set, int to) {
  if (to < 0) return kNone;
  const std::uint64_t rest = to >= 63 ? set : set & ((std::uint64_t{1} << (to + 1)) - 1);
  return rest == 0 ? kNone : 63 - std::countl_zero(rest);
}

int lowest(std::uint64_t set) { return std::countr_zero(set); }
int highest(std::uint64_t set) { return 63 - std::countl_zero(set); }

// --- time of day, in seconds since midnight ---

int time_of_day(int hour, int minute, int second) { return (hour * 60 + minute) * 60 + second; }

// The first time of day at or after `from` that matches.
int first_time(const CronFields& fields, int from) {
  const int h = from / 3600, m = from / 60 % 60;
  if ((fields.hours & bit(h)) != 0) {
    if ((fields.minutes >> m & 1) != 0)
      if (const int second = lowest_from(fields.seconds, from % 60); second != kNone) return time_of_day(h, m, second);
    if (const int minute = lowest_from(fields.minutes, m + 1); minute != kNone)
      return time_of_day(h, minute, lowest(fields.seconds));
  }
  const int hour = lowest_from(fields.hours, h + 1);
  return hour == kNone ? kNone : time_of_day(hour, lowest(fields.minutes), lowest(fields.seconds));
}

// The last time of day at or before `to` that matches.
int last_time(const CronFields& fields, int to) {
  const int h = to / 3600, m = to / 60 % 60;
  if ((fields.hours & bit(h)) != 0) {
    if ((fields.minutes >> m & 1) != 0)
      if (const int second = highest_to(fields.seconds, to % 60); second != kNone) return time_of_day(h, m, second);
    if (const int minute = highest_to(fields.minutes, m - 1); minute != kNone)
      return time_of_day(h, minute, highest(fields.seconds));
  }
  const int hour = highest_to(fields.hours, h - 1);
  return hour == kNone ? kNone : time_of_day(hour, highest(fields.minutes), highest(fields.seconds));
}

// --- days of a month ---

// Day 1 is `first_weekday` (0 is Sunday); the month has `length` days.
struct MonthShape {
  int length;
  int first_weekday;

  [[nodiscard]] int weekday_of(int day) const { return (first_weekday + day - 1) % 7; }
  [[nodiscard]] int first_day_on(int weekday) const { return 1 + (weekday - first_weekday + 7) % 7; }
  [[nodiscard]] std::uint32_t all_days() const { return static_cast<std::uint32_t>((std::uint64_t{2} << length) - 2); }
};

MonthShape shape_of(year_month month) {
  const year_month_day_last last{month.year(), month_day_last{month.month()}};
  const weekday first{sys_days{month / 1}};
  return {int(unsigned(last.day())), int(first.c_encoding())};
}

// The Monday–Friday nearest to `day` without leaving the month.
int nearest_workday(const MonthShape& month, int day) {
  switch (month.weekday_of(day)) {
    case 6:
      return day > 1 ? day - 1 : day + 2;
    case 0:
      return day < month.length ? day + 1 : day - 2;
    default:
      return day;
  }
}

std::uint32_t days_of_month(const MonthDays& field, const MonthShape& month) {
  std::uint32_t days = field.plain;
  for (auto rest = field.from_last; rest != 0; rest &= rest - 1)
    if (const int before = std::countr_zero(rest); before < month.length) days |= bit(month.length - before);
  for (auto rest = field.near_workday & month.all_days(); rest != 0; rest &= rest - 1)
    days |= bit(nearest_workday(month, std::countr_zero(rest)));
  if (field.last_workday) days |= bit(nearest_workday(month, month.length));
  return days & month.all_days();
}

std::uint32_t days_on_weekdays(const Weekdays& field, const MonthShape& month) {
  constexpr std::uint32_t kEverySeventh = 1U | 1U << 7 | 1U << 14 | 1U << 21 | 1U << 28;
  std::uint32_t days = 0;
  for (int weekday = 0; weekday < 7; ++weekday) {
    const int first = month.first_day_on(weekday);
    if ((field.plain >> weekday & 1) != 0) days |= kEverySeventh << first;
    for (int k = 1; k <= 5; ++k)
      if ((field.nth[k] >> weekday & 1) != 0 && first + 7 * (k - 1) <= month.length) days |= bit(first + 7 * (k - 1));
    if ((field.last >> weekday & 1) != 0) days |= bit(first + (month.length - first) / 7 * 7);
  }
  return days & month.all_days();
}

// --- years and months ---

bool allows_month(const CronFields& fields, year_month month) {
  const int y = int(month.year());
  return y >= kYearMin && y <= kYearMax && fields.years.test(y - kYearMin) &&
         (fields.months & bit(int(unsigned(month.month())))) != 0;
}

// The next allowed month after `month`, or one past kYearMax.
year_month month_after(const CronFields& fields, year_month month) {
  const int m = lowest_from(fields.months, int(unsigned(month.month())) + 1);
  const int y = int(month.year());
  if (m != kNone && y >= kYearMin && y <= kYearMax && fields.years.test(y - kYearMin)) return year{y} / m;
  for (int later = std::max(y + 1, kYearMin); later <= kYearMax; ++later)
    if (fields.years.test(later - kYearMin)) return year{later} / lowest(fields.months);
  return year{kYearMax + 1} / 1;
}

// The allowed month before `month`, or one before kYearMin.
year_month month_before(const CronFields& fields, year_month month) {
  const int m = highest_to(fields.months, int(unsigned(month.month())) - 1);
  const int y = int(month.year());
  if (m != kNone && y >= kYearMin && y <= kYearMax && fields.years.test(y - kYearMin)) return year{y} / m;
  for (int earlier = std::min(y - 1, kYearMax); earlier >= kYearMin; --earlier)
    if (fields.years.test(earlier - kYearMin)) return year{earlier} / highest(fields.months);
  return year{kYearMin - 1} / 12;
}

struct LocalParts {
  local_days midnight;
  year_month month;
  int day;
  int time;

  explicit LocalParts(LocalTime at) : midnight(floor<days>(at)), time(int((at - midnight).count())) {
    const year_month_day date{midnight};
    month = date.year() / date.month();
    day = int(unsigned(date.day()));
  }
};

LocalTime local_time(year_month month, int day, int time) {
  return local_days{month / std::chrono::day{unsigned(day)}} + Seconds{time};
}

}  // namespace

std::uint32_t matching_days(const CronFields& fields, year_month month) {
  const auto shape = shape_of(month);
  const auto by_day = days_of_month(fields.month_days, shape);
  const auto by_weekday = days_on_weekdays(fields.weekdays, shape);
  return either_day_field_is_enough(fields) ? by_day | by_weekday : by_day & by_weekday;
}

std::optional<LocalTime> first_match(const CronFields& fields, LocalTime from, LocalTime until) {
  if (from >= until) return std::nullopt;
  const LocalParts start{from};
  const auto found = [&](year_month month, int day, int time) -> std::optional<LocalTime> {
    const auto at = local_time(month, day, time);
    return at < until ? std::optional{at} : std::nullopt;
  };
  auto month = start.month;
  if (allows_month(fields, month)) {
    const auto days = matching_days(fields, month);
    if ((days & bit(start.day)) != 0)
      if (const int time = first_time(fields, start.time); time != kNone) return found(month, start.day, time);
    if (const int day = lowest_from(days, start.day + 1); day != kNone) return found(month, day, first_time(fields, 0));
  }
  const LocalParts end{until};
  for (month = month_after(fields, month); month <= end.month && int(month.year()) <= kYearMax;
       month = month_after(fields, month))
    if (const auto days = matching_days(fields, month); days != 0)
      return found(month, lowest(days), first_time(fields, 0));
  return std::nullopt;
}

std::optional<LocalTime> last_match(const CronFields& fields, LocalTime from, LocalTime until) {
  if (from >= until) return std::nullopt;
  constexpr int kDayEnd = 24 * 3600 - 1;
  const LocalParts start{until - Seconds{1}};
  const auto found = [&](year_month month, int day, int time) -> std::optional<LocalTime> {
    const auto at = local_time(month, day, time);
    return at >= from ? std::optional{at} : std::nullopt;
  };
  auto month = start.month;
  if (allows_month(fields, month)) {
    const auto days = matching_days(fields, month);
    if ((days & bit(start.day)) != 0)
      if (const int time = last_time(fields, start.time); time != kNone) return found(month, start.day, time);
    if (const int day = highest_to(days, start.day - 1); day != kNone)
      return found(month, day, last_time(fields, kDayEnd));
  }
  const LocalParts end{from};
  for (month = month_before(fields, month); month >= end.month && int(month.year()) >= kYearMin;
       month = month_before(fields, month))
    if (const auto days = matching_days(fields, month); days != 0)
      return found(month, highest(days), last_time(fields, kDayEnd));
  return std::nullopt;
}

}  // namespace scheduler::domain
