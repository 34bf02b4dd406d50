#include "domain/schedule.hpp"

#include "core/suggest.hpp"
#include "domain/schedule_rule.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace scheduler::domain {
namespace {

using namespace std::chrono;

bool is_blank(char c) { return c == ' ' || c == '\t'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

std::string lowercase(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), lower);
  return result;
}

// A piece of the text that still knows where it stands; positions count from 1.
struct Piece {
  std::string_view text;
  std::size_t position = 1;

  [[nodiscard]] bool empty() const { return text.empty(); }
  void advance(std::size_t n) {
    text.remove_prefix(n);
    position += n;
  }
  void skip_blanks() {
    while (!empty() && is_blank(text.front())) advance(1);
  }
  Piece take_while(bool (*wanted)(char)) {
    const auto n = static_cast<std::size_t>(std::ranges::find_if_not(text, wanted) - text.begin());
    const Piece taken{text.substr(0, n), position};
    advance(n);
    return taken;
  }
};

// --- @every ---

struct Unit {
  char letter;
  Seconds length;
};
constexpr Unit kUnits[] = {{'d', days{1}}, {'h', hours{1}}, {'m', minutes{1}}, {'s', Seconds{1}}};

constexpr std::string_view kEveryExample = "write @every 90s, 15m, 1h30m or 2d";

std::int64_t number_of(std::string_view digits) {
  std::int64_t value = 0;
  for (const char c : digits.substr(0, 12)) value = value * 10 + (c - '0');
  return value;
}

// One "30m"; `unit` moves on, so that units go from long to short, each at most once.
SchedulerResult<Seconds> take_part(Piece& rest, const Unit*& unit) {
  const auto digits = rest.take_while(is_digit);
  if (digits.empty()) return schedule_fault(rest.position, fmt::format("a number is missing; {}", kEveryExample));
  rest.skip_blanks();
  const auto word = rest.take_while([](char c) { return !is_digit(c) && !is_blank(c); });
  if (word.empty())
    return schedule_fault(word.position,
                          fmt::format("a unit is missing behind {}; use s, m, h or d", digits.text.substr(0, 32)));
  const auto is_this = [&](const Unit& u) { return word.text.size() == 1 && lower(word.text[0]) == u.letter; };
  const auto found = std::ranges::find_if(kUnits, is_this);
  if (found == std::end(kUnits))
    return schedule_fault(word.position, fmt::format("'{}' is not a unit; use s, m, h or d ({})",
                                                     word.text.substr(0, 32), kEveryExample));
  if (found < unit) return schedule_fault(word.position, "write each unit once, the longest first, as in 1d12h30m");
  unit = found + 1;
  const auto count = number_of(digits.text);
  if (count > kIntervalMax / found->length)
    return schedule_fault(digits.position,
                          fmt::format("the interval is too long; the longest is {} days", kIntervalMax / days{1}));
  return count * found->length;
}

SchedulerResult<Schedule> every(const ScheduleSpec& spec, Piece rest, Schedule::Rule rule) {
  const auto begin = rest.position;
  const Unit* unit = std::begin(kUnits);
  Seconds interval{0};
  do {
    TRY(const auto part, take_part(rest, unit));
    interval += part;
    rest.skip_blanks();
  } while (!rest.empty());
  if (interval < Seconds{1})
    return schedule_fault(begin, fmt::format("the shortest interval is 1s; {}", kEveryExample));
  if (interval > kIntervalMax)
    return schedule_fault(begin,
                          fmt::format("the interval is too long; the longest is {} days", kIntervalMax / days{1}));
  rule.when = EveryRule{interval, floor<Seconds>(spec.anchor)};
  return Schedule(std::make_shared<const Schedule::Rule>(rule));
}

// --- @at ---

SchedulerResult<Schedule> at(Piece rest, Schedule::Rule rule) {
  while (!rest.empty() && is_blank(rest.text.back())) rest.text.remove_suffix(1);
  const auto instant = parse_rfc3339(rest.text);
  if (!instant)
    return schedule_fault(rest.position,
                          "an instant with its offset belongs behind @at, as in @at 2026-03-29T01:30:00Z "
                          "or @at 2026-03-29T03:30:00+02:00");
  const auto whole = ceil<Seconds>(*instant);  // never before the time asked for
  if (whole < kSlotsBegin || whole >= kSlotsEnd)
    return schedule_fault(rest.position, fmt::format("use a year from {} to {}", kYearMin, kYearMax));
  rule.when = AtRule{whole};
  return Schedule(std::make_shared<const Schedule::Rule>(rule));
}

