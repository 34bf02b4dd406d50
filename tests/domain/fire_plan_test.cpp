#include "domain/fire_plan.hpp"

#include "domain/schedule_support.hpp"
#include "support/fixed_random.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <utility>

using namespace scheduler;
using namespace scheduler::domain;
using namespace std::chrono_literals;
using testing_support::FixedRandom;

namespace {

constexpr Seconds kGrace{60};

constexpr MisfirePolicy kPolicies[] = {MisfirePolicy::skip, MisfirePolicy::latest, MisfirePolicy::all};

// "skip 01:00..05:00, fire 06:00": times of day in UTC.
std::string text(const FirePlan& plan) {
  const auto time = [](TimePoint at) { return format_rfc3339(at).substr(11, 8); };
  std::string all;
  for (const auto& it : plan.slots) {
    all += all.empty() ? "" : ", ";
    all += it.fire ? "fire " + time(it.first) : "skip " + time(it.first) + ".." + time(it.last);
  }
  return all;
}

std::string fire(std::string_view schedule, MisfirePolicy policy, std::string_view watermark, std::string_view now) {
  return text(plan_fire(parsed(schedule), {policy, kGrace, {}}, at(watermark), at(now)));
}

// Every slot in (watermark, plan.watermark], once; checked against the slots themselves.
void expect_disposed_once(const Schedule& schedule, const MisfireRule& rule, TimePoint watermark, TimePoint now) {
  const auto plan = plan_fire(schedule, rule, watermark, now);
  const auto policy = rule.policy;
  const auto label = std::string(name_of(policy)) + " grace " + std::to_string(rule.grace.count()) + " from " +
                     format_rfc3339(watermark) + " to " + format_rfc3339(now);
  ASSERT_GE(plan.watermark, watermark) << label;
  ASSERT_LE(plan.watermark, std::max(watermark, now)) << label;
  const auto expected = slots(schedule, watermark, plan.watermark, 1'000'000);
  std::size_t next = 0, fired = 0, late_fired = 0;
  for (const auto& it : plan.slots) {
    ASSERT_LT(next, expected.size()) << label;
    EXPECT_EQ(it.first, expected[next]) << label;
    EXPECT_LE(it.first, it.last) << label;
    if (it.fire) {
      EXPECT_EQ(it.first, it.last) << label;
      EXPECT_EQ(it.reason, Reason::none) << label;
      ++fired;
      const bool late = it.first < now - rule.grace;
      late_fired += late ? 1 : 0;
      EXPECT_EQ(it.due_at.has_value(), late) << label;
      EXPECT_GE(it.due_at.value_or(now), now) << label << ": what is late is not due before it is decided";
      if (late && rule.window) EXPECT_GE(it.first, now - *rule.window) << label << ": too old to fire";
    } else {
      EXPECT_EQ(it.reason, Reason::misfire) << label;
      EXPECT_LT(it.last, now - rule.grace) << label << ": what is on time is not skipped";
    }
    while (next < expected.size() && expected[next] <= it.last) ++next;
    EXPECT_EQ(it.last, expected[next - 1]) << label;
  }
  EXPECT_EQ(next, expected.size()) << label << ": a slot has no disposition";
  EXPECT_LE(fired, kCatchUpMax) << label;
  if (policy == MisfirePolicy::skip) EXPECT_EQ(late_fired, 0u) << label;
  if (policy == MisfirePolicy::latest) EXPECT_LE(late_fired, 1u) << label;
  if (plan.watermark < now) EXPECT_EQ(fired, kCatchUpMax) << label << ": only a full batch stops early";
  if (!expected.empty() && policy != MisfirePolicy::skip && !rule.window) EXPECT_GT(fired, 0u) << label;
  EXPECT_EQ(plan.next_fire_at, next_slot(schedule, plan.watermark)) << label;
}

}  // namespace

