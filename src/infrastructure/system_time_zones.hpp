// infrastructure/system_time_zones.hpp — the time zones of this machine (/usr/share/zoneinfo, Debian's tzdata).
//
// Always true:
//   - the host's own zone is never read: "localtime" is not a name;
//   - "UTC" and its aliases are domain::utc() and need no file;
//   - a zone is read once, at its first find(), and kept until the process ends: new tzdata needs a restart;
//   - summer time goes on after 2037, where the listed changes end, by the rule at the end of the zone's file.
#pragma once

#include "domain/time_zone.hpp"

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

namespace scheduler::infrastructure {

class SystemTimeZones : public domain::TimeZones {
 public:
  SystemTimeZones();
  ~SystemTimeZones() override;
  SystemTimeZones(const SystemTimeZones&) = delete;
  SystemTimeZones& operator=(const SystemTimeZones&) = delete;

  // Thread-safe. Error: Validation for an unknown name (with the nearest known one); Internal when tzdata is missing or
  // unreadable. Names are case-sensitive, as in the tz database.
  [[nodiscard]] SchedulerResult<const domain::TimeZone*> find(std::string_view name) const override;

 private:
  mutable std::mutex mutex_;
  mutable std::map<std::string, std::unique_ptr<const domain::TimeZone>, std::less<>> zones_;  // never erased
};

}  // namespace scheduler::infrastructure
