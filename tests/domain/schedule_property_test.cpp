// Random cron lines against a reference that knows nothing of the engine: it holds the values in plain sets, asks every
// second or minute of a window whether it matches, and maps each local time by TimeZone::meaning_of().
#include "domain/cron_match.hpp"
#include "domain/schedule_support.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

using namespace scheduler;
using namespace scheduler::domain;
using namespace std::chrono;

namespace {

class Dice {
 public:
  explicit Dice(std::uint32_t seed) : engine_(seed) {}
  int between(int a, int b) { return a + static_cast<int>(engine_() % static_cast<std::uint32_t>(b - a + 1)); }
  bool one_in(int n) { return between(1, n) == 1; }

 private:
  std::mt19937 engine_;
};

// A field as a set, and one of the ways to write it.
struct Field {
  std::set<int> values;
  std::string text;
};

Field any(int min, int max) {
  Field field{{}, "*"};
  for (int v = min; v <= max; ++v) field.values.insert(v);
  return field;
}

Field single(Dice& dice, int min, int max) {
  const int v = dice.between(min, max);
  return {{v}, std::to_string(v)};
}

Field some(Dice& dice, int min, int max) {
  Field field;
  for (int n = dice.between(2, 3); n > 0; --n) {
    const int v = dice.between(min, max);
    field.values.insert(v);
    field.text += (field.text.empty() ? "" : ",") + std::to_string(v);
  }
  return field;
}

Field stepped(Dice& dice, int min, int max) {
  Field field;
  const int step = dice.between(2, std::max(2, (max - min) / 2));
  for (int v = min; v <= max; v += step) field.values.insert(v);
  field.text = fmt::format("*/{}", step);
  return field;
}

Field range(Dice& dice, int min, int max) {
  const int a = dice.between(min, max), b = dice.between(min, max);
  Field field{{}, fmt::format("{}-{}", a, b)};
  for (int v = a;; v = v == max ? min : v + 1) {
    field.values.insert(v);
    if (v == b) return field;
  }
}

Field random_field(Dice& dice, int min, int max) {
  switch (dice.between(0, 5)) {
    case 0:
      return single(dice, min, max);
    case 1:
      return some(dice, min, max);
    case 2:
      return stepped(dice, min, max);
    case 3:
      return range(dice, min, max);
    default:
      return any(min, max);
  }
}

struct RandomCron {
  Field second{{0}, ""}, minute, hour, day, month, weekday;

  [[nodiscard]] std::string text() const {
    return fmt::format("{} {} {} {} {} {}", second.text, minute.text, hour.text, day.text, month.text, weekday.text);
  }

  [[nodiscard]] bool matches(LocalTime local) const {
    const auto date_part = floor<days>(local);
    const year_month_day date{date_part};
    const hh_mm_ss time{local - date_part};
    return time_matches(time) && month.values.contains(int(unsigned(date.month()))) && day_matches(date, date_part);
  }

  [[nodiscard]] bool all_hours() const { return hour.values.size() == 24; }
  [[nodiscard]] bool several_an_hour() const { return minute.values.size() * second.values.size() > 1; }

