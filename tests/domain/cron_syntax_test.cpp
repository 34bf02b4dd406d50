// What may be written, what it means, and how everything else is refused.
#include "domain/cron_fields.hpp"
#include "domain/schedule_support.hpp"

#include <fmt/format.h>

#include <array>
#include <bit>
#include <random>

using namespace scheduler;
using namespace scheduler::domain;

namespace {

CronFields fields(std::string_view text, std::uint64_t seed = 1) {
  const auto parsed = parse_cron(text, seed);
  EXPECT_TRUE(parsed) << text << ": " << (parsed ? "" : parsed.error().message);
  return parsed.value_or(CronFields{});
}

std::uint64_t bits(std::initializer_list<int> values) {
  std::uint64_t set = 0;
  for (const int v : values) set |= std::uint64_t{1} << v;
  return set;
}

}  // namespace

TEST(ParseCron, FieldCount_DecidesWhatTheFieldsAre) {
  const auto five = fields("1 2 3 4 5");
  EXPECT_EQ(five.seconds, bits({0}));
  EXPECT_EQ(five.minutes, bits({1}));
  EXPECT_EQ(five.hours, bits({2}));
  EXPECT_EQ(five.month_days.plain, bits({3}));
  EXPECT_EQ(five.months, bits({4}));
  EXPECT_EQ(five.weekdays.plain, bits({5}));
  EXPECT_TRUE(five.years.all());

  const auto six = fields("59 1 2 3 4 5");
  EXPECT_EQ(six.seconds, bits({59}));
  EXPECT_EQ(six.minutes, bits({1}));
  EXPECT_TRUE(six.years.all());

  const auto seven = fields("59 1 2 3 4 5 2030");
  EXPECT_EQ(seven.years.count(), 1U);
  EXPECT_TRUE(seven.years.test(2030 - kYearMin));
}

TEST(ParseCron, Blanks_DoNotCount) { EXPECT_EQ(fields(" \t 1  2\t3\t\t4 5 "), fields("1 2 3 4 5")); }

TEST(ParseCron, MinuteForms_NameTheirValues) {
  const struct {
    std::string_view text;
    std::uint64_t expected;
  } rows[] = {
      {"7", bits({7})},
      {"007", bits({7})},
      {"1,2,2,50", bits({1, 2, 50})},
      {"10-13", bits({10, 11, 12, 13})},
      {"58-1", bits({58, 59, 0, 1})},
      {"5-5", bits({5})},
      {"*/20", bits({0, 20, 40})},
      {"*/60", bits({0})},
      {"5/20", bits({5, 25, 45})},
      {"10-30/10", bits({10, 20, 30})},
      {"55-10/5", bits({55, 0, 5, 10})},
      {"1,10-12,*/30", bits({0, 1, 10, 11, 12, 30})},
  };
  for (const auto& row : rows) EXPECT_EQ(fields(fmt::format("{} * * * *", row.text)).minutes, row.expected) << row.text;
  EXPECT_EQ(fields("* * * * *").minutes, kSixtyBits);
}

TEST(ParseCron, HourAndMonthForms_NameTheirValues) {
  EXPECT_EQ(fields("0 22-2 * * *").hours, bits({22, 23, 0, 1, 2}));
  EXPECT_EQ(fields("0 */8 * * *").hours, bits({0, 8, 16}));
  EXPECT_EQ(fields("0 0 1 NOV-feb *").months, bits({11, 12, 1, 2}));
  EXPECT_EQ(fields("0 0 1 jan,Jul,12 *").months, bits({1, 7, 12}));
  EXPECT_EQ(fields("0 0 1 */3 *").months, bits({1, 4, 7, 10}));
  EXPECT_EQ(fields("0 0 1 MAR/3 *").months, bits({3, 6, 9, 12}));
}

