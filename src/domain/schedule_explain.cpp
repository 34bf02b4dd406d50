// A schedule in words. The sentence is made from the value sets, not from the text, so that it says what will happen
// also where the text is odd ("*/7", "0,1-3,2", "H").
#include "domain/schedule_rule.hpp"

#include <fmt/format.h>

#include <bit>
#include <string>
#include <vector>

namespace scheduler::domain {
namespace {

using namespace std::chrono;
using Words = std::vector<std::string>;
using Values = std::vector<int>;

constexpr std::string_view kWeekdays[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
constexpr std::string_view kMonths[] = {"",     "January", "February",  "March",   "April",    "May",     "June",
                                        "July", "August",  "September", "October", "November", "December"};
constexpr std::string_view kOrdinals[] = {"", "first", "second", "third", "fourth", "fifth"};

// --- sets of numbers in words ---

Values values_of(std::uint64_t set) {
  Values values;
  for (; set != 0; set &= set - 1) values.push_back(std::countr_zero(set));
  return values;
}

// "a", "a and b", "a, b and c"
std::string joined(const Words& words, std::string_view conjunction = "and") {
  std::string text;
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (i > 0) text += i + 1 < words.size() ? ", " : fmt::format(" {} ", conjunction);
    text += words[i];
  }
  return text;
}

// The common distance of at least three values; 0 when there is none.
int step_of(const Values& values) {
  if (values.size() < 3) return 0;
  const int step = values[1] - values[0];
  for (std::size_t i = 2; i < values.size(); ++i)
    if (values[i] - values[i - 1] != step) return 0;
  return step;
}

// Turns values that follow each other across the end of the cycle (22, 23, 0, 1) so that they begin where the run does.
Values unwrapped(const Values& values, int cycle) {
  const auto n = values.size();
  for (std::size_t i = 1; i < n; ++i) {
    if (values[i] == values[i - 1] + 1) continue;
    Values turned(values.begin() + static_cast<std::ptrdiff_t>(i), values.end());
    turned.insert(turned.end(), values.begin(), values.begin() + static_cast<std::ptrdiff_t>(i));
    for (std::size_t k = 1; k < n; ++k)
      if (turned[k] != (turned[k - 1] + 1) % cycle) return values;
    return turned;
  }
  return values;
}

bool is_run(const Values& values, int cycle) {
  const auto turned = unwrapped(values, cycle);
  for (std::size_t k = 1; k < turned.size(); ++k)
    if (turned[k] != (turned[k - 1] + 1) % cycle) return false;
  return true;
}

// "1, 15 and 20 to 25"; long even series as "1, 3, 5, …, 31".
template <class Name>
std::string listed(const Values& values, Name name) {
  if (values.size() > 5 && step_of(values) > 1)
    return fmt::format("{}, {}, {}, …, {}", name(values[0]), name(values[1]), name(values[2]), name(values.back()));
  Words words;
  for (std::size_t i = 0; i < values.size();) {
    std::size_t end = i + 1;
    while (end < values.size() && values[end] == values[end - 1] + 1) ++end;
    if (end - i >= 3)
      words.push_back(fmt::format("{} to {}", name(values[i]), name(values[end - 1])));
    else
      for (auto k = i; k < end; ++k) words.push_back(fmt::format("{}", name(values[k])));
    i = end;
  }
  return joined(words);
}

std::string numbers(const Values& values) {
  return listed(values, [](int n) { return n; });
}

// "minute 5", "minutes 0 and 30"
std::string counted(std::string_view noun, const Values& values) {
  return fmt::format("{}{} {}", noun, values.size() == 1 ? "" : "s", numbers(values));
}

// "3 hours", "1 hour"
std::string quantity(std::int64_t n, std::string_view noun) {
  return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s");
}

// --- the time of day ---

std::string clock(int hour, int minute, int second, bool with_seconds) {
  return with_seconds ? fmt::format("{:02}:{:02}:{:02}", hour, minute, second)
                      : fmt::format("{:02}:{:02}", hour, minute);
}

struct TimeSets {
  Values hours, minutes, seconds;

  explicit TimeSets(const CronFields& fields)
      : hours(values_of(fields.hours)), minutes(values_of(fields.minutes)), seconds(values_of(fields.seconds)) {}

