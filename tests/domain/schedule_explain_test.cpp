// Schedules in words: chosen sentences, the promise that equal words mean equal fires, and the examples of the docs.
#include "domain/schedule_rule.hpp"
#include "domain/schedule_support.hpp"

#include <fmt/format.h>

#include <fstream>
#include <map>
#include <random>

using namespace scheduler;
using namespace scheduler::domain;

TEST(Explain, EveryForm_ReadsAloud) {
  const struct {
    std::string_view text, words;
  } rows[] = {
      {"0 2 * * *", "At 02:00 every day (UTC)."},
      {"30 9,17 * * MON,WED,FRI", "At 09:30 and 17:30 on Monday, Wednesday and Friday (UTC)."},
      {"0 9 * * 1-5", "At 09:00, Monday to Friday (UTC)."},
      {"0 9 * * FRI-MON", "At 09:00, Friday to Monday (UTC)."},
      {"0 9 * * SAT,SUN", "At 09:00 on Saturday and Sunday (UTC)."},
      {"15 30 4 * * *", "At 04:30:15 every day (UTC)."},
      {"*/15 9-17 * * MON-FRI", "Every 15 minutes, between 09:00 and 17:59, Monday to Friday (UTC)."},
      {"* * * * *", "Every minute (UTC)."},
      {"* * * * * *", "Every second (UTC)."},
      {"* 2 * * *", "Every minute, between 02:00 and 02:59 (UTC)."},
      {"* 22-3 * * *", "Every minute, between 22:00 and 03:59 (UTC)."},
      {"0 * * * *", "Every hour (UTC)."},
      {"17 * * * *", "At minute 17 of every hour (UTC)."},
      {"7,37 * * * *", "At minutes 7 and 37 of every hour (UTC)."},
      {"5/15 * * * *", "Every 15 minutes from minute 5 (UTC)."},
      {"*/7 * * * *", "At minutes 0, 7, 14, …, 56 of every hour (UTC)."},
      {"0-29 * * * *", "At minutes 0 to 29 of every hour (UTC)."},
      {"*/20 1,5,9 * * *", "Every 20 minutes, in the hours 1, 5 and 9 (UTC)."},
      {"0 9-17 * * *", "Every hour, from 09:00 to 17:00 (UTC)."},
      {"0 22-6 * * *", "Every hour, from 22:00 to 06:00 (UTC)."},
      {"30 */2 * * *", "Every 2 hours, from 00:30 to 22:30 (UTC)."},
      {"0 */6 * * *", "At 00:00, 06:00, 12:00 and 18:00 every day (UTC)."},
      {"0 1,2,5-9,13 * * *", "At 01:00, 02:00, 05:00 to 09:00 and 13:00 (UTC)."},
      {"*/10 * * * * *", "Every 10 seconds (UTC)."},
      {"*/10 0-29 * * * *", "Every 10 seconds of minutes 0 to 29 of every hour (UTC)."},
      {"30 * * * * *", "At second 30 of every minute (UTC)."},
      {"30 */15 8-9 * * *", "At second 30 of minutes 0, 15, 30 and 45 of every hour, between 08:00 and 09:59 (UTC)."},
      {"0 0 13 * FRI", "At 00:00 on day 13 of the month OR on Friday (either one is enough) (UTC)."},
      {"0 0 1-7 * MON-FRI",
       "At 00:00 on days 1 to 7 of the month OR on any day from Monday to Friday (either one is enough) (UTC)."},
      {"0 0 1-31 * FRI", "At 00:00 every day (UTC)."},
      {"0 0 */2 * MON", "At 00:00 on days 1, 3, 5, …, 31 of the month, if it is a Monday (UTC)."},
      {"0 0 13 * */3", "At 00:00 on day 13 of the month, if it is a Wednesday, a Saturday or a Sunday (UTC)."},
      {"0 0 L * *", "At 00:00 on the last day of the month (UTC)."},
      {"0 0 1,L-3 * *", "At 00:00 on day 1 and the day 3 days before the last day of the month (UTC)."},
      {"0 0 15W * *", "At 00:00 on the working day (Monday to Friday) nearest to day 15 of the month (UTC)."},
      {"0 0 LW * *", "At 00:00 on the last working day (Monday to Friday) of the month (UTC)."},
      {"0 0 * * FRI#2", "At 00:00 on the second Friday of the month (UTC)."},
      {"0 0 * * MON,5L", "At 00:00 on Monday and the last Friday of the month (UTC)."},
      {"*/5 * * * SUN#1", "Every 5 minutes, on the first Sunday of the month (UTC)."},
      {"0 12 * JUN-AUG *", "At 12:00 every day, from June to August (UTC)."},
      {"0 12 * NOV-FEB *", "At 12:00 every day, from November to February (UTC)."},
      {"0 0 1 1,7 *", "At 00:00 on day 1 of the month, in January and July (UTC)."},
      {"0 0 0 1 1 ? 2027", "At 00:00 on day 1 of the month, in January, in 2027 (UTC)."},
      {"0 0 0 1 1 ? 2027-2030", "At 00:00 on day 1 of the month, in January, from 2027 to 2030 (UTC)."},
      {"0 0 0 1 1 ? 2027-2199", "At 00:00 on day 1 of the month, in January, from 2027 on (UTC)."},
      {"H H * * *", "At 02:34 every day (UTC)."},
      {"@hourly", "Every hour (UTC)."},
      {"@weekly", "At 00:00 on Sunday (UTC)."},
      {"@every 90s", "Every 90 seconds, counted from the task's creation."},
      {"@every 60s", "Every minute, counted from the task's creation."},
      {"@every 1h30m", "Every 1 hour and 30 minutes, counted from the task's creation."},
      {"@every 24h", "Every day, counted from the task's creation."},
      {"@every 2d1s", "Every 2 days and 1 second, counted from the task's creation."},
      {"@at 2026-03-29T03:30:00+02:00", "Once, at 2026-03-29T01:30:00Z."},
  };
  for (const auto& row : rows) EXPECT_EQ(explain(parsed(row.text)), row.words) << row.text;
}

