#include "domain/time_zone.hpp"

#include "domain/schedule_support.hpp"

using namespace scheduler;
using namespace scheduler::domain;
using namespace std::chrono;

namespace {

LocalTime local(std::string_view text) {
  return LocalTime{floor<seconds>(at(std::string(text) + "Z")).time_since_epoch()};
}

}  // namespace

TEST(MeaningOf, EveryKindOfLocalTime_NamesItsInstants) {
  using Kind = LocalMeaning::Kind;
  const struct {
    std::string_view zone, local;
    Kind kind;
    std::string_view first, second, transition;
  } rows[] = {
      {"UTC", "2026-03-29T02:30:00", Kind::unique, "2026-03-29T02:30:00Z", "2026-03-29T02:30:00Z", ""},
      {"Europe/Berlin", "2026-07-01T02:30:00", Kind::unique, "2026-07-01T00:30:00Z", "2026-07-01T00:30:00Z", ""},
      {"Europe/Berlin", "2026-03-29T01:59:59", Kind::unique, "2026-03-29T00:59:59Z", "2026-03-29T00:59:59Z", ""},
      {"Europe/Berlin", "2026-03-29T02:00:00", Kind::gap, "2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z",
       "2026-03-29T01:00:00Z"},
      {"Europe/Berlin", "2026-03-29T02:30:00", Kind::gap, "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z",
       "2026-03-29T01:00:00Z"},
      {"Europe/Berlin", "2026-03-29T03:00:00", Kind::unique, "2026-03-29T01:00:00Z", "2026-03-29T01:00:00Z", ""},
      {"Europe/Berlin", "2026-10-25T01:59:59", Kind::unique, "2026-10-24T23:59:59Z", "2026-10-24T23:59:59Z", ""},
      {"Europe/Berlin", "2026-10-25T02:00:00", Kind::overlap, "2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z",
       "2026-10-25T01:00:00Z"},
      {"Europe/Berlin", "2026-10-25T03:00:00", Kind::unique, "2026-10-25T02:00:00Z", "2026-10-25T02:00:00Z", ""},
      {"Australia/Lord_Howe", "2026-10-04T02:15:00", Kind::gap, "2026-10-03T15:15:00Z", "2026-10-03T15:45:00Z",
       "2026-10-03T15:30:00Z"},
      {"Australia/Lord_Howe", "2026-04-05T01:45:00", Kind::overlap, "2026-04-04T14:45:00Z", "2026-04-04T15:15:00Z",
       "2026-04-04T15:00:00Z"},
      {"Pacific/Apia", "2011-12-30T12:00:00", Kind::gap, "2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z",
       "2011-12-30T10:00:00Z"},
  };
  for (const auto& row : rows) {
    const auto meaning = zone(row.zone).meaning_of(local(row.local));
    EXPECT_EQ(meaning.kind, row.kind) << row.zone << ' ' << row.local;
    EXPECT_EQ(format_rfc3339(meaning.first), row.first) << row.zone << ' ' << row.local;
    EXPECT_EQ(format_rfc3339(meaning.second), row.second) << row.zone << ' ' << row.local;
    if (!row.transition.empty()) {
      EXPECT_EQ(format_rfc3339(meaning.transition), row.transition) << row.zone << ' ' << row.local;
    }
  }
}

TEST(MeaningOf, LocalTimesOfInstants_LeadBackToThem) {
  for (const std::string_view name : {"Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu"}) {
    const auto& it = zone(name);
    for (auto t = floor<seconds>(at("2011-01-01T00:00:00Z")); t < at("2013-01-01T00:00:00Z"); t += minutes{37}) {
      const auto meaning = it.meaning_of(it.to_local(t));
      EXPECT_TRUE(meaning.kind != LocalMeaning::Kind::gap && (meaning.first == t || meaning.second == t))
          << name << ' ' << format_rfc3339(t);
    }
  }
}

TEST(Utc, AnyInstant_IsItsOwnLocalTime) {
  const auto t = floor<seconds>(at("9999-12-31T23:59:59Z"));
  EXPECT_EQ(utc().to_local(t).time_since_epoch(), t.time_since_epoch());
  EXPECT_EQ(utc().name(), "UTC");
}
