// domain/time_zone.hpp — one IANA time zone: local wall-clock time and instants, both ways.
//
// Implementations are immutable, thread-safe and live as long as the process; schedules keep pointers to them.
#pragma once

#include <chrono>
#include <string_view>

#include "core/time.hpp"
#include "errors/result.hpp"

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

class TimeZone {
 public:
  virtual ~TimeZone() = default;
  [[nodiscard]] virtual std::string_view name() const = 0;
  [[nodiscard]] virtual LocalTime to_local(SysSeconds at) const = 0;
  [[nodiscard]] virtual LocalMeaning meaning_of(LocalTime local) const = 0;
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