 private:
  [[nodiscard]] bool time_matches(const hh_mm_ss<seconds>& time) const {
    return second.values.contains(int(time.seconds().count())) && minute.values.contains(int(time.minutes().count())) &&
           hour.values.contains(int(time.hours().count()));
  }
  [[nodiscard]] bool day_matches(year_month_day date, local_days date_part) const {
    const bool by_day = day.values.contains(int(unsigned(date.day())));
    const bool by_weekday = weekday.values.contains(int(std::chrono::weekday{date_part}.c_encoding()));
    const bool both_must = day.text.starts_with('*') || weekday.text.starts_with('*');
    return both_must ? by_day && by_weekday : by_day || by_weekday;
  }
};

RandomCron random_cron(Dice& dice, bool with_seconds) {
  RandomCron cron;
  cron.second = with_seconds ? random_field(dice, 0, 59) : Field{{0}, "0"};
  cron.minute = random_field(dice, 0, 59);
  // Small hours are where zones change, so most lines look there.
  cron.hour = dice.one_in(3) ? random_field(dice, 0, 23) : dice.one_in(2) ? single(dice, 0, 3) : range(dice, 0, 23);
  cron.day = dice.one_in(2) ? any(1, 31) : random_field(dice, 1, 31);
  cron.month = dice.one_in(4) ? random_field(dice, 1, 12) : any(1, 12);
  cron.weekday = dice.one_in(2) ? any(0, 6) : random_field(dice, 0, 6);
  return cron;
}

// --- the reference ---

using Instants = std::set<SysSeconds>;

void add_gap(Instants& found, DstGap policy, const LocalMeaning& meaning) {
  if (policy == DstGap::next) found.insert(meaning.transition);
  if (policy == DstGap::shift) found.insert(meaning.second);
}

void add_overlap(Instants& found, DstOverlap policy, const LocalMeaning& meaning) {
  if (policy != DstOverlap::last) found.insert(meaning.first);
  if (policy != DstOverlap::first) found.insert(meaning.second);
}

bool date_has_another_fire(const RandomCron& cron, const TimeZone& zone, LocalTime lost, Seconds step) {
  const LocalTime midnight = floor<days>(lost);
  for (auto local = midnight; local < midnight + days{1}; local += step)
    if (cron.matches(local) && zone.meaning_of(local).kind != LocalMeaning::Kind::gap) return true;
  return false;
}

// The slots in [from, to), found by looking at each local time of the window and its surroundings.
std::vector<TimePoint> reference(const RandomCron& cron, const ScheduleSpec& spec, SysSeconds from, SysSeconds to,
                                 Seconds step) {
  Instants found;
  std::map<local_days, bool> other_fires;  // the scan of a whole date is slow, so each date is scanned once
  const auto date_lives_on = [&](LocalTime lost) {
    const auto [entry, is_new] = other_fires.try_emplace(floor<days>(lost));
    if (is_new) entry->second = date_has_another_fire(cron, *spec.zone, lost, step);
    return entry->second;
  };
  const bool even = cron.all_hours() || cron.several_an_hour();
  for (auto t = from - hours{28}; t < to + hours{28}; t += step) {
    const LocalTime local{t.time_since_epoch()};
    if (!cron.matches(local)) continue;
    const auto meaning = spec.zone->meaning_of(local);
    switch (meaning.kind) {
      case LocalMeaning::Kind::unique:
        found.insert(meaning.first);
        break;
      case LocalMeaning::Kind::overlap:
        add_overlap(found, even ? DstOverlap::both : spec.dst_overlap, meaning);
        break;
      case LocalMeaning::Kind::gap:
        if (cron.all_hours()) break;
        if (even && date_lives_on(local)) break;
        add_gap(found, spec.dst_gap, meaning);
    }
  }
  return {found.lower_bound(from), found.lower_bound(to)};
}

struct Window {
  std::string_view zone, change;  // an instant near a change of the offset
};
constexpr Window kWindows[] = {
    {"Europe/Berlin", "2026-03-29T01:00:00Z"},       {"Europe/Berlin", "2026-10-25T01:00:00Z"},
    {"America/New_York", "2026-03-08T07:00:00Z"},    {"America/New_York", "2026-11-01T06:00:00Z"},
    {"Australia/Lord_Howe", "2026-10-03T15:30:00Z"}, {"Australia/Lord_Howe", "2026-04-04T15:00:00Z"},
    {"Pacific/Apia", "2011-12-30T10:00:00Z"},        {"America/Sao_Paulo", "2018-11-04T03:00:00Z"},
    {"America/Sao_Paulo", "2018-02-18T02:00:00Z"},   {"America/Scoresbysund", "2024-03-31T01:00:00Z"},
    {"Africa/Casablanca", "2025-02-23T02:00:00Z"},   {"Asia/Kolkata", "2024-02-29T00:00:00Z"},
    {"Europe/Berlin", "2051-03-26T01:00:00Z"},       {"America/Caracas", "2016-05-01T07:00:00Z"},
    {"Asia/Pyongyang", "2018-05-04T15:00:00Z"},      {"Pacific/Kwajalein", "1993-08-21T12:00:00Z"},
};

ScheduleSpec random_spec(Dice& dice, const RandomCron& cron, std::string_view zone_name) {
  auto result = spec(cron.text(), zone_name);
  result.dst_gap = static_cast<DstGap>(dice.between(0, 2));
  result.dst_overlap = static_cast<DstOverlap>(dice.between(0, 2));
  return result;
}

// Random days of month can make a line that never fires; the engine refuses it, which is right.
std::optional<Schedule> parsed_or_impossible(const ScheduleSpec& random) {
  const auto schedule = parse_schedule(random);
  if (schedule) return *schedule;
  EXPECT_NE(schedule.error().message.find("never fire"), std::string::npos) << schedule.error().message;
  return std::nullopt;
}

std::string trace(const ScheduleSpec& random, std::string_view around) {
  return fmt::format("'{}' in {} around {}, gap {}, overlap {}", random.text, random.zone->name(), around,
                     int(random.dst_gap), int(random.dst_overlap));
}

void expect_like_reference(Dice& dice, const Window& window, bool with_seconds) {
  const auto cron = random_cron(dice, with_seconds);
  const auto random = random_spec(dice, cron, window.zone);
  SCOPED_TRACE(trace(random, window.change));
  const auto schedule = parsed_or_impossible(random);
  if (!schedule) return;
  const auto change = floor<seconds>(at(window.change));
  const Seconds reach = with_seconds ? hours{3} : hours{30};
  const auto expected = reference(cron, random, change - reach, change + reach, with_seconds ? seconds{1} : minutes{1});
  const auto found = slots(*schedule, change - reach - seconds{1}, change + reach - seconds{1}, 1'000'000);
  ASSERT_EQ(brief(found), brief(expected));
}

}  // namespace

