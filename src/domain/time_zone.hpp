// domain/time_zone.hpp — one IANA time zone: local wall-clock time and instants, both ways.
//
// Implementations are immutable, thread-safe and live as long as the process; schedules keep pointers to them.
#pragma once

#include "core/time.hpp"
#include "errors/result.hpp"

#include <chrono>
#include <string_view>

namespace scheduler::domain {

// Seconds are enough: no zone has finer offsets since 1972.
using LocalTime = std::chrono::local_seconds;
using SysSeconds = std::chrono::sys_seconds;

// What a local time means. `first` and `second` are instants that bear it:
//   unique   both are the one instant;
//   gap      the local time does not exist; `transition` is the first instant after the gap, and
//            `first`/`second` read it with the offset from after/before the gap (so first < transition <= second);
//   overlap  the local time happens twice, first < second.
struct LocalMeaning {
  enum class Kind { unique, gap, overlap } kind = Kind::unique;
  SysSeconds first{}, second{};
  SysSeconds transition{};  // only for gap and overlap
};

// A stretch of instants with one offset: local = instant + offset. Neighbours in one zone differ in offset.
struct OffsetPeriod {
  SysSeconds begin{};
  SysSeconds end{};  // exclusive
  Seconds offset{};

  [[nodiscard]] LocalTime local(SysSeconds at) const { return LocalTime{at.time_since_epoch() + offset}; }
  [[nodiscard]] SysSeconds instant(LocalTime at) const { return SysSeconds{at.time_since_epoch() - offset}; }
  bool operator==(const OffsetPeriod&) const = default;
};

// Zones have no changes outside these instants: the first period begins, and the last one ends, here.
inline constexpr SysSeconds kZoneBegin = std::chrono::sys_days{std::chrono::year{1900} / 1 / 1};
inline constexpr SysSeconds kZoneEnd = std::chrono::sys_days{std::chrono::year{2201} / 1 / 1};

// More than any zone's distance from UTC, today's and historical ones (-16 h to +16 h).
inline constexpr Seconds kOffsetMax = std::chrono::hours{26};

class TimeZone {
 public:
  virtual ~TimeZone() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  // The period around `at`; the first or the last one for instants outside [kZoneBegin, kZoneEnd).
  [[nodiscard]] virtual OffsetPeriod period_at(SysSeconds at) const = 0;

  [[nodiscard]] LocalTime to_local(SysSeconds at) const { return period_at(at).local(at); }
  [[nodiscard]] LocalMeaning meaning_of(LocalTime local) const;
};

// Finds zones by IANA name or link ("Europe/Berlin", "US/Pacific", "UTC").
class TimeZones {
 public:
  virtual ~TimeZones() = default;
  // Error: Validation, with the nearest known name. The pointer is never null and stays valid.
  [[nodiscard]] virtual SchedulerResult<const TimeZone*> find(std::string_view name) const = 0;
};

// UTC, always there, reads no file.
[[nodiscard]] const TimeZone& utc();

}  // namespace scheduler::domain
