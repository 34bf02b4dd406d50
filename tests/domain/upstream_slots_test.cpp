#include "domain/upstream_slots.hpp"

#include "schedule_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scheduler::domain {
namespace {

using namespace std::chrono_literals;
using ::testing::ElementsAre;

constexpr TaskId kUp{1}, kOther{2};
const TimePoint kDay = std::chrono::sys_days{std::chrono::year{2026} / 3 / 2};

Schedule schedule(const std::string& text) {
  auto parsed = parse_schedule({.text = text, .zone = &utc(), .anchor = kDay - 24h * 365});
  if (!parsed) throw std::runtime_error(parsed.error().message);
  return *parsed;
}

std::vector<TimePoint> slots_for(const std::string& own, TimePoint slot, const std::string& upstream,
                                 TimePoint since = {}) {
  const UpstreamSchedule it{.task = kUp, .schedule = schedule(upstream), .since = since};
  std::vector<TimePoint> all;
  for (const auto& awaited : awaited_runs(schedule(own), slot, {&it, 1})) all.push_back(awaited.slot.value());
  return all;
}

TEST(AwaitedRuns, HourlyThenDaily_WaitsForTheLast24) {
  const auto slots = slots_for("0 0 * * *", kDay, "@hourly");
  ASSERT_EQ(slots.size(), 24U);
  EXPECT_EQ(slots.front(), kDay - 23h) << "after the previous fire time";
  EXPECT_EQ(slots.back(), kDay) << "up to its own";
}

TEST(AwaitedRuns, DailyThenHourly_UsesTodaysOne) {
  EXPECT_THAT(slots_for("@hourly", kDay + 15h, "0 2 * * *"), ElementsAre(kDay + 2h));
  EXPECT_THAT(slots_for("@hourly", kDay + 2h, "0 2 * * *"), ElementsAre(kDay + 2h));
  EXPECT_THAT(slots_for("@hourly", kDay + 1h, "0 2 * * *"), ElementsAre(kDay - 22h)) << "yesterday's, before it came";
}

TEST(AwaitedRuns, EqualSchedules_PairTheSameTimes) {
  EXPECT_THAT(slots_for("*/5 * * * *", kDay + 10min, "*/5 * * * *"), ElementsAre(kDay + 10min));
}

TEST(AwaitedRuns, UpstreamScheduleIsNewer_ItsPastIsNotWaitedFor) {
  EXPECT_THAT(slots_for("0 0 * * *", kDay, "@hourly", kDay - 2h), ElementsAre(kDay - 1h, kDay));
  EXPECT_THAT(slots_for("@hourly", kDay + 15h, "0 2 * * *", kDay + 14h), ElementsAre(kDay + 2h))
      << "the last one counts whenever the schedule was written: the ledger knows what became of it";
}

TEST(AwaitedRuns, FirstFireTimeOfAll_WaitsForTheLastSlotOnly) {
  EXPECT_THAT(slots_for("@at 2026-03-02T12:00:00Z", kDay + 12h, "@hourly"), ElementsAre(kDay + 12h));
}

TEST(AwaitedRuns, UpstreamHasNoSlotYet_NeverComes) {
  const UpstreamSchedule it{.task = kUp, .schedule = schedule("@at 2027-01-01T00:00:00Z")};
  EXPECT_THAT(awaited_runs(schedule("@hourly"), kDay, {&it, 1}),
              ElementsAre(AwaitedRun{.task = kUp, .slot = {}, .never = true}));
  const UpstreamSchedule unreadable{.task = kUp, .schedule = {}, .unreadable = true};
  EXPECT_TRUE(awaited_runs(schedule("@hourly"), kDay, {&unreadable, 1}).at(0).never);
}

TEST(AwaitedRuns, UpstreamWithoutSchedule_ItsLatestRunSinceThePreviousFireTime) {
  const UpstreamSchedule upstreams[] = {{.task = kUp, .schedule = {}},
                                        {.task = kOther, .schedule = schedule("@daily")}};
  EXPECT_THAT(awaited_runs(schedule("0 6 * * *"), kDay + 6h, upstreams),
              ElementsAre(AwaitedRun{.task = kUp, .slot = {}, .ended_since = kDay - 18h},
                          AwaitedRun{.task = kOther, .slot = kDay}));
}

TEST(AwaitedRuns, TooMany_StopsBehindTheLimit) {
  EXPECT_EQ(slots_for("0 0 * * *", kDay, "* * * * *").size(), 1440U);
  EXPECT_EQ(slots_for("0 0 * * *", kDay, "* * * * * *").size(), kAwaitedRunsMax + 1) << "and not 86400";
  const UpstreamSchedule both[] = {{.task = kUp, .schedule = schedule("* * * * * *")},
                                   {.task = kOther, .schedule = schedule("* * * * * *")}};
  EXPECT_EQ(awaited_runs(schedule("0 0 * * *"), kDay, both).size(), kAwaitedRunsMax + 1);
}

}  // namespace
}  // namespace scheduler::domain
