// core/utf8.hpp — UTF-8, and the characters in it that people do not see but that terminals and pages obey.
//
// Valid is what Unicode 15, table 3-7 lists: no overlong forms, no surrogates, nothing past U+10FFFF.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace scheduler {

struct CodePoint {
  char32_t value = 0;
  std::size_t bytes = 0;  // 0: there is none; the text is empty or does not begin with valid UTF-8
};
[[nodiscard]] CodePoint first_code_point(std::string_view text);

// Where the first byte that begins no valid sequence is, counted from 0; nothing: the text is valid.
[[nodiscard]] std::optional<std::size_t> first_invalid_byte(std::string_view text);
[[nodiscard]] inline bool is_utf8(std::string_view text) { return !first_invalid_byte(text); }

// Control characters (C0, DEL, C1), line and paragraph separators, marks that turn the direction of writing, characters
// without any width, and U+FFFE and U+FFFF, which are none.
[[nodiscard]] bool is_hidden(char32_t c);

// What is wrong with a text that holds a hidden character other than those `allowed`: "holds U+202E at character 3,
// which …". Nothing where it holds none. `text` is valid UTF-8.
[[nodiscard]] std::optional<std::string> hidden_character_in(std::string_view text, std::u32string_view allowed = {});

// The text for somebody's eyes: hidden characters other than those `allowed` as \n, \t or \u202e, invalid bytes as
// U+FFFD. Nothing else changes, so JSON text stays the same JSON.
[[nodiscard]] std::string with_hidden_escaped(std::string_view text, std::u32string_view allowed = {});

}  // namespace scheduler
