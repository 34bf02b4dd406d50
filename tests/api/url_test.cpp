#include "api/url.hpp"

#include <gtest/gtest.h>

using namespace scheduler::api;

TEST(PercentDecode, WellEncodedText_IsDecoded) {
  EXPECT_EQ(percent_decode("a%20b+c", false), "a b+c");
  EXPECT_EQ(percent_decode("a%20b+c", true), "a b c");
  EXPECT_EQ(percent_decode("%C3%A9%2F", false), "é/");
  EXPECT_EQ(percent_decode("", false), "");
}

TEST(PercentDecode, BrokenText_IsRefused) {
  for (const auto* text : {"%", "%4", "%zz", "a%2", "%00", "%ff", "%c3", "%ed%a0%80"})
    EXPECT_EQ(percent_decode(text, false), std::nullopt) << text;
}
