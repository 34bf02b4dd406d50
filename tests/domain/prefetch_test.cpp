#include "domain/prefetch.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string_view>

using namespace scheduler::domain;

TEST(Prefetch, EndedPerSecond_GivesTheRunsOfOneRoundTrip) {
  const struct {
    std::string_view name;
    double rate;
    int expected;
  } rows[] = {
      {"an idle worker holds nothing more", 0, 0},
      {"nor does one of long tasks", 0.2, 0},
      {"nine a second end within no round trip", 9.9, 0},
      {"ten do", 10, 1},
      {"a thousand hold a hundred", 1000, 100},
      {"the most that counts", 40960, kPrefetchMax},
      {"more than that", 1e9, kPrefetchMax},
      {"a rate beyond every integer", 1e300, kPrefetchMax},
      {"no rate at all", std::numeric_limits<double>::infinity(), kPrefetchMax},
      {"a clock that went back", -50, 0},
  };
  for (const auto& row : rows) EXPECT_EQ(prefetch(row.rate), row.expected) << row.name;
}
