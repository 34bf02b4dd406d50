#include "dispatcher/upstream_waits.hpp"

#include "application/task_schedule.hpp"
#include "support/fake_zones.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace scheduler::dispatcher {
namespace {

using namespace std::chrono_literals;
using application::Fire;
using application::UpstreamTask;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr TaskId kUp{1};
const TimePoint kDay = std::chrono::sys_days{std::chrono::year{2026} / 3 / 2};

class Waits : public ::testing::Test {
 protected:
  // A task that fires at these slots and runs after `kUp`.
  Fire fire(const std::string& schedule, const std::vector<TimePoint>& slots) const {
    Fire it;
    it.task.id = TaskId{9};
    it.task.spec.name = "down";
    it.task.spec.schedule = schedule;
    it.task.spec.dependencies = {kUp};
    it.task.watermark = slots.front() - 1s;
    for (const auto slot : slots) it.plan.slots.push_back({slot, slot, true, domain::Reason::none});
    it.plan.watermark = slots.back();
    return it;
  }
  void add(UpstreamWaits& waits, Fire& fire) const {
    waits.add(*application::schedule_of(fire.task.spec, {}, zones_), fire);
  }
  static UpstreamTask upstream(const std::string& schedule, const std::string& zone = "UTC") {
    return {.id = kUp, .version = 7, .name = "up", .timezone = zone, .schedule = schedule, .created_at = {}};
  }

  testing_support::FakeZones zones_;
};

TEST_F(Waits, Add_FiredSlots_GetTheirUpstreamSlotsAndTheVersionSeen) {
  UpstreamWaits waits({upstream("@hourly")}, zones_);
  auto it = fire("@daily", {kDay, kDay + 24h});
  it.plan.slots[0].fire = false;
  add(waits, it);
  ASSERT_THAT(it.awaited, SizeIs(1)) << "a skipped slot waits for nothing";
  EXPECT_THAT(it.awaited.at(kDay + 24h), SizeIs(24));
  EXPECT_THAT(it.upstream_versions, ElementsAre(Pair(kUp, 7)));
  EXPECT_EQ(it.plan.watermark, kDay + 24h);
}

TEST_F(Waits, Add_UpstreamThatCannotBeRead_NeverComes) {
  UpstreamWaits waits({upstream("@hourly", "Atlantis/Capital")}, zones_);
  auto it = fire("@daily", {kDay});
  add(waits, it);
  ASSERT_THAT(it.awaited.at(kDay), SizeIs(1));
  EXPECT_TRUE(it.awaited.at(kDay)[0].never);
}

TEST_F(Waits, Add_MoreThanARunMayWaitFor_SkipsTheSlotWithAReason) {
  UpstreamWaits waits({upstream("* * * * * *")}, zones_);
  auto it = fire("@daily", {kDay});
  add(waits, it);
  EXPECT_THAT(it.awaited, IsEmpty());
  EXPECT_FALSE(it.plan.slots[0].fire);
  EXPECT_EQ(it.plan.slots[0].reason, domain::Reason::dependency_failed);
}

// A long catch-up would otherwise write a hundred times 1,440 rows at once.
TEST_F(Waits, Add_MoreThanATransactionTakes_LeavesTheRestForTheNextTick) {
  UpstreamWaits waits({upstream("* * * * *")}, zones_);
  std::vector<TimePoint> slots;
  for (int i = 0; i < 50; ++i) slots.push_back(kDay + i * 24h);
  auto it = fire("@daily", slots);
  add(waits, it);
  EXPECT_THAT(it.plan.slots, SizeIs(13)) << "13 days of 1,440 are within 20,000";
  EXPECT_EQ(it.plan.watermark, kDay + 12 * 24h);
  EXPECT_EQ(it.plan.next_fire_at, kDay + 13 * 24h);
  auto another = fire("@daily", {kDay});
  add(waits, another);
  EXPECT_THAT(another.plan.slots, IsEmpty());
  EXPECT_EQ(another.plan.watermark, another.task.watermark);
  EXPECT_EQ(another.plan.next_fire_at, kDay);
}

}  // namespace
}  // namespace scheduler::dispatcher
