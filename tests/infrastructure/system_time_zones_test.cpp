#include "infrastructure/system_time_zones.hpp"

#include "infrastructure/posix_tz.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

using namespace scheduler;
using namespace scheduler::infrastructure;
using namespace std::chrono;

namespace {

std::string fault_of(const SystemTimeZones& zones, std::string_view name) {
  const auto found = zones.find(name);
  if (found) return "found";
  EXPECT_EQ(found.error().kind, ErrorKind::Validation);
  return found.error().message;
}

// The C library reads the same files with its own code; TZ is put back at the end.
class LibraryZone {
 public:
  explicit LibraryZone(const std::string& name) {
    setenv("TZ", name.c_str(), 1);
    tzset();
  }
  ~LibraryZone() {
    unsetenv("TZ");
    tzset();
  }
  LibraryZone(const LibraryZone&) = delete;
  LibraryZone& operator=(const LibraryZone&) = delete;

  [[nodiscard]] Seconds offset_at(domain::SysSeconds at) const {
    const std::time_t t = at.time_since_epoch().count();
    std::tm local{};
    localtime_r(&t, &local);
    return Seconds{local.tm_gmtoff};
  }
};

}  // namespace

TEST(Find, NamesAndLinks_AreFoundOnceAndStay) {
  const SystemTimeZones zones;
  const auto berlin = zones.find("Europe/Berlin");
  ASSERT_TRUE(berlin);
  EXPECT_EQ((*berlin)->name(), "Europe/Berlin");
  EXPECT_EQ(zones.find("Europe/Berlin"), berlin);
  EXPECT_TRUE(zones.find("US/Pacific"));
  EXPECT_TRUE(zones.find("America/Argentina/Buenos_Aires"));
}

TEST(Find, EveryNameOfUtc_IsTheZoneThatReadsNoFile) {
  const SystemTimeZones zones;
  for (const std::string_view name : {"UTC", "Etc/UTC", "Etc/UCT", "Universal", "Zulu"})
    EXPECT_EQ(zones.find(name).value(), &domain::utc()) << name;
}

TEST(Find, UnknownName_IsRefusedWithTheNearestOne) {
  const SystemTimeZones zones;
  const struct {
    std::string_view name, message;
  } rows[] = {
      {"Europe/Berlni", "time zone 'Europe/Berlni' is not known; did you mean 'Europe/Berlin'?"},
      {"europe/berlin", "time zone 'europe/berlin' is not known; did you mean 'Europe/Berlin'?"},
      {"berlin", "time zone 'berlin' is not known; did you mean 'Europe/Berlin'?"},
      {"new york", "time zone 'new york' is not known; did you mean 'America/New_York'?"},
      {"Asia/Calcuta", "time zone 'Asia/Calcuta' is not known; did you mean 'Asia/Calcutta'?"},
      {"Ytc", "time zone 'Ytc' is not known; did you mean 'UTC'?"},
      {"", "time zone '' is not known; use an IANA name such as Europe/Berlin, America/New_York or UTC"},
      {"a\x01\x1b[31mb",
       "time zone 'a??[31mb' is not known; use an IANA name such as Europe/Berlin, America/New_York or UTC"},
  };
  for (const auto& row : rows) EXPECT_EQ(fault_of(zones, row.name), row.message);
}

