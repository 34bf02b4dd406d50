// The slots of single schedules, symbol by symbol, away from zone changes.
#include "domain/schedule_support.hpp"

#include <fmt/format.h>

#include <algorithm>

using namespace scheduler;
using namespace scheduler::domain;

namespace {

std::string dates(std::string_view text, std::string_view after, std::size_t n) {
  std::string result;
  for (const auto slot : slots(parsed(text), at(after), at("2199-12-31T23:59:59Z"), n))
    result += (result.empty() ? "" : " ") + format_rfc3339(slot).substr(0, 10);
  return result;
}

std::string times(std::string_view text, std::string_view after, std::size_t n) {
  return brief(slots(parsed(text), at(after), at("2199-12-31T23:59:59Z"), n));
}

}  // namespace

TEST(NextSlot, EveryDaySymbol_NamesItsDates) {
  const struct {
    std::string_view name, text, after, expected;
  } rows[] = {
      {"a plain day", "0 0 31 * *", "2026-01-01T00:00:00Z", "2026-01-31 2026-03-31 2026-05-31"},
      {"last day of the month", "0 0 L * *", "2028-01-30T00:00:00Z", "2028-01-31 2028-02-29 2028-03-31"},
      {"days before the last", "0 0 L-2 * *", "2026-01-01T00:00:00Z", "2026-01-29 2026-02-26 2026-03-29"},
      {"short months have no L-30", "0 0 L-30 * *", "2026-01-02T00:00:00Z", "2026-03-01 2026-05-01 2026-07-01"},
      {"a Saturday moves back", "0 0 15W * *", "2026-08-01T00:00:00Z", "2026-08-14 2026-09-15 2026-10-15"},
      {"a Sunday moves on", "0 0 15W * *", "2026-02-01T00:00:00Z", "2026-02-16 2026-03-16 2026-04-15"},
      {"Saturday the 1st stays in its month", "0 0 1W * *", "2026-07-31T00:00:00Z", "2026-08-03 2026-09-01 2026-10-01"},
      {"Sunday the 31st stays in its month", "0 0 31W * *", "2026-05-01T00:00:00Z", "2026-05-29 2026-07-31 2026-08-31"},
      {"last working day", "0 0 LW * *", "2026-01-01T00:00:00Z",
       "2026-01-30 2026-02-27 2026-03-31 2026-04-30 2026-05-29"},
      {"second Friday", "0 0 * * FRI#2", "2026-01-01T00:00:00Z", "2026-01-09 2026-02-13 2026-03-13"},
      {"fifth Monday, only where there is one", "0 0 * * 1#5", "2026-01-01T00:00:00Z",
       "2026-03-30 2026-06-29 2026-08-31"},
      {"last Friday", "0 0 * * 5L", "2026-01-01T00:00:00Z", "2026-01-30 2026-02-27 2026-03-27"},
      {"last Sunday, written 7", "0 0 * * 7L", "2026-01-01T00:00:00Z", "2026-01-25 2026-02-22 2026-03-29"},
      {"either day field is enough", "0 0 13 * FRI", "2026-02-01T00:00:00Z", "2026-02-06 2026-02-13 2026-02-20"},
      {"a star needs both", "0 0 */2 * MON", "2026-01-01T00:00:00Z", "2026-01-05 2026-01-19 2026-02-09"},
      {"list of unlike parts", "0 0 1,15W,L * *", "2026-02-01T00:00:00Z", "2026-02-16 2026-02-28 2026-03-01"},
      {"weekend over the week's end", "0 0 * * FRI-MON", "2026-01-05T00:00:00Z",
       "2026-01-09 2026-01-10 2026-01-11 2026-01-12"},
      {"months over the year's end", "0 0 1 NOV-FEB *", "2026-01-01T00:00:00Z",
       "2026-02-01 2026-11-01 2026-12-01 2027-01-01"},
      {"29 February", "0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29 2032-02-29 2036-02-29"},
      {"29 February or a Monday of February", "0 0 29 2 1", "2027-12-31T00:00:00Z", "2028-02-07 2028-02-14 2028-02-21"},
      {"29 February that is a Sunday", "0 0 29 2 */7", "2026-01-01T00:00:00Z",
       "2032-02-29 2060-02-29 2088-02-29 2128-02-29"},
      {"2100 is no leap year", "0 0 29 2 *", "2095-01-01T00:00:00Z", "2096-02-29 2104-02-29"},
      {"years", "0 0 0 1 1 ? 2027,2030-2031", "2026-01-01T00:00:00Z", "2027-01-01 2030-01-01 2031-01-01"},
  };
  for (const auto& row : rows) {
    const auto n = static_cast<std::size_t>(std::ranges::count(row.expected, ' ')) + 1;
    EXPECT_EQ(dates(row.text, row.after, n), row.expected) << row.name;
  }
}

