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

TEST(IsUtf8, EachKindOfFault_IsSeen) {
  EXPECT_TRUE(is_utf8("plain, é, €, 😀"));
  EXPECT_FALSE(is_utf8("\xC0\xAF"));          // an overlong '/'
  EXPECT_FALSE(is_utf8("\xE0\x80\xAF"));      // the same, longer
  EXPECT_FALSE(is_utf8("\xED\xA0\x80"));      // a surrogate
  EXPECT_FALSE(is_utf8("\xF4\x90\x80\x80"));  // beyond U+10FFFF
  EXPECT_FALSE(is_utf8("\xE2\x82"));          // cut short
  EXPECT_FALSE(is_utf8("\x80"));              // a tail without a head
}