TEST(Slots, RandomMinuteLinesAroundZoneChanges_AreThoseOfTheBruteForceScan) {
  for (std::uint32_t seed = 0; seed < 120; ++seed) {
    Dice dice(seed);
    for (const auto& window : kWindows) expect_like_reference(dice, window, false);
    if (HasFatalFailure()) return;
  }
}

TEST(Slots, RandomSecondLinesAroundZoneChanges_AreThoseOfTheBruteForceScan) {
  for (std::uint32_t seed = 1000; seed < 1012; ++seed) {
    Dice dice(seed);
    for (const auto& window : kWindows) expect_like_reference(dice, window, true);
    if (HasFatalFailure()) return;
  }
}

TEST(Slots, AnyRandomLine_StrictlyIncreaseAndSplitAnywhere) {
  for (std::uint32_t seed = 0; seed < 40; ++seed) {
    Dice dice(seed);
    for (const auto& window : kWindows) {
      const auto random = random_spec(dice, random_cron(dice, dice.one_in(4)), window.zone);
      SCOPED_TRACE(trace(random, window.change));
      const auto schedule = parsed_or_impossible(random);
      if (!schedule) continue;
      const auto begin = at(window.change) - hours{dice.between(0, 40)};
      const auto all = slots(*schedule, begin, begin + days{30}, 400);
      const auto end = all.empty() ? begin + days{30} : all.back();
      EXPECT_EQ(std::ranges::adjacent_find(all, std::greater_equal<>{}), all.end());
      const auto cut = begin + (end - begin) / 97 * dice.between(0, 97);
      auto parts = slots(*schedule, begin, cut, 400);
      const auto rest = slots(*schedule, cut, end, 400);
      parts.insert(parts.end(), rest.begin(), rest.end());
      ASSERT_EQ(brief(parts), brief(all));
    }
  }
}