TEST(NextSlot, EveryTimeForm_NamesItsTimes) {
  const struct {
    std::string_view name, text, after, expected;
  } rows[] = {
      {"every 20 minutes", "*/20 * * * *", "2026-01-01T23:30:00Z", "01-01 23:40, 01-02 00:00, 01-02 00:20"},
      {"hours over midnight", "0 22-1 * * *", "2026-01-01T22:00:00Z",
       "01-01 23:00, 01-02 00:00, 01-02 01:00, 01-02 22:00"},
      {"seconds", "*/25 * * * * *", "2026-01-01T00:00:00Z", "01-01 00:00:25, 01-01 00:00:50, 01-01 00:01"},
      {"a second of the day", "30 15 4 * * *", "2026-01-01T04:15:30Z", "01-02 04:15:30"},
      {"@hourly", "@hourly", "2026-01-01T00:59:59Z", "01-01 01:00, 01-01 02:00"},
      {"@daily", "@Daily", "2026-01-01T00:00:00Z", "01-02 00:00, 01-03 00:00"},
      {"@midnight", "@midnight", "2026-01-01T00:00:00Z", "01-02 00:00, 01-03 00:00"},
      {"@weekly", "@weekly", "2026-01-01T00:00:00Z", "01-04 00:00, 01-11 00:00"},
      {"@monthly", "@monthly", "2026-01-01T00:00:00Z", "02-01 00:00, 03-01 00:00"},
      {"@yearly", " @yearly ", "2026-01-01T00:00:00Z", "01-01 00:00, 01-01 00:00"},
      {"@annually", "@annually", "2026-12-31T23:59:59Z", "01-01 00:00, 01-01 00:00"},
  };
  for (const auto& row : rows) {
    const auto n = static_cast<std::size_t>(std::ranges::count(row.expected, ',')) + 1;
    EXPECT_EQ(times(row.text, row.after, n), row.expected) << row.name;
  }
}

TEST(NextSlot, AnyAfter_IsStrictlyBeforeTheSlot) {
  const auto daily = parsed("0 2 * * *");
  EXPECT_EQ(next(daily, "2026-01-01T01:59:59.999999Z"), "2026-01-01T02:00:00Z");
  EXPECT_EQ(next(daily, "2026-01-01T02:00:00Z"), "2026-01-02T02:00:00Z");
  EXPECT_EQ(next(daily, "2026-01-01T02:00:00.000001Z"), "2026-01-02T02:00:00Z");
  EXPECT_EQ(next(daily, "1960-01-01T00:00:00Z"), "1970-01-01T02:00:00Z");
  EXPECT_EQ(next_slot(daily, TimePoint::min()), at("1970-01-01T02:00:00Z"));
  EXPECT_EQ(next_slot(daily, TimePoint::max()), std::nullopt);
}