TEST(Find, NamesThatAreNoZones_AreRefused) {
  const SystemTimeZones zones;
  for (const std::string_view name : {"localtime", "posixrules", "Z", "../../../etc/passwd", "/etc/localtime", "Europe",
                                      "Europe/", "zone.tab", "right/Europe/Berlin", "CEST"})
    EXPECT_NE(fault_of(zones, name), "found") << name;
  EXPECT_NE(fault_of(zones, std::string(100'000, 'x')), "found");
  EXPECT_NE(fault_of(zones, std::string("UTC\0x", 5)), "found");
}

TEST(Find, ManyThreadsAtOnce_AllGetTheSameZone) {
  const SystemTimeZones zones;
  std::vector<const domain::TimeZone*> found(8);
  {
    std::vector<std::jthread> threads;
    for (auto& one : found) threads.emplace_back([&] { one = zones.find("Asia/Tokyo").value(); });
  }
  for (const auto* one : found) EXPECT_EQ(one, found[0]);
}

TEST(PeriodAt, AllYears_HaveTheOffsetsOfTheCLibrary) {
  const SystemTimeZones zones;
  for (const std::string name : {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Pacific/Apia",
                                 "Africa/Casablanca", "Europe/Dublin", "Asia/Gaza", "America/Nuuk", "America/Santiago",
                                 "Pacific/Chatham", "Asia/Kolkata", "America/Sao_Paulo", "Africa/Cairo",
                                 "Antarctica/Troll", "Asia/Jerusalem", "America/Havana", "Europe/Chisinau"}) {
    const auto zone = zones.find(name);
    ASSERT_TRUE(zone) << name;
    const LibraryZone oracle(name);
    for (domain::SysSeconds t = sys_days{1970y / 1 / 1}; t < sys_days{2199y / 12 / 31}; t += hours{11} + minutes{7})
      ASSERT_EQ((*zone)->period_at(t).offset, oracle.offset_at(t)) << name << ' ' << format_rfc3339(t);
  }
}

TEST(PeriodAt, EveryChange_IsWhereTheCLibraryHasIt) {
  const SystemTimeZones zones;
  for (const std::string name :
       {"Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Nuuk", "Asia/Gaza"}) {
    const auto* zone = zones.find(name).value();
    const LibraryZone oracle(name);
    int changes = 0;
    for (auto p = zone->period_at(sys_days{1970y / 1 / 1}); p.end < domain::kZoneEnd; p = zone->period_at(p.end)) {
      ASSERT_EQ(oracle.offset_at(p.end - 1s), p.offset) << name << ' ' << format_rfc3339(p.end);
      ASSERT_EQ(oracle.offset_at(p.end), zone->period_at(p.end).offset) << name << ' ' << format_rfc3339(p.end);
      ++changes;
    }
    EXPECT_GT(changes, 300) << name;  // two a year, also behind 2037
  }
}

TEST(PeriodAt, AnyZone_RunsWithoutHolesFromBeginToEnd) {
  const SystemTimeZones zones;
  for (const std::string name : {"Europe/Berlin", "Asia/Kolkata", "Pacific/Kwajalein", "EST", "Etc/GMT+12"}) {
    const auto* zone = zones.find(name).value();
    auto period = zone->period_at(domain::kZoneBegin - days{400});
    EXPECT_EQ(period.begin, domain::kZoneBegin) << name;
    while (period.end < domain::kZoneEnd) {
      const auto next = zone->period_at(period.end);
      ASSERT_EQ(next.begin, period.end) << name;
      ASSERT_NE(next.offset, period.offset) << name;
      ASSERT_EQ(zone->period_at(period.end - 1s), period) << name;
      period = next;
    }
    EXPECT_EQ(zone->period_at(domain::kZoneEnd + days{400}), period) << name;
  }
}

TEST(ParsePosixTz, FormsOfTheTzDatabase_AreUnderstood) {
  for (const std::string_view text : {"CET-1CEST,M3.5.0,M10.5.0/3", "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
                                      "IST-1GMT0,M10.5.0,M3.5.0/1", "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
                                      "EET-2EEST,M3.4.4/50,M10.4.4/50", "<+1245>-12:45<+1345>,M9.5.0/2:45,M4.1.0/3:45"})
    EXPECT_TRUE(parse_posix_tz(text)) << text;
}

TEST(ParsePosixTz, AnythingElse_IsNothing) {
  for (const std::string_view text :
       {"", "UTC0", "CET-1", "CET-1CEST", "CET-1CEST,J60,J300", "CET-1CEST,M3.5.0", "CET-1CEST,M13.5.0,M10.5.0",
        "CET-1CEST,M3.6.0,M10.5.0", "CET-1CEST,M3.5.7,M10.5.0", "CET-1CEST,M3.5.0,M10.5.0/", "<+1030-10:30",
        "CET-1CEST,M3.5.0,M10.5.0/3x", "X-1CEST,M3.5.0,M10.5.0"})
    EXPECT_FALSE(parse_posix_tz(text)) << text;
}