TEST(ParseCron, WeekdayForms_CountSundayAsZeroAndSeven) {
  const struct {
    std::string_view text;
    std::uint64_t expected;
  } rows[] = {
      {"0", bits({0})},
      {"7", bits({0})},
      {"SUN", bits({0})},
      {"1-5", bits({1, 2, 3, 4, 5})},
      {"MON-FRI", bits({1, 2, 3, 4, 5})},
      {"FRI-MON", bits({5, 6, 0, 1})},
      {"5-7", bits({5, 6, 0})},
      {"5-0", bits({5, 6, 0})},
      {"7-2", bits({0, 1, 2})},
      {"7-7", bits({0})},
      {"0-7", bits({0, 1, 2, 3, 4, 5, 6})},
      {"1-7", bits({0, 1, 2, 3, 4, 5, 6})},
      {"SUN-SAT", bits({0, 1, 2, 3, 4, 5, 6})},
      {"SAT-SUN", bits({6, 0})},
      {"mon,Wed,fRi", bits({1, 3, 5})},
      {"*/2", bits({0, 2, 4, 6})},
      {"MON-SAT/2", bits({1, 3, 5})},
      {"2/2", bits({2, 4, 6})},
  };
  for (const auto& row : rows)
    EXPECT_EQ(fields(fmt::format("0 0 * * {}", row.text)).weekdays.plain, row.expected) << row.text;
}

TEST(ParseCron, YearForms_NameTheirYears) {
  EXPECT_EQ(fields("0 0 0 1 1 ? 2026-2030").years.count(), 5U);
  EXPECT_EQ(fields("0 0 0 1 1 ? 2026,2040").years.count(), 2U);
  EXPECT_EQ(fields("0 0 0 1 1 ? 2190/2").years.count(), 5U);
  EXPECT_TRUE(fields("0 0 0 1 1 ? *").years.all());
}

TEST(ParseCron, DaySymbols_AreKeptApart) {
  EXPECT_EQ(fields("0 0 L * *").month_days.from_last, bits({0}));
  EXPECT_EQ(fields("0 0 l-3,L-10 * *").month_days.from_last, bits({3, 10}));
  EXPECT_EQ(fields("0 0 15W,1w * *").month_days.near_workday, bits({1, 15}));
  EXPECT_TRUE(fields("0 0 LW * *").month_days.last_workday);
  EXPECT_EQ(fields("0 0 1,L * *").month_days.plain, bits({1}));
  EXPECT_EQ(fields("0 0 * * 5#2,FRI#4").weekdays.nth[2], bits({5}));
  EXPECT_EQ(fields("0 0 * * 5#2,FRI#4").weekdays.nth[4], bits({5}));
  EXPECT_EQ(fields("0 0 * * 7#1").weekdays.nth[1], bits({0}));
  EXPECT_EQ(fields("0 0 * * 5L,monl,7L").weekdays.last, bits({5, 1, 0}));
  EXPECT_EQ(fields("0 0 * * MON").weekdays.last, 0U);
}

TEST(ParseCron, DayFieldsThatBeginWithAStar_DoNotRestrict) {
  const struct {
    std::string_view text;
    bool either;
  } rows[] = {
      {"0 0 13 * FRI", true},  {"0 0 1-31 * FRI", true}, {"0 0 * * FRI", false}, {"0 0 13 * *", false},
      {"0 0 ? * FRI", false},  {"0 0 */2 * FRI", false}, {"0 0 13 * ?", false},  {"0 0 13 * */2", false},
      {"0 0 *,13 * 1", false}, {"0 0 H * 1", true},      {"0 0 L * 5L", true},
  };
  for (const auto& row : rows) EXPECT_EQ(either_day_field_is_enough(fields(row.text)), row.either) << row.text;
}

// --- H ---

TEST(ParseCron, HashOfOneTask_NeverChanges) {
  // These values are a promise: another release must not move people's tasks.
  EXPECT_EQ(schedule_hash_seed(""), 0xCBF29CE484222325U);
  EXPECT_EQ(schedule_hash_seed("a"), 0xAF63DC4C8601EC8CU);
  const auto seed = schedule_hash_seed("nightly report");
  EXPECT_EQ(fields("H H * * *", seed), fields("34 2 * * *", seed));
  EXPECT_EQ(fields("H/15 * * * *", seed), fields("4,19,34,49 * * * *", seed));
  EXPECT_EQ(fields("H(0-29)/10 * * * *", seed), fields("4,14,24 * * * *", seed));
}

