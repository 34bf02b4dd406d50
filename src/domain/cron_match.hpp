// domain/cron_match.hpp — the local times that cron fields name, found field by field in either direction.
//
// Cost: a few shifts per month looked at; months and years that the fields exclude are jumped over, seconds are never
// counted one by one.
#pragma once

#include "domain/cron_fields.hpp"
#include "domain/time_zone.hpp"

#include <cstdint>
#include <optional>

namespace scheduler::domain {

// The first match in [from, until), and the last one. Years outside kYearMin–kYearMax have none.
[[nodiscard]] std::optional<LocalTime> first_match(const CronFields& fields, LocalTime from, LocalTime until);
[[nodiscard]] std::optional<LocalTime> last_match(const CronFields& fields, LocalTime from, LocalTime until);

// The days of one month that match, as bits 1–31.
[[nodiscard]] std::uint32_t matching_days(const CronFields& fields, std::chrono::year_month month);

}  // namespace scheduler::domain