// --- @daily and its like ---

struct Nickname {
  std::string_view word;
  std::string_view cron;
};
constexpr Nickname kNicknames[] = {
    {"@hourly", "0 * * * *"},  {"@daily", "0 0 * * *"},  {"@midnight", "0 0 * * *"}, {"@weekly", "0 0 * * 0"},
    {"@monthly", "0 0 1 * *"}, {"@yearly", "0 0 1 1 *"}, {"@annually", "0 0 1 1 *"},
};
constexpr std::string_view kAtWords[] = {"@hourly", "@daily",    "@midnight", "@weekly", "@monthly",
                                         "@yearly", "@annually", "@every",    "@at"};

SchedulerResult<Schedule> cron(std::string_view text, std::uint64_t hash_seed, Schedule::Rule rule) {
  TRY(rule.when, parse_cron(text, hash_seed));
  return Schedule(std::make_shared<const Schedule::Rule>(rule));
}

SchedulerResult<Schedule> at_word(const ScheduleSpec& spec, Piece rest, Schedule::Rule rule) {
  const auto word = rest.take_while([](char c) { return !is_blank(c); });
  rest.skip_blanks();
  const auto known = lowercase(word.text);
  if (known == "@every") return every(spec, rest, rule);
  if (known == "@at") return at(rest, rule);
  const auto nickname = std::ranges::find(kNicknames, std::string_view(known), &Nickname::word);
  if (nickname == std::end(kNicknames)) {
    const auto hint = suggestion(known, kAtWords);
    return schedule_fault(word.position,
                          fmt::format("'{}' is not known{}", known.substr(0, 32),
                                      hint.empty() ? fmt::format("; use one of {}", fmt::join(kAtWords, " ")) : hint));
  }
  if (!rest.empty())
    return schedule_fault(rest.position, fmt::format("nothing belongs behind {}; for another time write a cron line, "
                                                     "as in '30 6 * * *'",
                                                     known));
  return cron(nickname->cron, spec.hash_seed, rule);
}

// "daily" or "every 5m" would only be told that fields are missing; they miss no more than the '@'.
SchedulerResult<void> check_at_sign(Piece rest) {
  const auto word = rest.take_while([](char c) { return !is_blank(c); });
  const auto known = std::ranges::find(kAtWords, '@' + lowercase(word.text));
  if (known == std::end(kAtWords)) return {};
  return schedule_fault(word.position, fmt::format("'{}' begins with an @; write {}", word.text, *known));
}

// --- the text as a whole ---

// After this, every character may be shown in an error as it is, and bytes are characters.
SchedulerResult<void> check_characters(std::string_view text) {
  if (text.size() > kScheduleTextBytesMax)
    return schedule_fault(kScheduleTextBytesMax + 1, fmt::format("the text has {} bytes; a schedule has at most {}",
                                                                 text.size(), kScheduleTextBytesMax));
  const auto is_fine = [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); };
  const auto bad = std::ranges::find_if_not(text, is_fine);
  if (bad == text.end()) return {};
  const auto byte = static_cast<unsigned char>(*bad);
  return schedule_fault(static_cast<std::size_t>(bad - text.begin()) + 1,
                        fmt::format("{} (byte 0x{:02X}) does not belong in a schedule; use plain letters, digits, "
                                    "spaces and * , - / # ? ( ) @",
                                    byte < 0x80 ? "a control character" : "a character outside ASCII", byte));
}

}  // namespace

SchedulerResult<Schedule> parse_schedule(const ScheduleSpec& spec) {
  CHECK(check_characters(spec.text));
  Schedule::Rule rule{.zone = spec.zone, .dst_gap = spec.dst_gap, .dst_overlap = spec.dst_overlap, .when = {}};
  Piece rest{spec.text};
  rest.skip_blanks();
  if (!rest.empty() && rest.text.front() == '@') return at_word(spec, rest, rule);
  CHECK(check_at_sign(rest));
  return cron(spec.text, spec.hash_seed, rule);
}

std::uint64_t schedule_hash_seed(std::string_view task_name) {
  std::uint64_t hash = 0xCBF29CE484222325U;
  for (const char c : task_name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3U;
  return hash;
}

}  // namespace scheduler::domain