TEST(ParseCron, HashOfManyTasks_SpreadsEvenlyWithinItsRange) {
  std::array<int, 60> minutes{};
  std::array<int, 24> hours{};
  std::array<int, 32> days{};
  int same = 0;
  for (int i = 0; i < 6000; ++i) {
    const auto it = fields("H H H H H", schedule_hash_seed(fmt::format("task {}", i)));
    const int minute = std::countr_zero(it.minutes), hour = std::countr_zero(it.hours);
    ++minutes.at(minute);
    ++hours.at(hour);
    ++days.at(std::countr_zero(it.month_days.plain));
    same += minute % 24 == hour ? 1 : 0;
  }
  for (const int n : minutes) EXPECT_NEAR(n, 100, 45);
  for (const int n : hours) EXPECT_NEAR(n, 250, 70);
  for (int day = 1; day <= 28; ++day) EXPECT_NEAR(days[day], 214, 65) << day;
  EXPECT_EQ(days[29] + days[30] + days[31], 0) << "a day that every month has";
  EXPECT_NEAR(same, 250, 70) << "minute and hour must not follow each other";
}

TEST(ParseCron, HashWithRangeOrStep_StaysInside) {
  for (std::uint64_t seed = 0; seed < 500; ++seed) {
    EXPECT_EQ(fields("H(10-19) * * * *", seed).minutes & ~bits({10, 11, 12, 13, 14, 15, 16, 17, 18, 19}), 0U);
    EXPECT_EQ(fields("0 H(22-2) * * *", seed).hours & ~bits({22, 23, 0, 1, 2}), 0U);
    EXPECT_EQ(std::popcount(fields("H/15 * * * *", seed).minutes), 4);
    EXPECT_EQ(std::popcount(fields("h(5-5) * * * *", seed).minutes), 1);
    EXPECT_EQ(fields("0 0 * * H(MON-FRI)", seed).weekdays.plain & bits({0, 6}), 0U);
    EXPECT_GE(std::popcount(fields("H(0-9)/20 * * * *", seed).minutes), 1) << "a step beyond the range still fires";
  }
}

// --- faults ---

