#include "domain/prefetch.hpp"

#include <gtest/gtest.h>

#include <string_view>

using namespace scheduler::domain;

TEST(NextPrefetch, WhatTheWorkerSaw_ChoosesHowMuchItHolds) {
  const struct {
    std::string_view name;
    int current;
    PrefetchWindow seen;
    int expected;
  } rows[] = {
      {"an idle worker holds nothing more", 0, {0, true}, 0},
      {"nor does one of long tasks", 0, {0.2, true}, 0},
      {"one that ran dry begins with sixteen", 0, {1000, true}, 16},
      {"and asks for four times as much", 16, {1000, true}, 64},
      {"but never more than a second's work", 256, {300, true}, 300},
      {"one that was never dry keeps what it has", 64, {1000, false}, 64},
      {"slower work needs less", 64, {10, false}, 10},
      {"idleness lets go of it", 64, {0, false}, 0},
      {"the most that counts", 4096, {1e9, true}, kPrefetchMax},
      {"a rate beyond every integer", 4096, {1e300, true}, kPrefetchMax},
  };
  for (const auto& row : rows) EXPECT_EQ(next_prefetch(row.current, row.seen), row.expected) << row.name;
}
