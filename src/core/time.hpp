// core/time.hpp — instants and durations. Instants are UTC microseconds; local times exist only inside schedules.
#pragma once

#include "errors/result.hpp"

#include <chrono>
#include <string>
#include <string_view>

namespace scheduler {

using Micros = std::chrono::microseconds;
using Millis = std::chrono::milliseconds;
using Seconds = std::chrono::seconds;
using TimePoint = std::chrono::sys_time<Micros>;

// "2026-03-29T01:30:00Z"; with a fraction ("…:00.250000Z") only when the instant has one.
// `at` must lie in years 0000–9999.
[[nodiscard]] std::string format_rfc3339(TimePoint at);

// Accepts RFC 3339: 'T' or a space, upper or lower case, fraction up to any length (cut to microseconds), 'Z' or
// ±hh:mm. Error: Validation, with a sentence that shows a right example.
[[nodiscard]] SchedulerResult<TimePoint> parse_rfc3339(std::string_view text);

[[nodiscard]] constexpr std::int64_t to_micros(TimePoint at) { return at.time_since_epoch().count(); }
[[nodiscard]] constexpr TimePoint from_micros(std::int64_t us) { return TimePoint{Micros{us}}; }

}  // namespace scheduler
