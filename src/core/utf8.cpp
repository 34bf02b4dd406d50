#include "core/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace scheduler {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

struct Range {
  char32_t first, last;
};
constexpr Range kHidden[] = {
    {0x00, 0x1F},      // C0
    {0x7F, 0x9F},      // DEL and C1, which some terminals obey
    {0x061C, 0x061C},  // Arabic letter mark
    {0x200B, 0x200F},  // zero width space and joiners, marks of direction
    {0x2028, 0x202E},  // line and paragraph separator, embeddings and overrides of direction
    {0x2060, 0x206F},  // word joiner, invisible operators, isolates of direction
    {0xFEFF, 0xFEFF},  // byte order mark
    {0xFFF9, 0xFFFB},  // interlinear annotation
    {0xFFFE, 0xFFFF},
};

}  // namespace

CodePoint first_code_point(std::string_view text) {
  if (text.empty()) return {};
  const auto lead = static_cast<unsigned char>(text.front());
  if (lead < 0x80) return {lead, 1};
  const std::size_t bytes = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < bytes) return {};
  char32_t value = lead & (0xFFU >> (bytes + 1));
  for (std::size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xC0U) != 0x80) return {};
    value = value << 6U | (next & 0x3FU);
  }
  constexpr char32_t kSmallest[] = {0, 0, 0x80, 0x800, 0x10000};
  if (value < kSmallest[bytes] || value > 0x10FFFF || (value >= 0xD800 && value <= 0xDFFF)) return {};
  return {value, bytes};
}

std::optional<std::size_t> first_invalid_byte(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto bytes = first_code_point(text.substr(at)).bytes;
    if (bytes == 0) return at;
    at += bytes;
  }
  return std::nullopt;
}

bool is_hidden(char32_t c) {
  return std::ranges::any_of(kHidden, [c](const Range& it) { return c >= it.first && c <= it.last; });
}

std::optional<std::string> hidden_character_in(std::string_view text, std::u32string_view allowed) {
  for (std::size_t at = 1; !text.empty(); ++at) {
    const auto c = first_code_point(text);
    if (is_hidden(c.value) && !allowed.contains(c.value))
      return fmt::format("holds U+{:04X} at character {}, which nobody sees but terminals and pages obey; leave it out",
                         static_cast<unsigned>(c.value), at);
    text.remove_prefix(std::max<std::size_t>(c.bytes, 1));
  }
  return std::nullopt;
}

std::string with_hidden_escaped(std::string_view text, std::u32string_view allowed) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const auto c = first_code_point(text);
    if (c.bytes == 0)
      out += kReplacement;
    else if (!is_hidden(c.value) || allowed.contains(c.value))
      out += text.substr(0, c.bytes);
    else if (c.value == '\n')
      out += "\\n";
    else if (c.value == '\t')
      out += "\\t";
    else
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned>(c.value));
    text.remove_prefix(std::max<std::size_t>(c.bytes, 1));
  }
  return out;
}

}  // namespace scheduler