  [[nodiscard]] bool on_the_minute() const { return seconds == Values{0}; }
  [[nodiscard]] bool once_an_hour() const { return minutes.size() == 1 && seconds.size() == 1; }
  [[nodiscard]] bool all_hours() const { return hours.size() == 24; }
  [[nodiscard]] std::size_t fires_a_day() const { return hours.size() * minutes.size() * seconds.size(); }
  [[nodiscard]] std::string at_hour(int hour) const { return clock(hour, minutes[0], seconds[0], !on_the_minute()); }
};

// "At 02:00", "At 09:00, 09:30 and 10:00"
std::string clock_times(const TimeSets& sets) {
  Words times;
  for (const int h : sets.hours)
    for (const int m : sets.minutes)
      for (const int s : sets.seconds) times.push_back(clock(h, m, s, !sets.on_the_minute()));
  return "At " + joined(times);
}

// One fire in each of many hours: "Every 2 hours, from 00:30 to 22:30"
std::string hourly(const TimeSets& sets) {
  const auto hours = unwrapped(sets.hours, 24);
  const auto from_to = fmt::format(", from {} to {}", sets.at_hour(hours.front()), sets.at_hour(hours.back()));
  if (is_run(hours, 24)) return "Every hour" + from_to;
  if (const int step = step_of(hours); step > 1) return fmt::format("Every {} hours{}", step, from_to);
  return fmt::format("At {}", listed(hours, [&](int h) { return sets.at_hour(h); }));
}

// "Every 15 minutes", "Every minute", "Every 15 minutes from minute 5"; empty when the values are no even circle.
std::string evenly(const Values& values, std::string_view noun) {
  if (values.size() == 60) return fmt::format("Every {}", noun);
  if (values.size() < 2) return {};
  const int step = values[1] - values[0];
  const bool closes = step > 1 && step * static_cast<int>(values.size()) == 60;
  if (!closes || (values.size() > 2 && step_of(values) != step)) return {};
  if (values.size() == 2 && values[0] != 0) return {};  // "minutes 7 and 37" reads better
  const auto every = fmt::format("Every {} {}s", step, noun);
  return values[0] == 0 ? every : fmt::format("{} from {} {}", every, noun, values[0]);
}

std::string minute_words(const TimeSets& sets) {
  if (sets.minutes == Values{0} && sets.all_hours()) return "Every hour";
  if (auto even = evenly(sets.minutes, "minute"); !even.empty()) return even;
  return fmt::format("At {} of every hour", counted("minute", sets.minutes));
}

std::string second_words(const TimeSets& sets) {
  const auto even = evenly(sets.seconds, "second");
  if (sets.minutes.size() == 60)
    return even.empty() ? fmt::format("At {} of every minute", counted("second", sets.seconds)) : even;
  return fmt::format("{} of {} of every hour", even.empty() ? "At " + counted("second", sets.seconds) : even,
                     counted("minute", sets.minutes));
}

// ", between 09:00 and 17:59"
std::string hour_words(const TimeSets& sets) {
  if (sets.all_hours()) return {};
  const auto hours = unwrapped(sets.hours, 24);
  if (is_run(hours, 24)) return fmt::format(", between {:02}:00 and {:02}:59", hours.front(), hours.back());
  return fmt::format(", in the {}", counted("hour", hours));
}

// --- the day ---

Words weekday_names(std::uint8_t set) {
  Words names;
  for (int i = 1; i <= 7; ++i)
    if ((set >> i % 7 & 1) != 0) names.emplace_back(kWeekdays[i % 7]);
  return names;
}

// "Monday to Friday" where at least three weekdays follow each other and there are no others; else empty.
std::string weekday_run(std::uint8_t set) {
  const auto days = unwrapped(values_of(set), 7);
  if (days.size() < 3 || !is_run(days, 7)) return {};
  return fmt::format("{} to {}", kWeekdays[days.front()], kWeekdays[days.back()]);
}

Words special_weekdays(const Weekdays& field) {
  Words words;
  for (int k = 1; k <= 5; ++k)
    for (const auto& name : weekday_names(field.nth[k]))
      words.push_back(fmt::format("the {} {} of the month", kOrdinals[k], name));
  for (const auto& name : weekday_names(field.last)) words.push_back(fmt::format("the last {} of the month", name));
  return words;
}

// "on Monday and the last Friday of the month"
std::string on_weekdays(const Weekdays& field) {
  auto words = weekday_names(field.plain);
  if (const auto run = weekday_run(field.plain); !run.empty()) words = {"any day from " + run};
  const auto special = special_weekdays(field);
  words.insert(words.end(), special.begin(), special.end());
  return "on " + joined(words);
}

// ", if it is a Monday or a Friday"
std::string if_weekday(const Weekdays& field) {
  Words words;
  for (const auto& name : weekday_names(field.plain)) words.push_back("a " + name);
  if (const auto run = weekday_run(field.plain); !run.empty()) words = {"a day from " + run};
  const auto special = special_weekdays(field);
  words.insert(words.end(), special.begin(), special.end());
  return ", if it is " + joined(words, "or");
}

// "on days 1 and 15 of the month"
std::string on_month_days(const MonthDays& field) {
  Words words;
  if (field.plain != 0) words.push_back(counted("day", values_of(field.plain)));
  for (const int n : values_of(field.near_workday))
    words.push_back(fmt::format("the working day (Monday to Friday) nearest to day {}", n));
  for (const int n : values_of(field.from_last))
    words.push_back(n == 0 ? "the last day" : fmt::format("the day {} before the last day", quantity(n, "day")));
  if (field.last_workday) words.emplace_back("the last working day (Monday to Friday)");
  return fmt::format("on {} of the month", joined(words));
}

// What follows the time: " every day", " on Friday", ", Monday to Friday", …
std::string day_words(const CronFields& fields, bool clock_style) {
  const bool any_month_day = fields.month_days.plain == kAllMonthDays;
  const bool any_weekday = fields.weekdays.plain == kAllWeekdays;
  const bool either = either_day_field_is_enough(fields);
  const std::string glue = clock_style ? " " : ", ";
  if (either ? any_month_day || any_weekday : any_month_day && any_weekday) return clock_style ? " every day" : "";
  if (either)
    return fmt::format("{}{} OR {} (either one is enough)", glue, on_month_days(fields.month_days),
                       on_weekdays(fields.weekdays));
  if (any_weekday) return glue + on_month_days(fields.month_days);
  if (!any_month_day) return glue + on_month_days(fields.month_days) + if_weekday(fields.weekdays);
  const auto run = weekday_run(fields.weekdays.plain);
  return run.empty() || !special_weekdays(fields.weekdays).empty() ? glue + on_weekdays(fields.weekdays) : ", " + run;
}

std::string month_words(const CronFields& fields) {
  if (fields.months == kAllMonths) return {};
  auto months = values_of(fields.months);
  for (auto& m : months) --m;  // a cycle counts from 0
  months = unwrapped(months, 12);
  const auto name = [](int m) { return kMonths[m + 1]; };
  if (months.size() >= 3 && is_run(months, 12))
    return fmt::format(", from {} to {}", name(months.front()), name(months.back()));
  return ", in " + listed(months, name);
}

std::string year_words(const CronFields& fields) {
  if (fields.years.all()) return {};
  Values years;
  for (int y = kYearMin; y <= kYearMax; ++y)
    if (fields.years.test(y - kYearMin)) years.push_back(y);
  if (years.size() >= 3 && step_of(years) == 1) {
    if (years.back() == kYearMax) return fmt::format(", from {} on", years.front());
    return fmt::format(", from {} to {}", years.front(), years.back());
  }
  return ", in " + numbers(years);
}

// --- one sentence per kind of rule ---

constexpr std::size_t kClockTimesMax = 6;  // more read better as a rule

std::string sentence(const Schedule::Rule& rule, const CronFields& fields) {
  const TimeSets sets(fields);
  const bool clock_style = !sets.all_hours() && sets.fires_a_day() <= kClockTimesMax;
  std::string time;
  if (clock_style)
    time = clock_times(sets);
  else if (!sets.all_hours() && sets.once_an_hour())
    time = hourly(sets);
  else
    time = (sets.on_the_minute() ? minute_words(sets) : second_words(sets)) + hour_words(sets);
  return fmt::format("{}{}{}{} ({}).", time, day_words(fields, clock_style), month_words(fields), year_words(fields),
                     rule.zone->name());
}

std::string interval_words(Seconds interval) {
  if (interval <= Seconds{120} && interval % minutes{1} != Seconds{0}) return quantity(interval.count(), "second");
  Words parts;
  const auto take = [&](Seconds unit, std::string_view noun) {
    if (interval >= unit) parts.push_back(quantity(interval / unit, noun));
    interval %= unit;
  };
  take(days{1}, "day");
  take(hours{1}, "hour");
  take(minutes{1}, "minute");
  take(Seconds{1}, "second");
  return joined(parts);
}

std::string sentence(const Schedule::Rule&, const EveryRule& rule) {
  auto words = interval_words(rule.interval);
  for (const std::string_view one : {"1 second", "1 minute", "1 hour", "1 day"})
    if (words == one) words = one.substr(2);
  return fmt::format("Every {}, counted from the task's creation.", words);
}

std::string sentence(const Schedule::Rule&, const AtRule& rule) {
  return fmt::format("Once, at {}.", format_rfc3339(rule.at));
}

}  // namespace

std::string explain(const Schedule& schedule) {
  const auto& rule = schedule.rule();
  return std::visit([&](const auto& when) { return sentence(rule, when); }, rule.when);
}

}  // namespace scheduler::domain
