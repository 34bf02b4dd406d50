// infrastructure/posix_tz.hpp — the rule at the end of a time zone file, for the years behind its last listed change.
#pragma once

#include "domain/time_zone.hpp"

#include <chrono>
#include <optional>
#include <string_view>

namespace scheduler::infrastructure {

// A month's n-th weekday at a local time: "M10.5.0/3" is 03:00 on the last Sunday of October.
struct YearlyChange {
  std::chrono::month month;
  unsigned week = 1;  // 1–5, 5 is the last
  std::chrono::weekday weekday;
  Seconds time{};  // since local midnight; may be negative or beyond 24 hours
};

// "CET-1CEST,M3.5.0,M10.5.0/3" (POSIX.1 TZ, the form that the tz database uses).
struct PosixTz {
  Seconds standard{}, summer{};  // offsets east of UTC; equal where there is no summer time
  YearlyChange summer_begin, summer_end;

  struct YearChanges {
    domain::SysSeconds summer_begin, summer_end;
  };
  [[nodiscard]] YearChanges changes_in(std::chrono::year year) const;
};

// Nothing for text without a yearly change, or in a form that the tz database does not use ("J60", "59").
[[nodiscard]] std::optional<PosixTz> parse_posix_tz(std::string_view text);

}  // namespace scheduler::infrastructure
