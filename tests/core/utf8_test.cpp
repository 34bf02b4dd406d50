#include "core/utf8.hpp"

#include <gtest/gtest.h>

using namespace scheduler;

TEST(FirstInvalidByte, EachKindOfFault_IsFound) {
  EXPECT_EQ(first_invalid_byte("plain, é, €, 😀"), std::nullopt);
  EXPECT_EQ(first_invalid_byte(""), std::nullopt);
  EXPECT_EQ(first_invalid_byte("a\xC0\xAF"), 1u);         // an overlong '/'
  EXPECT_EQ(first_invalid_byte("é\xE0\x80\xAF"), 2u);     // the same, longer
  EXPECT_EQ(first_invalid_byte("\xED\xA0\x80"), 0u);      // a surrogate
  EXPECT_EQ(first_invalid_byte("\xF4\x90\x80\x80"), 0u);  // beyond U+10FFFF
  EXPECT_EQ(first_invalid_byte("\xF8\x90\x80\x80"), 0u);  // no head at all
  EXPECT_EQ(first_invalid_byte("ab\xE2\x82"), 2u);        // cut short
  EXPECT_EQ(first_invalid_byte("abc\x80"), 3u);           // a tail without a head
}

TEST(HiddenCharacterIn, EachKind_IsNamedWithItsPlace) {
  for (const char32_t c :
       U"\u0001\u001b\u007f\u0085\u009b\u061c\u200b\u200d\u200f\u2028\u2029\u202a\u202e\u2066\u2069"
       U"\u2060\ufeff\uffff")
    EXPECT_TRUE(is_hidden(c)) << static_cast<unsigned>(c);  // the terminating NUL as well
  for (const char32_t c : {U' ', U'~', U'\u00a0', U'é', U'漢', U'\ufe0f', U'\ufffd', U'😀'})
    EXPECT_FALSE(is_hidden(c)) << static_cast<unsigned>(c);
  EXPECT_EQ(hidden_character_in("Überweisung 😀"), std::nullopt);
  EXPECT_EQ(hidden_character_in("é\u202Eb").value_or(""),
            "holds U+202E at character 2, which nobody sees but terminals and pages obey; leave it out");
  EXPECT_EQ(hidden_character_in("a\nb", U"\n"), std::nullopt);
  EXPECT_TRUE(hidden_character_in("a\nb\x1b", U"\n").value_or("").starts_with("holds U+001B at character 4,"));
}

TEST(WithHiddenEscaped, HostileText_IsShownAndNotObeyed) {
  EXPECT_EQ(with_hidden_escaped("a\n\tb\x1b[2J\u009b\u202Ec\x7f é😀\\"), R"(a\n\tb\u001b[2J\u009b\u202ec\u007f é😀\)");
  EXPECT_EQ(with_hidden_escaped("a\n\tb\r", U"\n\t"), "a\n\tb\\u000d");
  EXPECT_EQ(with_hidden_escaped("a\x80z"), "a\uFFFDz");
}
