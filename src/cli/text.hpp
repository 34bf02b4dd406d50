// cli/text.hpp — what people type and read: durations, key=value, columns.
#pragma once

#include "cli/failure.hpp"
#include "core/time.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace scheduler::cli {

// "30s", "5m", "1h30m", "2d", "90" (seconds). Whole units, at least one second. Failure: usage.
[[nodiscard]] Outcome<Seconds> parse_duration(std::string_view text, std::string_view option);

// "850 ms", "1.2 s", "3 m 20 s", "2 h 5 m".
[[nodiscard]] std::string duration_text(Millis duration);

// "zone=a" -> {"zone", "a"}. Failure: usage.
[[nodiscard]] Outcome<std::pair<std::string, std::string>> parse_pair(std::string_view text, std::string_view option);

// The number that `text` is, whole; nothing otherwise.
[[nodiscard]] std::optional<std::int64_t> parse_id(std::string_view text);

// One line that shows what it holds and that no terminal obeys: hidden characters as \n or \u202e (core/utf8.hpp).
[[nodiscard]] std::string one_line(std::string_view text);

// The same for a line that a task printed: tabs and joiners stay as they are.
[[nodiscard]] std::string output_line(std::string_view text);

// Columns on the screen, taking each code point for one.
[[nodiscard]] std::size_t width_of(std::string_view text);

}  // namespace scheduler::cli