TEST(PlanFire, EachPolicy_DisposesOfLateSlots) {
  const auto skip = MisfirePolicy::skip, latest = MisfirePolicy::latest, all = MisfirePolicy::all;
  const struct {
    std::string_view name, schedule;
    MisfirePolicy policy;
    std::string_view watermark, now, expected;
  } rows[] = {
      {"nothing is due", "0 * * * *", latest, "2026-03-01T00:00:00Z", "2026-03-01T00:59:59Z", ""},
      {"a slot fires at its instant", "0 * * * *", latest, "2026-03-01T00:00:00Z", "2026-03-01T01:00:00Z",
       "fire 01:00:00"},
      {"the watermark itself is decided", "0 * * * *", latest, "2026-03-01T01:00:00Z", "2026-03-01T01:00:30Z", ""},
      {"just within the grace", "0 * * * *", skip, "2026-03-01T00:30:00Z", "2026-03-01T01:00:59Z", "fire 01:00:00"},
      {"as late as the grace is in time", "0 * * * *", skip, "2026-03-01T00:30:00Z", "2026-03-01T01:01:00Z",
       "fire 01:00:00"},
      {"later than the grace is a misfire", "0 * * * *", skip, "2026-03-01T00:30:00Z", "2026-03-01T01:01:00.000001Z",
       "skip 01:00:00..01:00:00"},
      {"skip drops all late ones", "0 * * * *", skip, "2026-03-01T00:30:00Z", "2026-03-01T06:30:00Z",
       "skip 01:00:00..06:00:00"},
      {"skip keeps the one on time", "0 * * * *", skip, "2026-03-01T00:30:00Z", "2026-03-01T06:00:10Z",
       "skip 01:00:00..05:00:00, fire 06:00:00"},
      {"latest fires the last late one", "0 * * * *", latest, "2026-03-01T00:30:00Z", "2026-03-01T06:30:00Z",
       "skip 01:00:00..05:00:00, fire 06:00:00"},
      {"latest prefers the one on time", "0 * * * *", latest, "2026-03-01T00:30:00Z", "2026-03-01T06:00:10Z",
       "skip 01:00:00..05:00:00, fire 06:00:00"},
      {"latest with one late slot", "0 * * * *", latest, "2026-03-01T05:30:00Z", "2026-03-01T06:30:00Z",
       "fire 06:00:00"},
      {"all fires all", "0 * * * *", all, "2026-03-01T03:30:00Z", "2026-03-01T06:30:00Z",
       "fire 04:00:00, fire 05:00:00, fire 06:00:00"},
      {"two on time, one late", "@every 25s", latest, "2026-03-01T00:00:01Z", "2026-03-01T00:01:30Z",
       "skip 00:00:07..00:00:07, fire 00:00:32, fire 00:00:57, fire 00:01:22"},
      {"an instant long past", "@at 2026-03-01T04:00:00Z", latest, "2026-03-01T00:00:00Z", "2026-03-02T00:00:00Z",
       "fire 04:00:00"},
      {"an instant that was decided", "@at 2026-03-01T04:00:00Z", latest, "2026-03-01T04:00:00Z",
       "2026-03-02T00:00:00Z", ""},
  };
  for (const auto& row : rows)
    EXPECT_EQ(fire(row.schedule, row.policy, row.watermark, row.now), row.expected) << row.name;
}

TEST(PlanFire, LastInstant_HasNoNextOne) {
  const auto plan =
      plan_fire(parsed("@at 2026-03-01T04:00:00Z"), {}, at("2026-03-01T00:00:00Z"), at("2026-03-01T04:00:00Z"));
  EXPECT_EQ(text(plan), "fire 04:00:00");
  EXPECT_EQ(plan.next_fire_at, std::nullopt);
}