TEST(Explain, Zone_IsNamedAsTheTaskNamesIt) {
  EXPECT_EQ(explain(parsed("0 2 * * *", "Europe/Berlin")), "At 02:00 every day (Europe/Berlin).");
  EXPECT_EQ(explain(parsed("@every 90s", "Europe/Berlin")), "Every 90 seconds, counted from the task's creation.");
}

namespace {

// Any field, in any notation; often few values, so that different texts meet in the same meaning.
std::string random_field(std::mt19937& dice, int min, int max) {
  if (dice() % 2 == 0) max = min + 4;
  const auto value = [&] { return min + static_cast<int>(dice() % static_cast<unsigned>(max - min + 1)); };
  switch (dice() % 6) {
    case 0:
      return std::to_string(value());
    case 1:
      return fmt::format("{},{},{}", value(), value(), value());
    case 2:
      return fmt::format("{}-{}", value(), value());
    case 3:
      return fmt::format("{}-{}/{}", value(), value(), 2 + dice() % 3);
    case 4:
      return fmt::format("*/{}", 2 + dice() % 4);
    default:
      return "*";
  }
}

std::string random_text(std::mt19937& dice) {
  constexpr std::string_view kDaySymbols[] = {"L", "L-2", "LW", "10W", "3,L"};
  constexpr std::string_view kWeekdaySymbols[] = {"1#2", "5L", "1,5L", "2#5"};
  const auto day = dice() % 4 == 0 ? std::string(kDaySymbols[dice() % 5]) : random_field(dice, 1, 31);
  const auto weekday = dice() % 4 == 0 ? std::string(kWeekdaySymbols[dice() % 4]) : random_field(dice, 0, 6);
  return fmt::format("{} {} {} {} {} {}", dice() % 2 == 0 ? "0" : random_field(dice, 0, 59), random_field(dice, 0, 59),
                     random_field(dice, 0, 23), day, dice() % 2 == 0 ? "*" : random_field(dice, 1, 12), weekday);
}

}  // namespace

TEST(Explain, SchedulesWithEqualWords_HaveEqualSlots) {
  std::mt19937 dice(11);  // NOLINT: the same texts every time
  std::map<std::string, Schedule> said;
  int repeated = 0;
  for (int i = 0; i < 40'000; ++i) {
    const auto text = random_text(dice);
    const auto schedule = parse_schedule(spec(text));
    if (!schedule) continue;
    const auto [known, is_new] = said.emplace(explain(*schedule), *schedule);
    if (is_new) continue;
    ++repeated;
    const auto of = [](const Schedule& it) {
      return slots(it, at("2026-01-01T00:00:00Z"), at("2030-01-01T00:00:00Z"), 150);
    };
    ASSERT_EQ(of(known->second), of(*schedule)) << text << ": " << known->first;
  }
  EXPECT_GT(repeated, 100) << "too few repetitions to mean anything";
}

// --- docs/how-to/schedules.md ---

namespace {

// The cells of a table row "| `text` | zone | words | next |", without blanks and code marks.
std::vector<std::string> cells(const std::string& line) {
  std::vector<std::string> result;
  for (std::size_t begin = line.find('|'); begin != line.npos;) {
    const auto end = line.find('|', begin + 1);
    if (end == line.npos) break;
    auto cell = line.substr(begin + 1, end - begin - 1);
    std::erase(cell, '`');
    cell.erase(0, cell.find_first_not_of(' '));
    cell.erase(cell.find_last_not_of(' ') + 1);
    result.push_back(cell);
    begin = end;
  }
  return result;
}

}  // namespace

TEST(Docs, ExamplesInTheSchedulesPage_AreTrue) {
  std::ifstream page(SCHEDULER_SOURCE_DIR "/docs/how-to/schedules.md");
  ASSERT_TRUE(page) << "docs/how-to/schedules.md is missing";
  int examples = 0, refused = 0;
  bool words = false, faults = false;
  for (std::string line; std::getline(page, line);) {
    if (line.starts_with("<!-- checked: ")) {
      words = line.find("words") != line.npos;
      faults = line.find("faults") != line.npos;
    }
    if (line.starts_with("#")) words = faults = false;
    if (!line.starts_with("| `")) continue;
    const auto row = cells(line);
    if (words) {
      ASSERT_EQ(row.size(), 4U) << line;
      const auto schedule = parsed(row[0], row[1]);
      EXPECT_EQ(explain(schedule), row[2]) << line;
      EXPECT_EQ(next(schedule, "2026-03-28T12:00:00Z"), row[3]) << line;
      ++examples;
    }
    if (faults) {
      ASSERT_EQ(row.size(), 2U) << line;
      EXPECT_EQ(fault_of(row[0]), row[1]);
      ++refused;
    }
  }
  EXPECT_GE(examples, 15);
  EXPECT_GE(refused, 5);
}
