#include "domain/slot_audit.hpp"

#include "domain/schedule_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::domain;
using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

namespace {

const TimePoint kBegin = *parse_rfc3339("2026-03-01T00:00:00Z");

TimePoint minute(int n) { return kBegin + std::chrono::minutes(n); }
std::vector<TimePoint> minutes(int first, int last) {
  std::vector<TimePoint> all;
  for (int i = first; i <= last; ++i) all.push_back(minute(i));
  return all;
}
SlotRecord fired(int n, int runs = 1, int shards = 1) {
  return {.first = minute(n), .last = minute(n), .fired = true, .runs = runs, .shards = shards};
}
SlotRecord skipped(TimePoint first, TimePoint last, Reason reason = Reason::misfire) {
  return {.first = first, .last = last, .fired = false, .reason = reason};
}

AuditView view_of(SlotCounts counts) {
  AuditView view{.now = minute(60), .from = kBegin, .to = minute(60), .covered_from = kBegin, .covered_to = minute(60)};
  view.counts = std::move(counts);
  view.task.spec.schedule = "* * * * *";
  view.task.created_at = view.task.schedule_since.emplace(kBegin);
  view.task.watermark = minute(60);
  return view;
}

}  // namespace

TEST(SlotAudit, EverySlotOnRecordOnce_IsNoGapAndNoDouble) {
  SlotAudit audit;
  audit.add(minutes(1, 6), std::vector{fired(1), skipped(minute(2), minute(4)), fired(5),
                                       skipped(minute(6), minute(6), Reason::overlap)});
  const auto& counts = audit.counts();
  EXPECT_EQ(counts.expected, 6);
  EXPECT_EQ(counts.fired, 2);
  EXPECT_THAT(counts.skipped, ElementsAre(std::pair(Reason::overlap, 1), std::pair(Reason::misfire, 3)));
  EXPECT_EQ(counts.missing, 0);
  EXPECT_EQ(counts.doubled, 0);
}

TEST(SlotAudit, SlotsWithoutARecord_AreGapsOfNeighbours) {
  SlotAudit audit;
  audit.add(minutes(1, 6), std::vector{fired(1), fired(4)});
  EXPECT_EQ(audit.counts().missing, 4);
  EXPECT_THAT(audit.counts().gaps, ElementsAre(SlotSpan{minute(2), minute(3), 2}, SlotSpan{minute(5), minute(6), 2}));
}

TEST(SlotAudit, SlotsWithTwoRecords_AreDoubles) {
  SlotAudit audit;
  audit.add(minutes(1, 6), std::vector{skipped(minute(1), minute(4)), fired(3), skipped(minute(4), minute(6))});
  EXPECT_EQ(audit.counts().doubled, 2);
  EXPECT_THAT(audit.counts().doubles, ElementsAre(SlotSpan{minute(3), minute(4), 2}));
  EXPECT_THAT(audit.counts().gaps, IsEmpty());
}

TEST(SlotAudit, ShardWithoutARecord_IsAGap) {
  SlotAudit audit;
  audit.add(minutes(1, 2), std::vector{fired(1, 3, 3), fired(2, 2, 3)});
  EXPECT_THAT(audit.counts().gaps, ElementsAre(SlotSpan{minute(2), minute(2), 1}));
}

TEST(SlotAudit, Stretches_JoinAsIfTheyWereOne) {
  const std::vector records{fired(1), skipped(minute(2) - 1us, minute(5)), fired(8)};
  SlotAudit whole, stretches;
  whole.add(minutes(1, 9), records);
  for (int i = 1; i <= 9; i += 2) stretches.add(minutes(i, std::min(i + 1, 9)), records);
  EXPECT_EQ(stretches.counts(), whole.counts());
  EXPECT_THAT(whole.counts().gaps, ElementsAre(SlotSpan{minute(6), minute(7), 2}, SlotSpan{minute(9), minute(9), 1}));
}

TEST(SlotAudit, ManyGaps_AreCountedButNotAllTold) {
  SlotAudit audit;
  std::vector<SlotRecord> records;
  for (int i = 2; i <= 500; i += 2) records.push_back(fired(i));
  auto expected = minutes(1, 500);
  audit.add(expected, records);
  EXPECT_EQ(audit.counts().missing, 250);
  EXPECT_EQ(audit.counts().gaps.size(), kAuditSpansMax);
  EXPECT_EQ(audit.counts().gaps.back().slots, 1);
}

TEST(Verdict, EveryCase_SaysWhatIsProvenAndWhatIsNot) {
  const SlotCounts good{.expected = 60, .fired = 50, .skipped = {{Reason::misfire, 8}, {Reason::paused, 2}}};
  auto view = view_of(good);
  EXPECT_TRUE(verdict(view).complete);
  EXPECT_EQ(verdict(view).sentence,
            "no gap, no double: 60 fire times after 2026-03-01T00:00:00Z up to 2026-03-01T01:00:00Z, each with exactly "
            "one disposition: 50 fired, 10 skipped (8 misfire, 2 paused)");
  EXPECT_THAT(verdict(view).notes, IsEmpty());

  view = view_of({.expected = 60, .missing = 3});
  EXPECT_FALSE(verdict(view).complete);
  EXPECT_THAT(verdict(view).sentence, HasSubstr("a gap: of 60 fire times"));
  view = view_of({.expected = 60, .doubled = 3});
  EXPECT_FALSE(verdict(view).complete);
  EXPECT_THAT(verdict(view).sentence, HasSubstr("a double: of 60 fire times"));

  view = view_of({});
  EXPECT_THAT(verdict(view).sentence, HasSubstr("names no fire time"));
  view.covered_to = view.covered_from;
  EXPECT_THAT(verdict(view).sentence, HasSubstr("has been decided"));

  view = view_of(good);
  view.from = kBegin - 1h;
  EXPECT_THAT(verdict(view).notes, ElementsAre("the task was made at 2026-03-01T00:00:00Z"));
  view.task.created_at -= 24h;
  EXPECT_THAT(verdict(view).notes, ElementsAre(HasSubstr("reads as it does since 2026-03-01T00:00:00Z")));

  view = view_of(good);
  view.undecided = 5;
  EXPECT_TRUE(verdict(view).complete) << "what is not decided yet is no gap";
  EXPECT_THAT(verdict(view).notes, ElementsAre(HasSubstr("5 fire times are due and not decided yet: a dispatcher")));
  view.set_aside = "it was set aside";
  EXPECT_THAT(verdict(view).notes, ElementsAre(HasSubstr("it was set aside")));
  view.task.spec.status = TaskStatus::paused;
  EXPECT_THAT(verdict(view).notes, ElementsAre(HasSubstr("the task is paused")));

  view = view_of({});
  view.readable = false;
  view.set_aside = "there is no zone";
  EXPECT_FALSE(verdict(view).complete);
  EXPECT_EQ(verdict(view).sentence, "nothing is proven: there is no zone");
  view = view_of({});
  view.task.spec.schedule.reset();
  EXPECT_TRUE(verdict(view).complete);
}
