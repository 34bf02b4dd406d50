#include "domain/prefetch.hpp"

#include <gtest/gtest.h>

#include <limits>
#include <string_view>

using namespace scheduler::domain;

TEST(NextPrefetch, WhatTheWorkerSaw_DecidesWhatItHolds) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  const struct {
    std::string_view name;
    int current;
    PrefetchWindow seen;
    int expected;
  } rows[] = {
      {"an idle worker holds nothing more", 0, {0, true}, 0},
      {"nor does one of long tasks", 0, {0.2, true}, 0},
      {"one that ran dry begins with sixteen", 0, {1000, true}, 16},
      {"and then takes four times as much", 16, {1000, true}, 64},
      {"never more than it ends in a second", 256, {300, true}, 300},
      {"one that has enough keeps it", 64, {1000, false}, 64},
      {"one that became slow lets go, by half at a time", 4096, {10, false}, 2048},
      {"the most that counts", 2048, {1e9, true}, kPrefetchMax},
      {"a rate beyond every integer", 2048, {kInfinity, true}, kPrefetchMax},
      {"until it holds nothing", 1, {0, false}, 0},
      {"a clock that went back", 16, {-50, true}, 8},
  };
  for (const auto& row : rows) EXPECT_EQ(next_prefetch(row.current, row.seen), row.expected) << row.name;
}
