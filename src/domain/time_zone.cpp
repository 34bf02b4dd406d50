#include "domain/time_zone.hpp"

namespace scheduler::domain {
namespace {

class Utc final : public TimeZone {
 public:
  [[nodiscard]] std::string_view name() const override { return "UTC"; }
  [[nodiscard]] OffsetPeriod period_at(SysSeconds) const override { return {kZoneBegin, kZoneEnd, Seconds{0}}; }
};

bool contains(const OffsetPeriod& period, SysSeconds at) {
  return (period.begin <= at || period.begin <= kZoneBegin) && (at < period.end || period.end >= kZoneEnd);
}

}  // namespace

// Walks the few periods that could bear `local`, oldest first, and remembers which do.
LocalMeaning TimeZone::meaning_of(LocalTime local) const {
  using Kind = LocalMeaning::Kind;
  const SysSeconds latest = SysSeconds{local.time_since_epoch()} + kOffsetMax;
  auto period = period_at(latest - 2 * kOffsetMax);
  bool found = false;
  LocalMeaning meaning;
  while (true) {
    const SysSeconds at = period.instant(local);
    if (contains(period, at)) {
      if (found) return {Kind::overlap, meaning.first, at, period.begin};
      found = true;
      meaning = {Kind::unique, at, at, {}};
    }
    if (period.end > latest || period.end >= kZoneEnd) return meaning;
    const auto next = period_at(period.end);
    if (!found && at >= period.end && next.instant(local) < next.begin)
      return {Kind::gap, next.instant(local), at, next.begin};
    period = next;
  }
}

const TimeZone& utc() {
  static const Utc zone;
  return zone;
}

}  // namespace scheduler::domain