TEST(PlanFire, CatchUp_IsBoundedToTheNewest) {
  const auto schedule = parsed("* * * * *");
  const MisfireRule rule{.policy = MisfirePolicy::all};
  auto plan = plan_fire(schedule, rule, at("2026-03-01T00:00:00Z"), at("2026-03-02T00:00:30Z"));
  ASSERT_EQ(plan.slots.size(), 1 + kCatchUpMax);
  EXPECT_EQ(plan.slots[0],
            (SlotDecision{at("2026-03-01T00:01:00Z"), at("2026-03-01T22:19:00Z"), false, Reason::misfire}));
  EXPECT_EQ(plan.slots[1].first, at("2026-03-01T22:20:00Z"));
  EXPECT_EQ(plan.watermark, at("2026-03-01T23:59:00Z")) << "a full batch: the rest follows at the next tick";
  plan = plan_fire(schedule, rule, plan.watermark, at("2026-03-02T00:00:30Z"));
  EXPECT_EQ(text(plan), "fire 00:00:00");
  EXPECT_EQ(plan.watermark, at("2026-03-02T00:00:30Z"));
}

TEST(PlanFire, ClockGoingBack_DecidesNothingTwice) {
  const auto schedule = parsed("0 * * * *");
  for (const auto policy : kPolicies) {
    const auto plan = plan_fire(schedule, {.policy = policy}, at("2026-03-01T06:00:00Z"), at("2026-03-01T02:00:00Z"));
    EXPECT_EQ(text(plan), "");
    EXPECT_EQ(plan.watermark, at("2026-03-01T06:00:00Z")) << "the watermark never goes back";
    EXPECT_EQ(plan.next_fire_at, at("2026-03-01T07:00:00Z"));
  }
}

TEST(PlanFire, DaylightSaving_FiresEachNightOnce) {
  const auto schedule = parsed("30 2 * * *", "Europe/Berlin");
  // Spring: 02:30 does not exist on the 29th; autumn: it exists twice on October 25th.
  const MisfireRule rule{.policy = MisfirePolicy::all};
  const auto spring = plan_fire(schedule, rule, at("2026-03-28T00:00:00Z"), at("2026-03-30T12:00:00Z"));
  EXPECT_EQ(text(spring), "fire 01:30:00, fire 01:00:00, fire 00:30:00");
  const auto autumn = plan_fire(schedule, rule, at("2026-10-24T00:00:00Z"), at("2026-10-26T12:00:00Z"));
  EXPECT_EQ(text(autumn), "fire 00:30:00, fire 00:30:00, fire 01:30:00");
}