TEST(NextSlot, ScheduleThatIsOver_HasNone) {
  EXPECT_EQ(next(parsed("0 0 0 1 1 ? 2020"), "2026-01-01T00:00:00Z"), "never");
  EXPECT_EQ(next(parsed("0 0 0 1 1 ? 2020", "Europe/Berlin"), "2026-01-01T00:00:00Z"), "never");
  EXPECT_EQ(next(parsed("@at 2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z"), "never");
  EXPECT_EQ(next(parsed("* * * * *"), "2199-12-31T23:59:00Z"), "never");
  EXPECT_EQ(next(parsed("* * * * *"), "2199-12-31T23:58:59Z"), "2199-12-31T23:59:00Z");
  EXPECT_EQ(next(parsed("@every 1d"), "2199-12-31T23:59:00Z"), "never");
}

TEST(NextSlot, EveryInterval_CountsFromTheAnchor) {
  const auto every = parsed("@every 90s");  // anchor 00:00:07
  EXPECT_EQ(next(every, "2025-01-01T00:00:00Z"), "2026-01-01T00:01:37Z");
  EXPECT_EQ(next(every, "2026-01-01T00:00:07Z"), "2026-01-01T00:01:37Z");
  EXPECT_EQ(next(every, "2026-01-01T00:01:36.999999Z"), "2026-01-01T00:01:37Z");
  EXPECT_EQ(next(every, "2026-01-01T00:01:37Z"), "2026-01-01T00:03:07Z");
  EXPECT_EQ(next(parsed("@every 1d12h30m15s"), "2026-01-01T00:01:37Z"), "2026-01-02T12:30:22Z");
  EXPECT_EQ(next(parsed("@EVERY 1H 30M"), "2026-01-01T00:01:37Z"), "2026-01-01T01:30:07Z");
  auto fraction = spec("@every 1m");
  fraction.anchor = at("2026-01-01T00:00:07.900Z");
  EXPECT_EQ(next(parsed(fraction), "2026-01-01T00:00:00Z"), "2026-01-01T00:01:07Z");
}

TEST(NextSlot, EveryIntervalAcrossAZoneChange_IsElapsedTime) {
  const auto every = parsed("@every 24h", "Europe/Berlin");
  EXPECT_EQ(brief(slots(every, at("2026-03-28T00:00:00Z"), at("2026-03-31T00:00:00Z"), 9)),
            "03-28 00:00:07, 03-29 00:00:07, 03-30 00:00:07");
}

TEST(NextSlot, OneShot_IsNeverEarlierThanItsText) {
  EXPECT_EQ(next(parsed("@at 2026-03-29T03:30:00+02:00"), "2026-01-01T00:00:00Z"), "2026-03-29T01:30:00Z");
  EXPECT_EQ(next(parsed("@at 2026-03-29 01:30:00.25Z"), "2026-01-01T00:00:00Z"), "2026-03-29T01:30:01Z");
  EXPECT_EQ(next(parsed("@at 2026-03-29T01:30:00z  "), "2026-03-29T01:29:59.999999Z"), "2026-03-29T01:30:00Z");
}

TEST(LastSlot, AnyRange_IncludesItsEndAndNotItsBegin) {
  const auto daily = parsed("0 2 * * *");
  EXPECT_EQ(last(daily, "2026-01-01T02:00:00Z", "2026-01-02T01:59:59Z"), "never");
  EXPECT_EQ(last(daily, "2026-01-01T02:00:00Z", "2026-01-02T02:00:00Z"), "2026-01-02T02:00:00Z");
  EXPECT_EQ(last(daily, "2026-01-01T01:59:59Z", "2026-01-01T23:00:00Z"), "2026-01-01T02:00:00Z");
  EXPECT_EQ(last(daily, "2026-01-05T00:00:00Z", "2026-01-01T00:00:00Z"), "never");
  EXPECT_EQ(last_slot(daily, TimePoint::min(), TimePoint::max()), at("2199-12-31T02:00:00Z"));
  EXPECT_EQ(last(parsed("@every 90s"), "2020-01-01T00:00:00Z", "2026-01-01T00:01:36Z"), "never");
  EXPECT_EQ(last(parsed("@every 90s"), "2020-01-01T00:00:00Z", "2026-01-01T00:05:00Z"), "2026-01-01T00:04:37Z");
  EXPECT_EQ(last(parsed("@every 90s"), "2026-01-01T00:04:37Z", "2026-01-01T00:05:00Z"), "never");
  EXPECT_EQ(last(parsed("@at 2026-01-01T00:00:00Z"), "2025-12-31T23:59:59Z", "2026-01-01T00:00:00Z"),
            "2026-01-01T00:00:00Z");
  EXPECT_EQ(last(parsed("@at 2026-01-01T00:00:00Z"), "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"), "never");
}

TEST(Slots, Limit_KeepsTheOldest) {
  const auto minutely = parsed("* * * * *");
  EXPECT_EQ(brief(slots(minutely, at("2026-01-01T00:00:00Z"), at("2026-01-01T00:03:00Z"), 2)),
            "01-01 00:01, 01-01 00:02");
  EXPECT_EQ(slots(minutely, at("2026-01-01T00:00:00Z"), at("2026-01-01T00:03:00Z"), 99).size(), 3U);
  EXPECT_TRUE(slots(minutely, at("2026-01-01T00:00:00Z"), at("2026-01-01T00:03:00Z"), 0).empty());
  EXPECT_TRUE(slots(minutely, at("2026-01-01T00:03:00Z"), at("2026-01-01T00:00:00Z"), 9).empty());
}

// --- cost, counted rather than timed ---

namespace {

// Berlin, counting how often it is asked: the engine asks a few times per period that it visits.
class CountingZone final : public TimeZone {
 public:
  [[nodiscard]] std::string_view name() const override { return "counting"; }
  [[nodiscard]] OffsetPeriod period_at(SysSeconds at) const override {
    ++asked;
    return zone("Europe/Berlin").period_at(at);
  }
  mutable int asked = 0;
};

}  // namespace

TEST(LastSlot, ThirtyDaysOfMissedSeconds_AreDecidedWithoutCountingThem) {
  const CountingZone counting;
  auto every_second = spec("* * * * * *");
  every_second.zone = &counting;
  const auto schedule = parsed(every_second);
  EXPECT_EQ(last_slot(schedule, at("2026-03-01T00:00:00Z"), at("2026-03-31T00:00:00Z")), at("2026-03-31T00:00:00Z"));
  EXPECT_LE(counting.asked, 3);
}

TEST(NextSlot, RareOrFinishedSchedules_VisitFewPeriods) {
  for (const std::string_view text : {"0 0 29 2 */7", "0 0 0 1 1 ? 2199", "0 0 0 1 1 ? 1970", "0 30 2 29 3 ? 2150"}) {
    const CountingZone counting;
    auto rare = spec(text);
    rare.zone = &counting;
    const auto schedule = parsed(rare);
    (void)next_slot(schedule, at("2026-06-01T00:00:00Z"));
    EXPECT_LE(counting.asked, 9) << text;
    counting.asked = 0;
    (void)last_slot(schedule, TimePoint::min(), at("2026-06-01T00:00:00Z"));
    EXPECT_LE(counting.asked, 9) << text;
  }
}