TEST(LastSlot, AnyRandomRange_IsTheLastOfItsSlots) {
  for (std::uint32_t seed = 0; seed < 60; ++seed) {
    Dice dice(seed);
    for (const auto& window : kWindows) {
      const auto random = random_spec(dice, random_cron(dice, dice.one_in(4)), window.zone);
      SCOPED_TRACE(trace(random, window.change));
      const auto schedule = parsed_or_impossible(random);
      if (!schedule) continue;
      const auto after = at(window.change) - minutes{dice.between(0, 3000)};
      const auto until =
          after + Micros{1} * (std::int64_t{dice.between(0, 6000)} * 60'000'000 + dice.between(0, 999'999));
      const auto all = slots(*schedule, after, until, 1'000'000);
      const auto expected = all.empty() ? std::nullopt : std::optional{all.back()};
      ASSERT_EQ(last_slot(*schedule, after, until), expected);
      if (!all.empty()) {
        ASSERT_EQ(last_slot(*schedule, after, all.back()), all.back());
        ASSERT_EQ(next_slot(*schedule, all.back() - Micros{1}), all.back());
      }
    }
  }
}

TEST(LastSlot, WalkingBack_MeetsTheSlotsOfWalkingForward) {
  for (std::uint32_t seed = 500; seed < 540; ++seed) {
    Dice dice(seed);
    for (const auto& window : kWindows) {
      const auto random = random_spec(dice, random_cron(dice, false), window.zone);
      SCOPED_TRACE(trace(random, window.change));
      const auto schedule = parsed_or_impossible(random);
      if (!schedule) continue;
      const auto begin = at(window.change) - days{dice.between(1, 1000)};
      auto forward = slots(*schedule, begin, begin + days{8000}, 150);
      if (forward.empty()) continue;
      std::vector<TimePoint> back{forward.back()};
      while (const auto slot = last_slot(*schedule, begin, back.back() - Micros{1})) back.push_back(*slot);
      std::ranges::reverse(back);
      ASSERT_EQ(back, forward);
    }
  }
}

// --- day symbols, by their definitions ---

namespace {

struct NaiveMonth {
  year_month month;

  [[nodiscard]] int length() const {
    return int(unsigned(year_month_day_last{month.year(), month_day_last{month.month()}}.day()));
  }
  [[nodiscard]] int weekday_of(int d) const {
    return int(std::chrono::weekday{sys_days{month / std::chrono::day{unsigned(d)}}}.c_encoding());
  }
  [[nodiscard]] bool is_workday(int d) const { return weekday_of(d) >= 1 && weekday_of(d) <= 5; }

  // Two candidates are never equally near: a weekend has two days, so one side of it is closer.
  [[nodiscard]] std::uint32_t near_workday(int d) const {
    if (d > length()) return 0;
    for (int distance = 0;; ++distance)
      for (const int candidate : {d - distance, d + distance})
        if (candidate >= 1 && candidate <= length() && is_workday(candidate)) return 1U << candidate;
  }
  [[nodiscard]] std::uint32_t last_workday() const {
    int d = length();
    while (!is_workday(d)) --d;
    return 1U << d;
  }
  [[nodiscard]] std::uint32_t nth(int weekday, int k) const {
    for (int d = 1; d <= length(); ++d)
      if (weekday_of(d) == weekday && --k == 0) return 1U << d;
    return 0;
  }
  [[nodiscard]] std::uint32_t last(int weekday) const {
    int d = length();
    while (weekday_of(d) != weekday) --d;
    return 1U << d;
  }
};

std::uint32_t days_in(const std::string& text, year_month month) {
  const auto fields = parse_cron(text, 0);
  EXPECT_TRUE(fields) << text;
  return fields ? matching_days(*fields, month) : 0;
}

}  // namespace

TEST(MatchingDays, EverySymbolInManyMonths_IsItsDefinition) {
  for (int months = 0; months < 400; ++months) {
    const NaiveMonth naive{year{1999} / 1 + std::chrono::months{months}};
    const auto month = naive.month;
    for (int n = 0; n <= 30; ++n)
      ASSERT_EQ(days_in(fmt::format("0 0 L-{} * *", n), month), n < naive.length() ? 1U << (naive.length() - n) : 0);
    for (int n = 1; n <= 31; ++n)
      ASSERT_EQ(days_in(fmt::format("0 0 {}W * *", n), month), naive.near_workday(n)) << n << 'W';
    ASSERT_EQ(days_in("0 0 LW * *", month), naive.last_workday());
    for (int weekday = 0; weekday < 7; ++weekday) {
      ASSERT_EQ(days_in(fmt::format("0 0 * * {}L", weekday), month), naive.last(weekday));
      for (int k = 1; k <= 5; ++k)
        ASSERT_EQ(days_in(fmt::format("0 0 * * {}#{}", weekday, k), month), naive.nth(weekday, k));
    }
  }
}