TEST(ParseSchedule, WrongText_IsRefusedWithPositionAndRemedy) {
  const struct {
    std::string_view text, message;
  } rows[] = {
      {"", "position 1: the schedule is empty; write for example '0 2 * * *' or '@every 15m'"},
      {"   ", "position 1: the schedule is empty; write for example '0 2 * * *' or '@every 15m'"},
      {"* * *",
       "position 6: only 3 fields; cron needs 5 (minute hour day month weekday), 6 (second first) or 7 (second first, "
       "year last)"},
      {"* * * * * * * *",
       "position 15: 8 fields are too many; cron needs 5 (minute hour day month weekday), 6 (second first) or 7 "
       "(second "
       "first, year last)"},
      {"60 * * * *", "position 1: minute 60 is out of range; use 0 to 59"},
      {"0 25 * * *", "position 3: hour 25 is out of range; use 0 to 23"},
      {"0 0 0 * *", "position 5: day of the month 0 is out of range; use 1 to 31"},
      {"0 0 1 13 *", "position 7: month 13 is out of range; use 1 to 12"},
      {"* * * * 8", "position 9: weekday 8 is out of range; use 0 to 7"},
      {"0 0 0 1 1 ? 1969", "position 13: year 1969 is out of range; use 1970 to 2199"},
      {"99999999999999999999 * * * *", "position 1: minute 99999999999999999999 is out of range; use 0 to 59"},
      {"  0   99 * * *", "position 7: hour 99 is out of range; use 0 to 23"},
      {"* * * * MONDAY", "position 9: 'MONDAY' is not a weekday; did you mean 'MON'?"},
      {"* * * * Tur", "position 9: 'Tur' is not a weekday; use 0 to 7 or SUN to SAT; did you mean 'TUE'?"},
      {"* * * january *", "position 7: 'january' is not a month; did you mean 'JAN'?"},
      {"* * * xyz *", "position 7: 'xyz' is not a month; use 1 to 12 or JAN to DEC"},
      {"a * * * *", "position 1: 'a' is not a minute; use 0 to 59"},
      {"0 2 * * * root", "position 11: 'root' is not a weekday; use 0 to 7 or SUN to SAT"},
      {"*/0 * * * *", "position 3: step 0 does not work for minute; use 1 to 60"},
      {"*/90 * * * *",
       "position 3: step 90 does not work for minute; use 1 to 60; for a longer interval write @every 90m"},
      {"0 */36 * * *",
       "position 5: step 36 does not work for hour; use 1 to 24; for a longer interval write @every 36h"},
      {"0 0 */40 * *", "position 7: step 40 does not work for day of the month; use 1 to 31"},
      {"5/ * * * *", "position 3: a step belongs behind '/', as in */15"},
      {"5, * * * *", "position 3: a value is missing; use 0 to 59 or *"},
      {",5 * * * *", "position 1: a value is missing; use 0 to 59 or *"},
      {"5- * * * *", "position 3: a value is missing; use 0 to 59 or *"},
      {"5x * * * *",
       "position 2: 'x' does not belong here in the field 'minute'; use 0 to 59, lists (a,b), ranges (a-b), steps "
       "(*/n) "
       "or *"},
      {"-5 * * * *",
       "position 1: '-' does not belong here in the field 'minute'; use 0 to 59, lists (a,b), ranges (a-b), steps "
       "(*/n) "
       "or *"},
      {"? * * * *", "position 1: '?' means any day and is for the two day fields only; write * here"},
      {"L * * * *", "position 1: L is for the day fields only; write a minute from 0 to 59"},
      {"* * * * L", "position 9: L alone does not name a weekday; write 5L or FRIL for the last Friday of the month"},
      {"* * L-31 * *",
       "position 7: a number from 0 to 30 belongs behind 'L-': L-3 is three days before the month's last day"},
      {"* * 32W * *", "position 5: day of the month 32 is out of range; use 1 to 31"},
      {"* * * * FRI#6",
       "position 13: a number from 1 to 5 belongs behind '#': FRI#2 is the second Friday of the month"},
      {"* * * * 5#", "position 11: a number from 1 to 5 belongs behind '#': FRI#2 is the second Friday of the month"},
      {"H(5 * * * *", "position 4: write the range of H as H(a-b)"},
      {"H(5-9 * * * *", "position 6: ')' is missing: write H(a-b)"},
      {"H(5-70) * * * *", "position 5: minute 70 is out of range; use 0 to 59"},
      {"0 0 0 1 1 ? H", "position 13: H cannot choose a year; write * or a year"},
      {"0 0 0 1 1 ? 2030-2027", "position 13: the years run backwards; write 2027-2030"},
      {"0 0 30 2 *",
       "position 5: this can never fire: no chosen month has a day 30 (the longest has 29 days); write L for the last "
       "day of a month"},
      {"0 0 31 4,6,9,11 *",
       "position 5: this can never fire: no chosen month has a day 31 (the longest has 30 days); write L for the last "
       "day of a month"},
      {"0 0 0 29 2 ? 2027",
       "position 7: this can never fire: no chosen month has a day 29 (the longest has 28 days); write L for the last "
       "day of a month"},
      {"0 0 31W 2 *",
       "position 5: this can never fire: no chosen month has a day 31 (the longest has 29 days); write L for the last "
       "day of a month"},
      {"0 0 L-30 2 *",
       "position 5: this can never fire: the day, month, weekday and year fields never meet on one date"},
      {"@dailly", "position 1: '@dailly' is not known; did you mean '@daily'?"},
      {"  @EVRY 5m", "position 3: '@evry' is not known; did you mean '@every'?"},
      {"@reboot",
       "position 1: '@reboot' is not known; use one of @hourly @daily @midnight @weekly @monthly @yearly @annually "
       "@every "
       "@at"},
      {"daily", "position 1: 'daily' begins with an @; write @daily"},
      {"every 5m", "position 1: 'every' begins with an @; write @every"},
      {"@daily 5", "position 8: nothing belongs behind @daily; for another time write a cron line, as in '30 6 * * *'"},
      {"@every", "position 7: a number is missing; write @every 90s, 15m, 1h30m or 2d"},
      {"@every 5", "position 9: a unit is missing behind 5; use s, m, h or d"},
      {"@every -5s", "position 8: a number is missing; write @every 90s, 15m, 1h30m or 2d"},
      {"@every 500ms", "position 11: 'ms' is not a unit; use s, m, h or d (write @every 90s, 15m, 1h30m or 2d)"},
      {"@every 0s", "position 8: the shortest interval is 1s; write @every 90s, 15m, 1h30m or 2d"},
      {"@every 1m1h", "position 11: write each unit once, the longest first, as in 1d12h30m"},
      {"@every 1h1h", "position 11: write each unit once, the longest first, as in 1d12h30m"},
      {"@every 3661d", "position 8: the interval is too long; the longest is 3660 days"},
      {"@every 3660d1s", "position 8: the interval is too long; the longest is 3660 days"},
      {"@every 99999999999999999999999999s", "position 8: the interval is too long; the longest is 3660 days"},
      {"@at",
       "position 4: an instant with its offset belongs behind @at, as in @at 2026-03-29T01:30:00Z or @at "
       "2026-03-29T03:30:00+02:00"},
      {"@at 2026-03-29T01:30:00",
       "position 5: an instant with its offset belongs behind @at, as in @at 2026-03-29T01:30:00Z or @at "
       "2026-03-29T03:30:00+02:00"},
      {"@at 1960-01-01T00:00:00Z", "position 5: use a year from 1970 to 2199"},
      {"* * * * *\n",
       "position 10: a control character (byte 0x0A) does not belong in a schedule; use plain letters, digits, spaces "
       "and "
       "* , - / # ? ( ) @"},
      {"0 2 * * \xC3\xA4",
       "position 9: a character outside ASCII (byte 0xC3) does not belong in a schedule; use plain letters, digits, "
       "spaces and * , - / # ? ( ) @"},
  };
  for (const auto& row : rows) EXPECT_EQ(fault_of(row.text), row.message) << '\'' << row.text << '\'';
}

