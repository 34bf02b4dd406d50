#include "domain/urgency.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace scheduler::domain {
namespace {

using namespace std::chrono_literals;

TEST(Urgency, TwoRuns_ALevelIsWorthTheAgeing) {
  const TimePoint now = from_micros(1'774'742'400'000'000);
  const struct {
    std::string_view name;
    int priority;
    Seconds waited;
    int other_priority;
    Seconds other_waited;
    Seconds ageing;
    bool goes_first;
  } rows[] = {
      {"the higher priority", 6, 0s, 5, 0s, 60s, true},
      {"of equal priorities the longer due", 5, 2s, 5, 1s, 60s, true},
      {"a level is not made up for in less", 4, 59s, 5, 0s, 60s, false},
      {"a level is made up for", 4, 61s, 5, 0s, 60s, true},
      {"nobody starves: nine levels", 0, 541s, 9, 0s, 60s, true},
      {"those that are urgent age as well", 0, 541s, 9, 10s, 60s, false},
      {"without ageing no wait makes up for a level", 4, Seconds{86400LL * 365 * 50}, 5, 0s, 0s, false},
      {"without ageing the longer due of one priority", 5, 2s, 5, 1s, 0s, true},
  };
  for (const auto& row : rows)
    EXPECT_EQ(urgency(row.priority, now - row.waited, row.ageing) <
                  urgency(row.other_priority, now - row.other_waited, row.ageing),
              row.goes_first)
        << row.name;
}

}  // namespace
}  // namespace scheduler::domain
