// Schedule text in a zone: it is refused with a sentence, or it explains itself and its slots keep every promise of
// domain/schedule.hpp. The text is the first line; the bytes behind it choose zone, policies and the window.
#include "core/utf8.hpp"
#include "domain/cron_match.hpp"
#include "domain/schedule_rule.hpp"
#include "fuzz/fuzz.hpp"
#include "fuzz/naive_cron.hpp"
#include "infrastructure/system_time_zones.hpp"

#include <algorithm>

namespace scheduler::fuzz {
namespace {

using domain::Schedule;
using domain::TimeZone;
using namespace std::chrono;

constexpr std::size_t kSlots = 30;
constexpr std::string_view kZones[] = {"UTC",          "Europe/Berlin",     "America/New_York", "Australia/Lord_Howe",
                                       "Pacific/Apia", "Africa/Casablanca", "Asia/Kolkata",     "America/Sao_Paulo"};

const TimeZone& zone(std::uint8_t choice) {
  static const infrastructure::SystemTimeZones zones;
  const auto found = zones.find(kZones[choice % std::size(kZones)]);
  MUST(found, found.error().message);
  return **found;
}

bool is_plain(std::string_view text) {
  return std::ranges::all_of(text, [](char c) { return c >= ' ' && c <= '~'; });
}

void check_slots(const Schedule& schedule, TimePoint after, TimePoint until, std::string_view text) {
  const auto all = slots(schedule, after, until, kSlots);
  MUST(std::ranges::adjacent_find(all, std::greater_equal<>{}) == all.end(), text);
  auto before = after;
  for (const auto slot : all) {
    MUST(slot > after && slot <= until, text);
    MUST(slot == floor<Seconds>(slot), text);
    MUST(slot >= domain::kSlotsBegin && slot < domain::kSlotsEnd, text);
    MUST(next_slot(schedule, before) == slot, text);
    MUST(last_slot(schedule, before, slot) == slot, text);
    before = slot;
  }
  if (all.size() == kSlots) return;
  const auto last = last_slot(schedule, after, until);
  MUST(last == (all.empty() ? std::nullopt : std::optional(all.back())), text);
  const auto middle = after + (until - after) / 2;
  auto parts = slots(schedule, after, middle, kSlots);
  const auto rest = slots(schedule, middle, until, kSlots);
  parts.insert(parts.end(), rest.begin(), rest.end());
  MUST(parts == all, text);
}

// Without changes of the clocks a cron line fires at the local times that its fields allow.
void check_cron_in_utc(const Schedule& schedule, TimePoint after, std::string_view text) {
  const auto* fields = std::get_if<domain::CronFields>(&schedule.rule().when);
  if (!fields || schedule.rule().zone != &zone(0)) return;
  const auto first = next_slot(schedule, after);
  if (!first) return;
  const auto begin = floor<Seconds>(*first), end = begin + (fields->seconds == 1 ? Seconds{hours{26}} : minutes{30});
  std::vector<TimePoint> expected;
  for (const auto it :
       naive_matches(*fields, domain::LocalTime{begin.time_since_epoch()}, domain::LocalTime{end.time_since_epoch()}))
    expected.emplace_back(it.time_since_epoch());
  MUST(slots(schedule, begin - Seconds{1}, end - Seconds{1}, 100'000) == expected, text);
}

}  // namespace
}  // namespace scheduler::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace scheduler;
  using namespace scheduler::fuzz;
  const auto all = as_text(data, size);
  const auto text = all.substr(0, all.find('\n'));
  std::uint8_t choices[6] = {};
  for (std::size_t i = 0; i < std::size(choices) && text.size() + 1 + i < size; ++i)
    choices[i] = data[text.size() + 1 + i];
  domain::ScheduleSpec spec{.text = std::string(text),
                            .zone = &zone(choices[0]),
                            .hash_seed = choices[1],
                            .anchor = TimePoint{sys_days{year{2026} / 1 / 1}} + Micros{7},
                            .dst_gap = static_cast<domain::DstGap>(choices[2] % 3),
                            .dst_overlap = static_cast<domain::DstOverlap>(choices[2] / 3 % 3)};
  const auto schedule = domain::parse_schedule(spec);
  if (!schedule) {
    MUST(schedule.error().kind == ErrorKind::InvalidSchedule, schedule.error().message);
    MUST(schedule.error().message.starts_with("position ") && is_plain(schedule.error().message),
         schedule.error().message);
    return 0;
  }
  const auto explained = domain::explain(*schedule);
  MUST(explained.ends_with('.') && is_utf8(explained) && !hidden_character_in(explained), explained);
  // From 1972 on, in every season, and beyond the last year.
  const TimePoint after =
      TimePoint{sys_days{year{1972} / 1 / 1}} + days{365 * choices[3] + choices[4] * 3 / 2} + hours{choices[5] % 24};
  check_slots(*schedule, after, after + hours{50}, text);
  check_slots(*schedule, after, after + days{1500}, text);
  check_cron_in_utc(*schedule, after, text);
  return 0;
}