TEST(ParseSchedule, TextOfExactlyTheLimit_IsReadAndOneByteMoreIsNot) {
  std::string text = "*";
  while (text.size() + 10 <= kScheduleTextBytesMax) text += ",*";
  text += " * * * *";
  text.resize(kScheduleTextBytesMax, ' ');
  EXPECT_EQ(fault_of(text), "");
  text += ' ';
  EXPECT_EQ(fault_of(text), "position 1025: the text has 1025 bytes; a schedule has at most 1024");
}

TEST(ParseSchedule, PastYearsAndRareDates_AreAllowed) {
  for (const std::string_view text : {"0 0 0 1 1 ? 1970", "0 0 29 2 *", "0 0 29 2 */7", "0 0 L-30 * *", "0 0 30 2 MON",
                                      "0 0 31W 1 *", "0 0 * 2 MON#5", "0 0 0 1 1 ? 2199"})
    EXPECT_EQ(fault_of(text), "") << text;
}

TEST(ParseSchedule, AnyBytes_GiveARuleOrAPrintableFault) {
  std::mt19937 dice(7);  // NOLINT: the same bytes every time
  constexpr std::string_view kLikely = "0123456789*/,-?#LWHJANMONFRI@every at()smhd \t";
  for (int i = 0; i < 30'000; ++i) {
    std::string text(dice() % 40, ' ');
    for (auto& c : text) c = dice() % 12 == 0 ? static_cast<char>(dice()) : kLikely[dice() % kLikely.size()];
    const auto message = fault_of(text);
    if (message.empty()) continue;
    ASSERT_TRUE(message.starts_with("position ")) << message;
    for (const char c : message) ASSERT_TRUE(c >= ' ' && c <= '~') << message;
    const auto position = std::stoul(message.substr(9));
    ASSERT_GE(position, 1U);
    ASSERT_LE(position, text.size() + 1);
  }
}

TEST(ParseSchedule, LongHostileText_IsRefusedInBoundedWords) {
  for (const char c : {'*', ',', '9', 'A', 'L', 'H', '(', '#', '@', '/', '-', '\0', '\x1b', '\xff'})
    for (const std::size_t n : {1000U, 1024U, 1025U, 1'000'000U}) {
      const auto message = fault_of(std::string(n, c));
      EXPECT_FALSE(message.empty());
      EXPECT_LT(message.size(), 300U) << message;
    }
}
