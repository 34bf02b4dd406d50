// The days on which a zone skips or repeats local time. All instants are UTC; the comments give the local story.
#include "domain/schedule_support.hpp"

using namespace scheduler;
using namespace scheduler::domain;

namespace {

struct Day {
  std::string_view zone, after, until;
};

// 02:00 CET -> 03:00 CEST at 01:00Z; 03:00 CEST -> 02:00 CET at 01:00Z.
constexpr Day kBerlinGap{"Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z"};
constexpr Day kBerlinOverlap{"Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z"};
// 02:00 EST -> 03:00 EDT at 07:00Z; 02:00 EDT -> 01:00 EST at 06:00Z.
constexpr Day kNewYorkGap{"America/New_York", "2026-03-07T12:00:00Z", "2026-03-09T12:00:00Z"};
constexpr Day kNewYorkOverlap{"America/New_York", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z"};
// 02:00 -> 02:30 at 15:30Z; 02:00 -> 01:30 at 15:00Z.
constexpr Day kLordHoweGap{"Australia/Lord_Howe", "2026-10-03T00:00:00Z", "2026-10-05T00:00:00Z"};
constexpr Day kLordHoweOverlap{"Australia/Lord_Howe", "2026-04-04T00:00:00Z", "2026-04-06T00:00:00Z"};
// The whole of Friday 2011-12-30 is missing: the 29th ends and the 31st begins at 10:00Z.
constexpr Day kApiaSkippedDay{"Pacific/Apia", "2011-12-29T00:00:00Z", "2011-12-31T12:00:00Z"};
// 00:00 -> 01:00 at 03:00Z; Saturday's 24:00 -> 23:00 at 02:00Z.
constexpr Day kSaoPauloGap{"America/Sao_Paulo", "2018-11-03T00:00:00Z", "2018-11-05T12:00:00Z"};
constexpr Day kSaoPauloOverlap{"America/Sao_Paulo", "2018-02-17T00:00:00Z", "2018-02-19T12:00:00Z"};

std::string fires(const Day& day, std::string_view text, DstGap gap = DstGap::next,
                  DstOverlap overlap = DstOverlap::first) {
  auto it = spec(text, day.zone);
  it.dst_gap = gap;
  it.dst_overlap = overlap;
  return brief(slots(parsed(it), at(day.after), at(day.until), 200));
}

}  // namespace

// --- fixed times ---

TEST(NextSlot, FixedTimeInsideTheGap_FiresOnceAtItsEnd) {
  EXPECT_EQ(fires(kBerlinGap, "30 2 * * *"), "03-29 01:00, 03-30 00:30");
  EXPECT_EQ(fires(kBerlinGap, "0 2 * * *"), "03-29 01:00, 03-30 00:00");
  EXPECT_EQ(fires(kNewYorkGap, "30 2 * * *"), "03-08 07:00, 03-09 06:30");
  EXPECT_EQ(fires(kLordHoweGap, "15 2 * * *"), "10-03 15:30, 10-04 15:15");
  EXPECT_EQ(fires(kSaoPauloGap, "0 0 * * *"), "11-03 03:00, 11-04 03:00, 11-05 02:00");
}

TEST(NextSlot, FixedTimesThatMeetAtTheEndOfTheGap_AreOneSlot) {
  EXPECT_EQ(fires(kBerlinGap, "0 2,3 * * *"), "03-29 01:00, 03-30 00:00, 03-30 01:00");
}

TEST(NextSlot, FixedTimeBesideTheGap_IsUntouched) {
  EXPECT_EQ(fires(kBerlinGap, "59 1 * * *"), "03-29 00:59, 03-29 23:59");
  EXPECT_EQ(fires(kBerlinGap, "0 3 * * *"), "03-29 01:00, 03-30 01:00");
  EXPECT_EQ(fires(kLordHoweGap, "30 2 * * *"), "10-03 15:30, 10-04 15:30");
}

TEST(NextSlot, GapPolicyShift_FiresAsFarBehindTheGapAsInside) {
  EXPECT_EQ(fires(kBerlinGap, "30 2 * * *", DstGap::shift), "03-29 01:30, 03-30 00:30");
  EXPECT_EQ(fires(kLordHoweGap, "15 2 * * *", DstGap::shift), "10-03 15:45, 10-04 15:15");
  EXPECT_EQ(fires(kBerlinGap, "30 2,3 * * *", DstGap::shift), "03-29 01:30, 03-30 00:30, 03-30 01:30");
  EXPECT_EQ(fires(kBerlinGap, "30 2 29 3 *", DstGap::shift), "03-29 01:30");
}

TEST(NextSlot, GapPolicySkip_DoesNotFire) {
  EXPECT_EQ(fires(kBerlinGap, "30 2 * * *", DstGap::skip), "03-30 00:30");
  EXPECT_EQ(fires(kApiaSkippedDay, "0 12 * * *", DstGap::skip), "12-29 22:00, 12-30 22:00");
}

TEST(NextSlot, FixedTimeInsideTheOverlap_FiresOnceInTheChosenPass) {
  EXPECT_EQ(fires(kBerlinOverlap, "30 2 * * *"), "10-25 00:30, 10-26 01:30");
  EXPECT_EQ(fires(kBerlinOverlap, "30 2 * * *", DstGap::next, DstOverlap::last), "10-25 01:30, 10-26 01:30");
  EXPECT_EQ(fires(kBerlinOverlap, "30 2 * * *", DstGap::next, DstOverlap::both),
            "10-25 00:30, 10-25 01:30, 10-26 01:30");
  EXPECT_EQ(fires(kNewYorkOverlap, "30 1 * * *"), "11-01 05:30, 11-02 06:30");
  EXPECT_EQ(fires(kNewYorkOverlap, "0 1 * * *", DstGap::next, DstOverlap::last), "11-01 06:00, 11-02 06:00");
  EXPECT_EQ(fires(kLordHoweOverlap, "45 1 * * *"), "04-04 14:45, 04-05 15:15");
  EXPECT_EQ(fires(kLordHoweOverlap, "45 1 * * *", DstGap::next, DstOverlap::last), "04-04 15:15, 04-05 15:15");
  EXPECT_EQ(fires(kSaoPauloOverlap, "30 23 * * *"), "02-17 01:30, 02-18 01:30, 02-19 02:30");
}

TEST(NextSlot, FixedTimeBesideTheOverlap_FiresOnce) {
  for (const auto policy : {DstOverlap::first, DstOverlap::last, DstOverlap::both}) {
    EXPECT_EQ(fires(kBerlinOverlap, "59 1 * * *", DstGap::next, policy), "10-24 23:59, 10-26 00:59");
    EXPECT_EQ(fires(kBerlinOverlap, "0 3 * * *", DstGap::next, policy), "10-25 02:00, 10-26 02:00");
    EXPECT_EQ(fires(kLordHoweOverlap, "0 2 * * *", DstGap::next, policy), "04-04 15:30, 04-05 15:30");
  }
}

TEST(NextSlot, EveryOtherHour_IsAFixedTime) {
  EXPECT_EQ(fires({"Europe/Berlin", "2026-03-28T22:59:00Z", "2026-03-29T03:00:00Z"}, "0 */2 * * *"),
            "03-28 23:00, 03-29 01:00, 03-29 02:00");  // 00:00, 02:00 -> 03:00, 04:00
  EXPECT_EQ(fires({"Europe/Berlin", "2026-10-24T21:59:00Z", "2026-10-25T03:00:00Z"}, "0 */2 * * *"),
            "10-24 22:00, 10-25 00:00, 10-25 03:00");  // 00:00, 02:00 in the first pass, 04:00
}

// --- intervals ---

TEST(NextSlot, EveryHour_FollowsElapsedTime) {
  EXPECT_EQ(fires({"Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T03:00:00Z"}, "0 * * * *"),
            "03-29 00:00, 03-29 01:00, 03-29 02:00, 03-29 03:00");
  EXPECT_EQ(fires({"Europe/Berlin", "2026-10-24T23:00:00Z", "2026-10-25T03:00:00Z"}, "0 * * * *"),
            "10-25 00:00, 10-25 01:00, 10-25 02:00, 10-25 03:00");
  EXPECT_EQ(fires({"Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T03:00:00Z"}, "17 * * * *"),
            "03-28 23:17, 03-29 00:17, 03-29 01:17, 03-29 02:17");
}

TEST(NextSlot, EveryHalfHourOverAllHours_NeitherDoublesNorMisses) {
  for (const Day& day : {kBerlinGap, kBerlinOverlap, kNewYorkGap, kNewYorkOverlap, kLordHoweGap, kLordHoweOverlap,
                         kApiaSkippedDay, kSaoPauloGap, kSaoPauloOverlap}) {
    const auto found = slots(parsed("*/30 * * * *", day.zone), at(day.after), at(day.until), 1000);
    ASSERT_GT(found.size(), 90U);
    for (std::size_t i = 1; i < found.size(); ++i)
      ASSERT_EQ(found[i] - found[i - 1], Seconds{1800}) << day.zone << ' ' << format_rfc3339(found[i]);
  }
}

TEST(NextSlot, PoliciesOfFixedTimes_DoNotTouchIntervals) {
  for (const auto gap : {DstGap::next, DstGap::shift, DstGap::skip})
    for (const auto overlap : {DstOverlap::first, DstOverlap::last, DstOverlap::both}) {
      EXPECT_EQ(fires({"Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T01:40:00Z"}, "*/20 * * * *", gap, overlap),
                "03-29 00:40, 03-29 01:00, 03-29 01:20, 03-29 01:40");
      EXPECT_EQ(
          fires({"Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-25T01:40:00Z"}, "*/20 1-3 * * *", gap, overlap),
          "10-25 00:40, 10-25 01:00, 10-25 01:20, 10-25 01:40");
    }
}

TEST(NextSlot, SeveralFiresAnHour_RunOnThroughBothPasses) {
  EXPECT_EQ(fires(kBerlinOverlap, "*/30 2 * * *"),
            "10-25 00:00, 10-25 00:30, 10-25 01:00, 10-25 01:30, 10-26 01:00, 10-26 01:30");
}

TEST(NextSlot, SeveralFiresAnHourAcrossTheGap_GetNoExtraFireAtItsEnd) {
  EXPECT_EQ(fires({"Europe/Berlin", "2026-03-28T23:30:00Z", "2026-03-29T03:00:00Z"}, "10,40 1-3 * * *"),
            "03-29 00:10, 03-29 00:40, 03-29 01:10, 03-29 01:40");
}

TEST(NextSlot, SeveralFiresAllInsideTheGap_FireOnceAtItsEndRatherThanLoseTheDay) {
  EXPECT_EQ(fires(kBerlinGap, "*/30 2 * * *"), "03-29 01:00, 03-30 00:00, 03-30 00:30");
  EXPECT_EQ(fires(kBerlinGap, "*/30 2 * * *", DstGap::shift), "03-29 01:00, 03-29 01:30, 03-30 00:00, 03-30 00:30");
  EXPECT_EQ(fires(kBerlinGap, "*/30 2 * * *", DstGap::skip), "03-30 00:00, 03-30 00:30");
}

// --- a day that never was ---

TEST(NextSlot, FixedTimeOnASkippedDay_FiresWhenTheNextDayBegins) {
  EXPECT_EQ(fires(kApiaSkippedDay, "0 12 * * *"), "12-29 22:00, 12-30 10:00, 12-30 22:00");
  EXPECT_EQ(fires(kApiaSkippedDay, "0 12 * * FRI"), "12-30 10:00");
  EXPECT_EQ(fires(kApiaSkippedDay, "0 12 30 12 *", DstGap::shift), "12-30 22:00");
  EXPECT_EQ(fires(kApiaSkippedDay, "0 12 * * FRI", DstGap::skip), "");
}

TEST(NextSlot, IntervalOnASkippedDay_GoesOnAsIfNothingHappened) {
  EXPECT_EQ(fires({"Pacific/Apia", "2011-12-30T08:30:00Z", "2011-12-30T12:00:00Z"}, "30 * * * *"),
            "12-30 09:30, 12-30 10:30, 12-30 11:30");
  EXPECT_EQ(fires(kApiaSkippedDay, "0 * * * FRI"), "");
}

// --- both directions, and far ahead ---

TEST(LastSlot, AroundGapAndOverlap_MirrorsNextSlot) {
  const auto half_past_two = parsed("30 2 * * *", "Europe/Berlin");
  EXPECT_EQ(last(half_past_two, "2026-03-01T00:00:00Z", "2026-03-29T00:59:59Z"), "2026-03-28T01:30:00Z");
  EXPECT_EQ(last(half_past_two, "2026-03-01T00:00:00Z", "2026-03-29T01:00:00Z"), "2026-03-29T01:00:00Z");
  EXPECT_EQ(last(half_past_two, "2026-03-29T00:59:59Z", "2026-03-29T23:00:00Z"), "2026-03-29T01:00:00Z");
  EXPECT_EQ(last(half_past_two, "2026-03-29T01:00:00Z", "2026-03-29T23:00:00Z"), "never");
  EXPECT_EQ(last(half_past_two, "2026-10-01T00:00:00Z", "2026-10-25T12:00:00Z"), "2026-10-25T00:30:00Z");
}

TEST(NextSlot, YearsBehind2037_StillHaveSummerTime) {
  const auto nine = parsed("0 9 * * *", "Europe/Berlin");
  EXPECT_EQ(next(nine, "2050-01-15T00:00:00Z"), "2050-01-15T08:00:00Z");
  EXPECT_EQ(next(nine, "2050-07-15T00:00:00Z"), "2050-07-15T07:00:00Z");
  EXPECT_EQ(next(parsed("30 2 * * *", "Europe/Berlin"), "2050-03-27T00:00:00Z"), "2050-03-27T01:00:00Z");
}
