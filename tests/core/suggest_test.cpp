#include "core/suggest.hpp"

#include <gtest/gtest.h>

using namespace scheduler;

TEST(Nearest, MisspeltWord_FindsTheKnownOne) {
  constexpr std::string_view kKnown[] = {"schedule", "timezone", "name", "task_type", "priority"};
  EXPECT_EQ(nearest("shedule", kKnown), "schedule");
  EXPECT_EQ(nearest("timeZone", kKnown), "timezone");
  EXPECT_EQ(nearest("nmae", kKnown), "");  // two edits in four letters: too far to guess
  EXPECT_EQ(nearest("nam", kKnown), "name");
  EXPECT_EQ(nearest("zzzzzzzz", kKnown), "");
  EXPECT_EQ(nearest("", kKnown), "");
  EXPECT_EQ(suggestion("prioritty", kKnown), "; did you mean 'priority'?");
}