TEST(PlanFire, AnyWatermarkAndNow_DisposesOfEverySlotOnce) {
  FixedRandom random(3);
  const std::pair<const char*, const char*> rules[] = {{"@every 1s", "UTC"},
                                                       {"@every 7s", "UTC"},
                                                       {"@every 90s", "UTC"},
                                                       {"*/5 * * * *", "UTC"},
                                                       {"* * * * * *", "UTC"},
                                                       {"30 2 * * *", "Europe/Berlin"},
                                                       {"*/20 1-3 * * *", "America/New_York"},
                                                       {"0 0 1 * *", "Asia/Kathmandu"},
                                                       {"15,45 * * * *", "Australia/Lord_Howe"},
                                                       {"@at 2026-03-29T01:00:00Z", "UTC"}};
  const TimePoint centres[] = {at("2026-03-29T01:00:00Z"), at("2026-10-25T01:00:00Z"), at("2026-11-01T06:00:00Z"),
                               at("2026-06-15T12:34:56Z")};
  const Micros gaps[] = {0s, 1us, 1s, 59s, 60s, 61s, 100s, 160s, 200s, 1h, 26h};
  const std::pair<Seconds, std::optional<Seconds>> bounds[] = {{60s, {}},   {0s, {}}, {86'400s, {}}, {60s, 30s},
                                                               {60s, 150s}, {0s, 1s}, {1s, 3600s}};
  for (const auto& [rule, zone_name] : rules) {
    const auto schedule = parsed(rule, zone_name);
    for (const auto centre : centres)
      for (const auto gap : gaps)
        for (const auto policy : kPolicies) {
          const auto now = centre + std::chrono::seconds{random.below(7200) - 3600} +
                           std::chrono::microseconds{random.below(2) * 500'000};
          for (const auto& [grace, window] : bounds)
            expect_disposed_once(schedule, {policy, grace, window}, now - gap, now);
          if (HasFatalFailure()) return;
        }
  }
}

// One dispatcher that comes and goes: decisions join without a gap or a double.
TEST(PlanFire, TicksAtAnyTimes_JoinWithoutGapOrDouble) {
  FixedRandom random(11);
  for (const auto policy : kPolicies) {
    const auto schedule = parsed("@every 13s");
    const auto begin = at("2026-03-01T00:00:00Z");
    auto watermark = begin, now = begin;
    std::vector<TimePoint> decided;
    for (int tick = 0; tick < 400; ++tick) {
      now += std::chrono::milliseconds{random.below(10) == 0 ? random.below(3'600'000) : random.below(20'000)};
      const auto seen = random.below(20) == 0 ? now - 10min : now;  // the clock goes back now and then
      const auto plan = plan_fire(schedule, {.policy = policy}, watermark, seen);
      for (const auto& it : plan.slots) {
        const auto covered = slots(schedule, it.first - 1us, it.last, 1'000'000);
        decided.insert(decided.end(), covered.begin(), covered.end());
      }
      watermark = plan.watermark;
    }
    EXPECT_EQ(decided, slots(schedule, begin, watermark, 1'000'000)) << name_of(policy);
  }
}

// Counts how often a schedule is asked for a slot.
class CountingZone final : public TimeZone {
 public:
  [[nodiscard]] std::string_view name() const override { return "UTC"; }
  [[nodiscard]] OffsetPeriod period_at(SysSeconds at) const override {
    ++asked;
    return utc().period_at(at);
  }
  mutable int asked = 0;
};

// 2.6 million missed slots: a decision that walked over them would take seconds.
TEST(PlanFire, ThirtyDaysOfSeconds_CostNoMoreThanAnHourOfThem) {
  const CountingZone zone;
  auto text = spec("* * * * * *");
  text.zone = &zone;
  const auto schedule = parsed(text);
  const auto now = at("2026-03-31T00:00:00.5Z");
  for (const auto policy : kPolicies)
    for (const std::optional<Seconds> window : {std::optional<Seconds>{}, std::optional<Seconds>{86'400s}}) {
      int asked[2] = {};
      for (const int i : {0, 1}) {
        const auto watermark = i == 0 ? now - 1h : at("2026-03-01T00:00:00Z");
        zone.asked = 0;
        const auto plan = plan_fire(schedule, {policy, kGrace, window}, watermark, now);
        asked[i] = zone.asked;
        EXPECT_EQ(plan.slots.front().first, *next_slot(schedule, watermark)) << name_of(policy);
        EXPECT_LE(plan.slots.size(), 1 + kCatchUpMax) << name_of(policy);
      }
      EXPECT_LE(asked[1], asked[0] + 3) << name_of(policy) << ": the cost does not grow with what is skipped";
      EXPECT_LT(asked[1], 6 * static_cast<int>(kCatchUpMax)) << name_of(policy);
    }
}

TEST(PlanFire, MisfiresThatFire_AreDueOneAfterTheOther) {
  const auto now = at("2026-03-01T06:30:00.25Z");
  const auto plan = plan_fire(parsed("*/30 * * * *"), {.policy = MisfirePolicy::all}, at("2026-03-01T04:30:00Z"), now);
  ASSERT_EQ(text(plan), "fire 05:00:00, fire 05:30:00, fire 06:00:00, fire 06:30:00");
  EXPECT_EQ(plan.slots[0].due_at, now);
  EXPECT_EQ(plan.slots[1].due_at, now + kCatchUpPace);
  EXPECT_EQ(plan.slots[2].due_at, now + 2 * kCatchUpPace);
  EXPECT_EQ(plan.slots[3].due_at, std::nullopt) << "what is on time is due at its instant";
}

TEST(PlanFire, CatchUpWindow_BoundsHowFarBack) {
  const auto skip = MisfirePolicy::skip, latest = MisfirePolicy::latest, all = MisfirePolicy::all;
  const struct {
    std::string_view name;
    MisfireRule rule;
    std::string_view now, expected;
  } rows[] = {
      {"within the window all fires",
       {all, 60s, 7200s},
       "06:30:00",
       "skip 01:00:00..04:00:00, fire 05:00:00, fire 06:00:00"},
      {"as old as the window is within it",
       {all, 60s, 7200s},
       "06:00:00",
       "skip 01:00:00..03:00:00, fire 04:00:00, fire 05:00:00, fire 06:00:00"},
      {"the latest one is too old", {latest, 60s, 600s}, "06:30:00", "skip 01:00:00..06:00:00"},
      {"the latest one is young enough", {latest, 60s, 1800s}, "06:30:00", "skip 01:00:00..05:00:00, fire 06:00:00"},
      {"skip needs no window", {skip, 60s, 86'400s}, "06:30:00", "skip 01:00:00..06:00:00"},
      {"what is within the grace is no misfire",
       {skip, 7200s, 60s},
       "06:30:00",
       "skip 01:00:00..04:00:00, fire 05:00:00, fire 06:00:00"},
      {"no grace at all", {latest, 0s, {}}, "06:00:00", "skip 01:00:00..05:00:00, fire 06:00:00"},
  };
  for (const auto& row : rows) {
    const auto now = at("2026-03-01T" + std::string(row.now) + "Z");
    EXPECT_EQ(text(plan_fire(parsed("0 * * * *"), row.rule, at("2026-03-01T00:30:00Z"), now)), row.expected)
        << row.name;
  }
}

TEST(LeftAfter, SlotsDecidedMeanwhile_AreNotDecidedAgain) {
  const auto six = at("2026-03-01T06:00:00Z"), eight = at("2026-03-01T08:00:00Z");
  const SlotDecision skipped{six, eight, false, Reason::paused};
  EXPECT_EQ(left_after(skipped, six - 1h), skipped);
  EXPECT_EQ(left_after(skipped, six), (SlotDecision{six + 1us, eight, false, Reason::paused}));
  EXPECT_EQ(left_after(skipped, eight), std::nullopt);
}

TEST(OnOverlap, EveryPolicyAndLoad_ChoosesTheAction) {
  const auto start = OverlapAction::start, wait = OverlapAction::wait, skip = OverlapAction::skip,
             replace = OverlapAction::replace_then_wait;
  const struct {
    OverlapPolicy policy;
    OverlapAction idle, active, active_and_queued, many;
  } rows[] = {
      {OverlapPolicy::allow, start, start, start, start},
      {OverlapPolicy::forbid, start, skip, skip, skip},
      {OverlapPolicy::queue_one, start, wait, skip, skip},
      {OverlapPolicy::replace, start, replace, replace, replace},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(on_overlap(row.policy, 0, 0), row.idle) << name_of(row.policy);
    EXPECT_EQ(on_overlap(row.policy, 1, 0), row.active) << name_of(row.policy);
    EXPECT_EQ(on_overlap(row.policy, 1, 1), row.active_and_queued) << name_of(row.policy);
    EXPECT_EQ(on_overlap(row.policy, 7, 9), row.many) << name_of(row.policy);
  }
}

TEST(OverlapCause, EveryAction_NamesTheRunThatStoodInTheWay) {
  const RunId active{7}, queued{8};
  EXPECT_EQ(overlap_cause(OverlapAction::start, active, queued), std::nullopt);
  EXPECT_EQ(overlap_cause(OverlapAction::wait, active, {}), active);
  EXPECT_EQ(overlap_cause(OverlapAction::skip, active, {}), active);
  EXPECT_EQ(overlap_cause(OverlapAction::skip, active, queued), queued) << "it is merged into the one that waits";
  EXPECT_EQ(overlap_cause(OverlapAction::replace_then_wait, active, queued), active);
  EXPECT_EQ(overlap_cause(OverlapAction::replace_then_wait, {}, queued), queued);
}
