// Slots of a schedule, both ways in time.
//
// A zone is a row of periods with one offset each. Inside a period local time runs evenly, so a cron slot there is a
// plain match of local time; only the seam between two periods needs rules:
//
//   fixed-time schedule       gap: its swallowed times become one slot at the end of the gap (next), slots as far
//                             behind it as they were inside (shift), or nothing (skip);
//                             overlap: the times count in the first pass, the last one or both.
//   interval-like schedule    follows elapsed time: every matching local time counts in both passes of an overlap, and
//                             a gap costs nothing and adds nothing. Interval-like means: the hour field covers all 24
//                             hours, or an hour holds more than one fire (more than one minute:second pair).
//   one exception             "*/15 2 * * *" would miss a whole day when the gap swallows the hour 2. So a schedule
//                             that does not cover all 24 hours, and loses all of a date's fires to a gap, gets them
//                             back by the gap rule of fixed-time schedules.
//
// Periods are visited in order and local time rises inside each, so slots strictly increase by construction.
#include "domain/cron_match.hpp"
#include "domain/schedule_rule.hpp"

#include <algorithm>
#include <bit>

namespace scheduler::domain {
namespace {

using namespace std::chrono;
using MaybeSlot = std::optional<SysSeconds>;

MaybeSlot earlier(MaybeSlot a, MaybeSlot b) { return !a ? b : !b ? a : std::min(*a, *b); }
MaybeSlot later(MaybeSlot a, MaybeSlot b) { return std::max(a, b); }  // an absent one counts as the smallest

// --- how a schedule treats the seams ---

struct SeamRules {
  bool mend_gaps;         // false: fires inside a gap are dropped
  bool mend_if_day_lost;  // mend only where the gap swallowed all fires of the date
  bool first_pass;        // of an overlap
  bool second_pass;
};

SeamRules seam_rules(const CronFields& fields, DstGap gap, DstOverlap overlap) {
  const bool all_hours = fields.hours == kAllHours;
  const bool several_an_hour = std::popcount(fields.minutes) * std::popcount(fields.seconds) > 1;
  const bool even = all_hours || several_an_hour;
  return {.mend_gaps = !all_hours && gap != DstGap::skip,
          .mend_if_day_lost = several_an_hour,
          .first_pass = even || overlap != DstOverlap::last,
          .second_pass = even || overlap != DstOverlap::first};
}

struct LocalRange {
  LocalTime from, until;  // until is exclusive
};

// One period of a zone as one schedule sees it: the local times that count in it, and those that the gap before it
// swallowed.
class PeriodView {
 public:
  PeriodView(const Schedule::Rule& rule, const CronFields& fields, SysSeconds at)
      : fields_(fields),
        rules_(seam_rules(fields, rule.dst_gap, rule.dst_overlap)),
        shift_(rule.dst_gap == DstGap::shift),
        period_(rule.zone->period_at(at)),
        before_(period_.begin > kZoneBegin ? rule.zone->period_at(period_.begin - Seconds{1}) : period_),
        plain_{period_.local(period_.begin), period_.local(period_.end)} {
    if (!rules_.second_pass) plain_.from = std::max(plain_.from, before_.local(period_.begin));
    if (!rules_.first_pass && period_.end < kZoneEnd)
      plain_.until = std::min(plain_.until, rule.zone->period_at(period_.end).local(period_.end));
  }

  [[nodiscard]] SysSeconds begin() const { return period_.begin; }
  [[nodiscard]] SysSeconds end() const { return period_.end; }

  [[nodiscard]] MaybeSlot first_from(SysSeconds from) const {
    const auto plain = first_match(fields_, std::max(plain_.from, period_.local(from)), plain_.until);
    return earlier(plain ? MaybeSlot{period_.instant(*plain)} : std::nullopt, first_mended(from));
  }

  // `to` is inclusive.
  [[nodiscard]] MaybeSlot last_to(SysSeconds to) const {
    const auto plain = last_match(fields_, plain_.from, std::min(plain_.until, period_.local(to) + Seconds{1}));
    return later(plain ? MaybeSlot{period_.instant(*plain)} : std::nullopt, last_mended(to));
  }

 private:
  [[nodiscard]] bool has_gap() const { return before_.offset < period_.offset; }
  [[nodiscard]] LocalRange gap() const { return {before_.local(period_.begin), period_.local(period_.begin)}; }

  // Mended slots stand at the period's begin, or (shift) where the clock would be had it not been moved.
  [[nodiscard]] MaybeSlot first_mended(SysSeconds from) const {
    if (!rules_.mend_gaps || !has_gap()) return std::nullopt;
    if (!shift_) return from <= period_.begin && first_lost(gap()) ? MaybeSlot{period_.begin} : std::nullopt;
    const auto lost = first_lost({std::max(gap().from, before_.local(from)), gap().until});
    return lost ? inside(before_.instant(*lost)) : std::nullopt;
  }

  [[nodiscard]] MaybeSlot last_mended(SysSeconds to) const {
    if (!rules_.mend_gaps || !has_gap()) return std::nullopt;
    if (!shift_) return to >= period_.begin && first_lost(gap()) ? MaybeSlot{period_.begin} : std::nullopt;
    const auto lost = last_lost(
        {gap().from, std::min(gap().until, before_.local(std::min(to, period_.end - Seconds{1})) + Seconds{1})});
    return lost ? MaybeSlot{before_.instant(*lost)} : std::nullopt;
  }

  // A gap may be longer than the period behind it; what would land beyond is dropped.
  [[nodiscard]] MaybeSlot inside(SysSeconds at) const { return at < period_.end ? MaybeSlot{at} : std::nullopt; }

