#include "infrastructure/system_time_zones.hpp"

#include "core/suggest.hpp"
#include "infrastructure/posix_tz.hpp"

#include <date/tz.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <vector>

namespace scheduler::infrastructure {
namespace {

using domain::kZoneBegin;
using domain::kZoneEnd;
using domain::OffsetPeriod;
using domain::SysSeconds;

constexpr std::string_view kUtcNames[] = {"UTC",      "Etc/UTC", "Etc/UCT",   "Etc/Universal",
                                          "Etc/Zulu", "UCT",     "Universal", "Zulu"};

// Not zones of the tz database, but the host's choice and a placeholder.
bool is_zone_name(std::string_view name) { return name != "localtime" && name != "posixrules" && name != "Factory"; }

// --- reading a zone ---

// Keeps neighbours different in offset: a change of the abbreviation alone is no change for us.
void append(std::vector<OffsetPeriod>& periods, SysSeconds end, Seconds offset) {
  const SysSeconds begin = periods.empty() ? kZoneBegin : periods.back().end;
  end = std::min(end, kZoneEnd);
  if (end <= begin) return;
  if (!periods.empty() && periods.back().offset == offset)
    periods.back().end = end;
  else
    periods.push_back({begin, end, offset});
}

// The last line of a TZif file is a POSIX rule for the time after the file's last listed change.
std::string footer_of(std::string_view zone_name) {
  std::ifstream file("/usr/share/zoneinfo/" + std::string(zone_name), std::ios::binary);
  std::string line, last;
  while (std::getline(file, line)) last = std::move(line);
  return last;
}

void append_by_rule(std::vector<OffsetPeriod>& periods, const PosixTz& tz) {
  const auto begin = periods.back().end;
  const auto day = std::chrono::floor<std::chrono::days>(begin);
  for (auto year = std::chrono::year_month_day{day}.year(); periods.back().end < kZoneEnd; ++year) {
    const auto changes = tz.changes_in(year);
    std::array<std::pair<SysSeconds, Seconds>, 2> ends = {
        {{changes.summer_begin, tz.standard}, {changes.summer_end, tz.summer}}};
    std::ranges::sort(ends);  // south of the equator summer ends first
    for (const auto& [end, offset] : ends) append(periods, end, offset);
  }
}

// The library (date-tz 3.0.1) knows only the changes listed in the file, in Debian those up to 2037 or later, and stays
// with the last offset from there on. Its last, endless period is therefore replaced by the file's own rule.
std::vector<OffsetPeriod> periods_of(const date::time_zone& zone) {
  std::vector<OffsetPeriod> periods;
  for (auto at = kZoneBegin;;) {
    const auto info = zone.get_info(date::sys_seconds{at.time_since_epoch()});
    const SysSeconds end{info.end.time_since_epoch()};
    if (end >= kZoneEnd) {
      const auto tz = parse_posix_tz(footer_of(zone.name()));
      if (tz && !periods.empty()) append_by_rule(periods, *tz);
      append(periods, kZoneEnd, info.offset);
      return periods;
    }
    append(periods, end, info.offset);
    at = end;
  }
}

class SystemZone final : public domain::TimeZone {
 public:
  SystemZone(std::string_view name, std::vector<OffsetPeriod> periods) : name_(name), periods_(std::move(periods)) {}

  [[nodiscard]] std::string_view name() const override { return name_; }

  [[nodiscard]] OffsetPeriod period_at(SysSeconds at) const override {
    const auto found = std::ranges::upper_bound(periods_, at, {}, &OffsetPeriod::end);
    return found == periods_.end() ? periods_.back() : *found;
  }

 private:
  std::string name_;
  std::vector<OffsetPeriod> periods_;  // without holes, from kZoneBegin to kZoneEnd
};

// --- finding it ---

// "berlin" is nearer to "Europe/Berlin" than any edit distance says.
std::string hint_for(std::string_view name, const std::vector<std::string_view>& known) {
  auto hint = suggestion(name, known);
  if (!hint.empty()) return hint;
  std::string tail(name.substr(0, 64));
  std::ranges::replace(tail, ' ', '_');
  for (const auto candidate : known) {
    const auto city = candidate.substr(candidate.rfind('/') + 1);
    const auto lower = [](char c) { return std::tolower(static_cast<unsigned char>(c)); };
    if (std::ranges::equal(city, tail, {}, lower, lower)) return fmt::format("; did you mean '{}'?", candidate);
  }
  return "; use an IANA name such as Europe/Berlin, America/New_York or UTC";
}

// Names come from outside: what is shown of them is short and printable.
std::string printable(std::string_view name) {
  std::string text(name.substr(0, 64));
  for (auto& c : text)
    if (c < ' ' || c > '~') c = '?';
  return text;
}

SchedulerError unknown_zone(std::string_view name, const date::tzdb& db) {
  std::vector<std::string_view> known(std::begin(kUtcNames), std::end(kUtcNames));
  for (const auto& zone : db.zones)
    if (is_zone_name(zone.name())) known.push_back(zone.name());
  return {ErrorKind::Validation, fmt::format("time zone '{}' is not known{}", printable(name), hint_for(name, known))};
}

SchedulerResult<std::unique_ptr<const domain::TimeZone>> load(std::string_view name) {
  try {
    const auto& db = date::get_tzdb();
    const auto zone = std::ranges::find(db.zones, name, [](const auto& z) -> std::string_view { return z.name(); });
    if (zone == db.zones.end() || !is_zone_name(name)) return std::unexpected(unknown_zone(name, db));
    return std::make_unique<SystemZone>(name, periods_of(*zone));
  } catch (const std::exception& e) {
    return fail(ErrorKind::Internal, fmt::format("time zone '{}' cannot be read ({}); is the package tzdata installed?",
                                                 printable(name), e.what()));
  }
}

}  // namespace

SystemTimeZones::SystemTimeZones() = default;
SystemTimeZones::~SystemTimeZones() = default;

SchedulerResult<const domain::TimeZone*> SystemTimeZones::find(std::string_view name) const {
  if (std::ranges::find(kUtcNames, name) != std::end(kUtcNames)) return &domain::utc();
  const std::lock_guard lock(mutex_);
  if (const auto known = zones_.find(name); known != zones_.end()) return known->second.get();
  TRY(auto zone, load(name));
  return zones_.emplace(std::string(name), std::move(zone)).first->second.get();
}

}  // namespace scheduler::infrastructure
