#include "cli/text.hpp"

#include "core/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace scheduler::cli {
namespace {

std::int64_t seconds_of_unit(char unit) {
  switch (unit) {
    case 's':
      return 1;
    case 'm':
      return 60;
    case 'h':
      return 3600;
    case 'd':
      return 86400;
    default:
      return 0;
  }
}

}  // namespace

Outcome<Seconds> parse_duration(std::string_view text, std::string_view option) {
  constexpr std::int64_t kMax = 10LL * 366 * 86400;
  const auto bad = [&] {
    return failed(Exit::usage, fmt::format("{}: '{}' is not a duration; write it like 30s, 5m, 1h30m or 90 (seconds)",
                                           option, text.substr(0, 64)));
  };
  std::int64_t total = 0;
  for (auto rest = text; !rest.empty();) {
    std::int64_t n = 0;
    const auto [end, fault] = std::from_chars(rest.data(), rest.data() + rest.size(), n);
    if (fault != std::errc{} || n < 0 || n > kMax) return bad();
    rest.remove_prefix(static_cast<std::size_t>(end - rest.data()));
    const bool bare = rest.empty() && total == 0;
    const auto unit = bare ? 1 : rest.empty() ? 0 : seconds_of_unit(rest.front());
    if (unit == 0) return bad();
    if (!bare) rest.remove_prefix(1);
    total += n * unit;
    if (total > kMax) return bad();
  }
  if (total < 1) return bad();
  return Seconds{total};
}

std::string duration_text(Millis duration) {
  const auto ms = duration.count();
  if (ms < 1000) return fmt::format("{} ms", ms);
  if (ms < 60'000) return fmt::format("{}.{} s", ms / 1000, ms % 1000 / 100);
  const auto seconds = ms / 1000;
  if (seconds < 3600) return fmt::format("{} m {} s", seconds / 60, seconds % 60);
  return fmt::format("{} h {} m", seconds / 3600, seconds % 3600 / 60);
}

Outcome<std::pair<std::string, std::string>> parse_pair(std::string_view text, std::string_view option) {
  const auto equals = text.find('=');
  if (equals == text.npos || equals == 0)
    return failed(Exit::usage, fmt::format("{}: '{}' must be written as key=value", option, text.substr(0, 64)));
  return std::pair(std::string(text.substr(0, equals)), std::string(text.substr(equals + 1)));
}

std::optional<std::int64_t> parse_id(std::string_view text) {
  std::int64_t id = 0;
  const auto [end, fault] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (fault != std::errc{} || end != text.data() + text.size() || id < 1) return std::nullopt;
  return id;
}

std::string one_line(std::string_view text) { return with_hidden_escaped(text); }

std::string output_line(std::string_view text) { return with_hidden_escaped(text, U"\t\u200C\u200D"); }

std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::ranges::count_if(text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

}  // namespace scheduler::cli
