#include "infrastructure/posix_tz.hpp"

namespace scheduler::infrastructure {
namespace {

using namespace std::chrono;

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

// Takes what it understands from the front; false leaves the text useless, and the caller gives up.
class Reader {
 public:
  explicit Reader(std::string_view text) : rest_(text) {}

  [[nodiscard]] bool at_end() const { return rest_.empty(); }
  [[nodiscard]] bool sees_offset() const { return !at_end() && rest_.front() != ','; }

  bool take(char c) {
    if (at_end() || rest_.front() != c) return false;
    rest_.remove_prefix(1);
    return true;
  }

  // "CET" or "<+0330>"
  bool skip_name() {
    if (take('<')) {
      const auto close = rest_.find('>');
      if (close == rest_.npos) return false;
      rest_.remove_prefix(close + 1);
      return true;
    }
    const auto before = rest_.size();
    while (!at_end() && is_letter(rest_.front())) rest_.remove_prefix(1);
    return before - rest_.size() >= 3;
  }

  // Up to three digits.
  bool number(int& value) {
    std::size_t n = 0;
    for (value = 0; n < rest_.size() && n < 3 && is_digit(rest_[n]); ++n) value = value * 10 + (rest_[n] - '0');
    rest_.remove_prefix(n);
    return n > 0;
  }

  // "-3:30", "2", "167"
  bool time(Seconds& value) {
    const int sign = take('-') ? -1 : 1;
    take('+');
    int h = 0, m = 0, s = 0;
    if (!number(h)) return false;
    if (take(':') && !number(m)) return false;
    if (take(':') && !number(s)) return false;
    value = sign * (hours{h} + minutes{m} + Seconds{s});
    return true;
  }

  // POSIX counts offsets west of Greenwich as positive.
  bool offset(Seconds& east) {
    if (!time(east)) return false;
    east = -east;
    return true;
  }

  // ",M3.5.0/2"; without a time it is 02:00
  bool change(YearlyChange& value) {
    int m = 0, week = 0, day = 0;
    if (!take(',') || !take('M') || !number(m) || !take('.') || !number(week) || !take('.') || !number(day))
      return false;
    if (m < 1 || m > 12 || week < 1 || week > 5 || day > 6) return false;
    value = {month{unsigned(m)}, unsigned(week), weekday{unsigned(day)}, hours{2}};
    return !take('/') || time(value.time);
  }

 private:
  std::string_view rest_;
};

local_seconds in_year(const YearlyChange& change, year year) {
  const auto day = change.week == 5 ? local_days{year / change.month / change.weekday[last]}
                                    : local_days{year / change.month / change.weekday[change.week]};
  return day + change.time;
}

}  // namespace

PosixTz::YearChanges PosixTz::changes_in(year year) const {
  const auto instant = [&](const YearlyChange& change, Seconds offset_before) {
    return domain::SysSeconds{in_year(change, year).time_since_epoch() - offset_before};
  };
  return {instant(summer_begin, standard), instant(summer_end, summer)};
}

std::optional<PosixTz> parse_posix_tz(std::string_view text) {
  Reader reader(text);
  PosixTz tz;
  if (!reader.skip_name() || !reader.offset(tz.standard) || !reader.skip_name()) return std::nullopt;
  tz.summer = tz.standard + hours{1};
  if (reader.sees_offset() && !reader.offset(tz.summer)) return std::nullopt;
  if (!reader.change(tz.summer_begin) || !reader.change(tz.summer_end) || !reader.at_end()) return std::nullopt;
  return tz;
}

}  // namespace scheduler::infrastructure
