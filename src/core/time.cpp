#include "core/time.hpp"

#include <fmt/format.h>

#include <charconv>

namespace scheduler {
namespace {

using namespace std::chrono;

// Reads exactly `digits` decimal digits, advancing `text`; -1 when they are not there.
int take_number(std::string_view& text, std::size_t digits) {
  if (text.size() < digits) return -1;
  int value = 0;
  for (std::size_t i = 0; i < digits; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  text.remove_prefix(digits);
  return value;
}

bool take_char(std::string_view& text, std::string_view any_of) {
  if (text.empty() || any_of.find(text.front()) == any_of.npos) return false;
  text.remove_prefix(1);
  return true;
}

// Digits after the point, cut to microseconds; -1 when there are none.
std::int64_t take_fraction(std::string_view& text) {
  std::int64_t value = 0;
  std::size_t n = 0;
  for (; n < text.size() && text[n] >= '0' && text[n] <= '9'; ++n)
    if (n < 6) value = value * 10 + (text[n] - '0');
  if (n == 0) return -1;
  for (std::size_t i = n; i < 6; ++i) value *= 10;
  text.remove_prefix(n);
  return value;
}

// Seconds east of UTC, or nothing when the text is not 'Z' or ±hh:mm to its end.
bool take_offset(std::string_view& text, seconds& offset) {
  if (take_char(text, "Zz")) return text.empty();
  if (text.empty()) return false;
  const int sign = text.front() == '-' ? -1 : 1;
  if (!take_char(text, "+-")) return false;
  const int hh = take_number(text, 2);
  if (!take_char(text, ":")) return false;
  const int mm = take_number(text, 2);
  if (hh < 0 || hh > 23 || mm < 0 || mm > 59) return false;
  offset = sign * (hours{hh} + minutes{mm});
  return text.empty();
}

}  // namespace

std::string format_rfc3339(TimePoint at) {
  const auto day = floor<days>(at);
  const year_month_day ymd{day};
  const hh_mm_ss time{at - day};
  auto text = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", int(ymd.year()), unsigned(ymd.month()),
                          unsigned(ymd.day()), time.hours().count(), time.minutes().count(), time.seconds().count());
  if (const auto fraction = time.subseconds().count(); fraction != 0) text += fmt::format(".{:06}", fraction);
  return text + "Z";
}

SchedulerResult<TimePoint> parse_rfc3339(std::string_view text) {
  const auto bad = [whole = text] {
    return fail(
        ErrorKind::Validation,
        fmt::format("'{}' is not an RFC 3339 instant; write it like 2026-03-29T01:30:00Z or 2026-03-29T03:30:00+02:00",
                    whole.substr(0, 64)));
  };
  const int y = take_number(text, 4);
  if (y < 0 || !take_char(text, "-")) return bad();
  const int mo = take_number(text, 2);
  if (mo < 0 || !take_char(text, "-")) return bad();
  const int d = take_number(text, 2);
  if (d < 0 || !take_char(text, "Tt ")) return bad();
  const int h = take_number(text, 2);
  if (h < 0 || h > 23 || !take_char(text, ":")) return bad();
  const int mi = take_number(text, 2);
  if (mi < 0 || mi > 59 || !take_char(text, ":")) return bad();
  const int s = take_number(text, 2);
  if (s < 0 || s > 60) return bad();  // 60: a leap second, the same instant as the next minute's 00
  std::int64_t fraction = 0;
  if (take_char(text, ".")) fraction = take_fraction(text);
  seconds offset{0};
  const year_month_day ymd{year{y}, month{unsigned(mo)}, day{unsigned(d)}};
  if (fraction < 0 || !ymd.ok() || !take_offset(text, offset)) return bad();
  return TimePoint{sys_days{ymd}} + hours{h} + minutes{mi} + seconds{s} + Micros{fraction} - offset;
}

}  // namespace scheduler
