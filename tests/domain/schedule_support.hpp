// tests/domain/schedule_support.hpp — short words for schedule tests.
#pragma once

#include "domain/schedule.hpp"
#include "infrastructure/system_time_zones.hpp"

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

namespace scheduler::domain {

inline const TimeZone& zone(std::string_view name) {
  static const infrastructure::SystemTimeZones zones;
  const auto found = zones.find(name);
  EXPECT_TRUE(found) << (found ? "" : found.error().message);
  return found ? **found : utc();
}

// "2026-03-29T01:30:00Z"
inline TimePoint at(std::string_view text) {
  const auto instant = parse_rfc3339(text);
  EXPECT_TRUE(instant) << text;
  return instant.value_or(TimePoint{});
}

inline ScheduleSpec spec(std::string_view text, std::string_view zone_name = "UTC") {
  ScheduleSpec result;
  result.text = std::string(text);
  result.zone = &zone(zone_name);
  result.hash_seed = schedule_hash_seed("nightly report");
  result.anchor = at("2026-01-01T00:00:07Z");
  return result;
}

inline Schedule parsed(const ScheduleSpec& spec) {
  const auto schedule = parse_schedule(spec);
  EXPECT_TRUE(schedule) << spec.text << ": " << (schedule ? "" : schedule.error().message);
  return schedule ? *schedule : *parse_schedule(domain::spec("0 0 1 1 *"));
}
inline Schedule parsed(std::string_view text, std::string_view zone_name = "UTC") {
  return parsed(spec(text, zone_name));
}

// The message of the error; empty for text that is fine.
inline std::string fault_of(std::string_view text) {
  const auto schedule = parse_schedule(spec(text));
  if (schedule) return {};
  EXPECT_EQ(schedule.error().kind, ErrorKind::InvalidSchedule);
  return schedule.error().message;
}

// "03-29 01:00 03-30 00:30": the instants in UTC without what all of them share, so that tables stay readable.
inline std::string brief(const std::vector<TimePoint>& instants) {
  std::string text;
  for (const auto instant : instants) {
    auto one = format_rfc3339(instant).substr(5, 14);
    one[5] = ' ';
    if (one.ends_with(":00")) one.resize(11);
    text += (text.empty() ? "" : ", ") + one;
  }
  return text;
}

// "2026-03-29T01:30:00Z", or "never".
inline std::string next(const Schedule& schedule, std::string_view after) {
  const auto slot = next_slot(schedule, at(after));
  return slot ? format_rfc3339(*slot) : "never";
}
inline std::string last(const Schedule& schedule, std::string_view after, std::string_view until) {
  const auto slot = last_slot(schedule, at(after), at(until));
  return slot ? format_rfc3339(*slot) : "never";
}

}  // namespace scheduler::domain