  [[nodiscard]] std::optional<LocalTime> first_lost(LocalRange range) const {
    while (const auto lost = first_match(fields_, range.from, range.until)) {
      if (!rules_.mend_if_day_lost || !survives(floor<days>(*lost))) return lost;
      range.from = floor<days>(*lost) + days{1};
    }
    return std::nullopt;
  }

  [[nodiscard]] std::optional<LocalTime> last_lost(LocalRange range) const {
    while (const auto lost = last_match(fields_, range.from, range.until)) {
      if (!rules_.mend_if_day_lost || !survives(floor<days>(*lost))) return lost;
      range.until = floor<days>(*lost);
    }
    return std::nullopt;
  }

  // Does a fire of that date lie outside the gap?
  [[nodiscard]] bool survives(local_days date) const {
    const LocalTime from{date}, until{date + days{1}};
    return first_match(fields_, from, std::min(until, gap().from)) ||
           first_match(fields_, std::max(from, gap().until), until);
  }

  const CronFields& fields_;
  SeamRules rules_;
  bool shift_;
  OffsetPeriod period_, before_;
  LocalRange plain_;
};

// --- one search per kind of rule; the ends are inclusive and lie within [kSlotsBegin, kSlotsEnd) ---

struct SlotRange {
  SysSeconds from, to;
};

// Local times read as if they were UTC: no zone is further than kOffsetMax from that.
LocalTime as_local(SysSeconds at) { return LocalTime{at.time_since_epoch()}; }
SysSeconds as_utc(LocalTime at) { return SysSeconds{at.time_since_epoch()}; }

// Periods without a slot are not walked one by one: the next (last) local time that matches at all says how far to
// jump, so a schedule that is over, or fires once in 40 years, costs no more than one that fires often.
MaybeSlot first_slot(const Schedule::Rule& rule, const CronFields& fields, SlotRange range) {
  while (range.from <= range.to) {
    const PeriodView period(rule, fields, range.from);
    if (const auto slot = period.first_from(range.from)) return slot <= range.to ? slot : std::nullopt;
    const auto ahead = first_match(fields, as_local(period.end()) - kOffsetMax, as_local(range.to) + kOffsetMax);
    if (!ahead) return std::nullopt;
    range.from = std::max(period.end(), as_utc(*ahead) - kOffsetMax);
  }
  return std::nullopt;
}

MaybeSlot final_slot(const Schedule::Rule& rule, const CronFields& fields, SlotRange range) {
  while (range.from <= range.to) {
    const PeriodView period(rule, fields, range.to);
    if (const auto slot = period.last_to(range.to)) return slot >= range.from ? slot : std::nullopt;
    const auto behind = last_match(fields, as_local(range.from) - kOffsetMax, as_local(period.begin()) + kOffsetMax);
    if (!behind) return std::nullopt;
    range.to = std::min(period.begin() - Seconds{1}, as_utc(*behind) + kOffsetMax);
  }
  return std::nullopt;
}

MaybeSlot first_slot(const Schedule::Rule&, const EveryRule& rule, SlotRange range) {
  const auto passed = (range.from - rule.anchor - Seconds{1}) / rule.interval;  // whole intervals before `from`
  const auto slot = rule.anchor + std::max<std::int64_t>(1, passed + 1) * rule.interval;
  return slot <= range.to ? MaybeSlot{slot} : std::nullopt;
}

MaybeSlot final_slot(const Schedule::Rule&, const EveryRule& rule, SlotRange range) {
  const auto passed = (range.to - rule.anchor) / rule.interval;
  const auto slot = rule.anchor + passed * rule.interval;
  return passed >= 1 && slot >= range.from ? MaybeSlot{slot} : std::nullopt;
}

MaybeSlot first_slot(const Schedule::Rule&, const AtRule& rule, SlotRange range) {
  return range.from <= rule.at && rule.at <= range.to ? MaybeSlot{rule.at} : std::nullopt;
}
MaybeSlot final_slot(const Schedule::Rule& rule, const AtRule& at, SlotRange range) {
  return first_slot(rule, at, range);
}

// The whole seconds in (after, until], as far as slots can exist.
SlotRange seconds_in(TimePoint after, TimePoint until) {
  return {std::max(floor<Seconds>(after), kSlotsBegin - Seconds{1}) + Seconds{1},
          std::min(floor<Seconds>(until), kSlotsEnd - Seconds{1})};
}

std::optional<TimePoint> as_time_point(MaybeSlot slot) { return slot ? std::optional<TimePoint>{*slot} : std::nullopt; }

}  // namespace

std::optional<TimePoint> next_slot(const Schedule& schedule, TimePoint after) {
  const auto& rule = schedule.rule();
  const auto range = seconds_in(after, TimePoint::max());
  return as_time_point(std::visit([&](const auto& when) { return first_slot(rule, when, range); }, rule.when));
}

std::optional<TimePoint> last_slot(const Schedule& schedule, TimePoint after, TimePoint until) {
  const auto& rule = schedule.rule();
  const auto range = seconds_in(after, until);
  if (range.from > range.to) return std::nullopt;
  return as_time_point(std::visit([&](const auto& when) { return final_slot(rule, when, range); }, rule.when));
}

std::vector<TimePoint> slots(const Schedule& schedule, TimePoint after, TimePoint until, std::size_t limit) {
  std::vector<TimePoint> found;
  while (found.size() < limit) {
    const auto slot = next_slot(schedule, found.empty() ? after : found.back());
    if (!slot || *slot > until) break;
    found.push_back(*slot);
  }
  return found;
}

}  // namespace scheduler::domain
