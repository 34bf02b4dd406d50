#include "core/time.hpp"

#include <gtest/gtest.h>

using namespace scheduler;

TEST(ParseRfc3339, EveryAcceptedForm_NamesTheSameInstant) {
  const struct {
    std::string_view text, canonical;
  } rows[] = {
      {"2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z"},
      {"2026-03-29t01:30:00z", "2026-03-29T01:30:00Z"},
      {"2026-03-29 01:30:00Z", "2026-03-29T01:30:00Z"},
      {"2026-03-29T03:30:00+02:00", "2026-03-29T01:30:00Z"},
      {"2026-03-28T20:00:00-05:30", "2026-03-29T01:30:00Z"},
      {"2026-03-29T01:30:00.25Z", "2026-03-29T01:30:00.250000Z"},
      {"2026-03-29T01:30:00.123456789Z", "2026-03-29T01:30:00.123456Z"},
      {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
      {"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.500000Z"},
  };
  for (const auto& row : rows) {
    const auto parsed = parse_rfc3339(row.text);
    ASSERT_TRUE(parsed) << row.text;
    EXPECT_EQ(format_rfc3339(*parsed), row.canonical) << row.text;
  }
}

TEST(ParseRfc3339, AnythingElse_IsRefusedWithAnExample) {
  for (const std::string_view text : {"", "2026", "2026-02-30T00:00:00Z", "2026-03-29T24:00:00Z", "2026-03-29T01:30:00",
                                      "2026-03-29T01:30:00.Z", "2026-03-29T01:30:00+2", "2026-03-29T01:30:00Zx",
                                      "2026-3-29T01:30:00Z", "tomorrow", "2026-03-29T01:30:00+24:00"}) {
    const auto parsed = parse_rfc3339(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().kind, ErrorKind::Validation);
    EXPECT_NE(parsed.error().message.find("2026-03-29T01:30:00Z"), std::string::npos);
  }
}
