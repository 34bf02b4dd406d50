#include "domain/cron_fields.hpp"

#include "core/suggest.hpp"
#include "domain/cron_match.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <chrono>
#include <optional>
#include <span>
#include <vector>

namespace scheduler::domain {
namespace {

// --- what each field may hold ---

enum class FieldKind { second, minute, hour, month_day, month, weekday, year };

struct FieldShape {
  FieldKind kind;
  std::string_view name;
  int min, max;  // as written; weekday 7 means 0
  int cycle;     // how many distinct values follow each other before they begin anew
  std::span<const std::string_view> names = {};
};

constexpr std::string_view kMonthNames[] = {"JAN", "FEB", "MAR", "APR", "MAY", "JUN",
                                            "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"};
constexpr std::string_view kWeekdayNames[] = {"SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"};

constexpr FieldShape kShapes[] = {
    {FieldKind::second, "second", 0, 59, 60},
    {FieldKind::minute, "minute", 0, 59, 60},
    {FieldKind::hour, "hour", 0, 23, 24},
    {FieldKind::month_day, "day of the month", 1, 31, 31},
    {FieldKind::month, "month", 1, 12, 12, kMonthNames},
    {FieldKind::weekday, "weekday", 0, 7, 7, kWeekdayNames},
    {FieldKind::year, "year", kYearMin, kYearMax, kYearMax - kYearMin + 1},
};

// Whatever a field turned out to hold; only the day fields use more than `plain`, whose bit 0 is the shape's min.
struct FieldValues {
  std::bitset<kYearMax - kYearMin + 1> plain;
  MonthDays month_days;
  Weekdays weekdays;
};

// Values that follow each other, past the end back to the start: FRI-MON is {5, 4 of them} in a cycle of 7.
struct Run {
  int first;
  int count;
};

Run run_between(const FieldShape& shape, int a, int b) { return {a, (b - a + shape.cycle) % shape.cycle + 1}; }

// The same seed must not put the minute and the hour of a task on related values, so each field stirs its own way
// (the finaliser of SplitMix64).
std::uint64_t stirred(std::uint64_t seed, FieldKind kind) {
  std::uint64_t z = seed + 0x9E3779B97F4A7C15U * (static_cast<std::uint64_t>(kind) + 1);
  z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31);
}

// --- reading characters ---

bool is_digit(char c) { return c >= '0' && c <= '9'; }
char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c; }
bool is_letter(char c) { return upper(c) >= 'A' && upper(c) <= 'Z'; }

std::string uppercase(std::string_view text) {
  std::string result(text);
  std::ranges::transform(result, result.begin(), upper);
  return result;
}

// Long words are cut before they are shown.
std::string_view shown(std::string_view word) { return word.substr(0, 32); }

// Walks one field. It keeps the whole text, so that every fault can name its place in it.
class Cursor {
 public:
  Cursor(std::string_view text, std::size_t begin, std::size_t end) : text_(text.substr(0, end)), at_(begin) {}

  [[nodiscard]] bool at_end() const { return at_ == text_.size(); }
  [[nodiscard]] char peek() const { return at_end() ? '\0' : upper(text_[at_]); }
  [[nodiscard]] std::size_t position() const { return at_ + 1; }
  [[nodiscard]] char raw() const { return text_[at_]; }

  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  void put_back() { --at_; }

  std::string_view take_letters() { return take_while(is_letter); }
  std::string_view take_digits() { return take_while(is_digit); }

 private:
  std::string_view take_while(bool (*wanted)(char)) {
    const auto begin = at_;
    while (!at_end() && wanted(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  std::string_view text_;
  std::size_t at_;
};

// --- reading one field ---

// Reads `item,item,…` into `values_`; each function leaves the cursor behind what it understood.
class FieldParser {
 public:
  FieldParser(const FieldShape& shape, Cursor cursor, std::uint64_t hash_seed)
      : shape_(shape), cursor_(cursor), hash_(stirred(hash_seed, shape.kind)) {}

  SchedulerResult<FieldValues> parse() {
    const bool starred = cursor_.peek() == '*' || cursor_.peek() == '?';
    values_.month_days.starred = values_.weekdays.starred = starred;
    do {
      CHECK(item());
    } while (cursor_.take(','));
    if (!cursor_.at_end()) return unexpected_character();
    return values_;
  }

 private:
  SchedulerResult<void> item() {
    if (cursor_.take('*')) return stepped(whole());
    if (cursor_.take('?')) return question_mark();
    if (is_digit(cursor_.peek())) return number_item();
    if (is_letter(cursor_.peek())) return word_item();
    return missing_value();
  }

  SchedulerResult<void> question_mark() {
    if (!is_day_field())
      return fault(cursor_.position() - 1, "'?' means any day and is for the two day fields only; write * here");
    add(whole(), 1);
    return {};
  }

  // 5   5-9   5-9/2   5/2   15W   5L   5#2
  SchedulerResult<void> number_item() {
    const auto begin = cursor_.position();
    TRY(const int value, number());
    if (shape_.kind == FieldKind::month_day && cursor_.take('W')) {
      values_.month_days.near_workday |= 1U << value;
      return {};
    }
    return value_item(value, begin);
  }

  // H…   L…   MON, MON-FRI, MON#2, MONL
  SchedulerResult<void> word_item() {
    const auto begin = cursor_.position();
    auto behind = cursor_;
    const auto word = uppercase(behind.take_letters());
    if (word == "H") return hash_item();
    if (word[0] == 'L' && (word == "L" || word == "LW")) return last_item();
    TRY(const int value, name());
    return value_item(value, begin);
  }

  SchedulerResult<void> value_item(int value, std::size_t begin) {
    if (shape_.kind == FieldKind::weekday && cursor_.take('L')) {
      values_.weekdays.last |= static_cast<std::uint8_t>(1U << value % 7);
      return {};
    }
    if (shape_.kind == FieldKind::weekday && cursor_.take('#')) return nth_weekday(value);
    if (cursor_.take('-')) {
      TRY(const Run range, range_from(value, begin));
      return stepped(range);
    }
    if (cursor_.peek() != '/') return add(run_between(shape_, wrapped(value), wrapped(value)), 1);
    return stepped({wrapped(value), shape_.min + shape_.cycle - wrapped(value)});  // 5/15 is 5-59/15
  }

  // Behind "a-".
  SchedulerResult<Run> range_from(int a, std::size_t begin) {
    TRY(const int b, value());
    if (shape_.kind == FieldKind::year && b < a)
      return fault(begin, fmt::format("the years run backwards; write {}-{}", b, a));
    if (shape_.kind != FieldKind::weekday) return run_between(shape_, a, b);
    if (b == 7 && a != 7) return Run{a, 8 - a};  // 0-7 is the whole week, not Sunday alone
    return run_between(shape_, wrapped(a), wrapped(b));
  }

  // Behind "d#".
  SchedulerResult<void> nth_weekday(int weekday) {
    const auto begin = cursor_.position();
    const auto digits = cursor_.take_digits();
    if (digits.size() != 1 || digits[0] < '1' || digits[0] > '5')
      return fault(begin, "a number from 1 to 5 belongs behind '#': FRI#2 is the second Friday of the month");
    values_.weekdays.nth[digits[0] - '0'] |= static_cast<std::uint8_t>(1U << weekday % 7);
    return {};
  }

  // L   L-3   LW
  SchedulerResult<void> last_item() {
    const auto begin = cursor_.position();
    cursor_.take('L');
    if (shape_.kind == FieldKind::weekday)
      return fault(begin, "L alone does not name a weekday; write 5L or FRIL for the last Friday of the month");
    if (shape_.kind != FieldKind::month_day)
      return fault(begin, fmt::format("L is for the day fields only; write a {} from {} to {}", shape_.name, shape_.min,
                                      shape_.max));
    if (cursor_.take('W')) {
      values_.month_days.last_workday = true;
      return {};
    }
    if (!cursor_.take('-')) {
      values_.month_days.from_last |= 1U;
      return {};
    }
    const auto place = cursor_.position();
    const auto before = small_number(cursor_.take_digits());
    if (!before || *before > 30)
      return fault(place, "a number from 0 to 30 belongs behind 'L-': L-3 is three days before the month's last day");
    values_.month_days.from_last |= 1U << *before;
    return {};
  }

  // H   H(a-b)   H/n   H(a-b)/n
  SchedulerResult<void> hash_item() {
    const auto begin = cursor_.position();
    cursor_.take('H');
    if (shape_.kind == FieldKind::year) return fault(begin, "H cannot choose a year; write * or a year");
    Run range = whole();
    if (shape_.kind == FieldKind::month_day) range.count = 28;  // so that every month has the chosen day
    if (cursor_.take('(')) {
      const auto inner = cursor_.position();
      TRY(const int a, value());
      if (!cursor_.take('-')) return fault(cursor_.position(), "write the range of H as H(a-b)");
      TRY(range, range_from(a, inner));
      if (!cursor_.take(')')) return fault(cursor_.position(), "')' is missing: write H(a-b)");
    }
    if (cursor_.peek() != '/') return add({nth_of(range, hash_ % range.count), 1}, 1);
    TRY(const int step, step_after_slash());
    const auto offset = static_cast<int>(hash_ % std::min(step, range.count));
    return add({nth_of(range, offset), range.count - offset}, step);
  }

  SchedulerResult<void> stepped(Run range) {
    int step = 1;
    if (cursor_.peek() == '/') {
      TRY(step, step_after_slash());
    }
    return add(range, step);
  }

  // "/n". A step longer than the field would silently mean "once"; people who write */90 minutes want something else.
  SchedulerResult<int> step_after_slash() {
    cursor_.take('/');
    const auto begin = cursor_.position();
    const auto digits = cursor_.take_digits();
    if (digits.empty()) return fault(begin, "a step belongs behind '/', as in */15");
    const auto step = small_number(digits);
    if (step && *step >= 1 && *step <= shape_.cycle) return *step;
    const bool has_unit =
        shape_.kind == FieldKind::second || shape_.kind == FieldKind::minute || shape_.kind == FieldKind::hour;
    const auto remedy = has_unit && step && *step > 0
                            ? fmt::format("; for a longer interval write @every {}{}", *step, shape_.name[0])
                            : std::string();
    return fault(begin, fmt::format("step {} does not work for {}; use 1 to {}{}", shown(digits), shape_.name,
                                    shape_.cycle, remedy));
  }

  // A number or a name.
  SchedulerResult<int> value() {
    if (is_digit(cursor_.peek())) return number();
    if (is_letter(cursor_.peek())) return name();
    return std::unexpected(missing_value().error());
  }

  SchedulerResult<int> number() {
    const auto begin = cursor_.position();
    const auto digits = cursor_.take_digits();
    const auto value = small_number(digits);
    if (value && *value >= shape_.min && *value <= shape_.max) return *value;
    return fault(
        begin, fmt::format("{} {} is out of range; use {} to {}", shape_.name, shown(digits), shape_.min, shape_.max));
  }

  // Takes a name; leaves the L of "FRIL" for the caller.
  SchedulerResult<int> name() {
    const auto begin = cursor_.position();
    const auto word = cursor_.take_letters();
    const auto found = std::ranges::find(shape_.names, uppercase(word.substr(0, 3)));
    const bool is_last = shape_.kind == FieldKind::weekday && word.size() == 4 && upper(word[3]) == 'L';
    if (found == shape_.names.end() || (word.size() != 3 && !is_last)) return fault(begin, unknown_word(word));
    if (is_last) cursor_.put_back();
    return static_cast<int>(found - shape_.names.begin()) + shape_.min;
  }

  // "MONDAY" is too far from MON for an edit distance, so the first three letters are tried first.
  [[nodiscard]] std::string unknown_word(std::string_view word) const {
    if (shape_.names.empty())
      return fmt::format("'{}' is not a {}; use {} to {}", shown(word), shape_.name, shape_.min, shape_.max);
    const auto known = std::ranges::find(shape_.names, uppercase(word.substr(0, 3)));
    if (known != shape_.names.end())
      return fmt::format("'{}' is not a {}; did you mean '{}'?", shown(word), shape_.name, *known);
    const auto hint = suggestion(word, shape_.names);
    return fmt::format("'{}' is not a {}; use {} to {} or {} to {}{}", shown(word), shape_.name, shape_.min, shape_.max,
                       shape_.names.front(), shape_.names.back(), hint);
  }

  // --- small things ---

  [[nodiscard]] bool is_day_field() const {
    return shape_.kind == FieldKind::month_day || shape_.kind == FieldKind::weekday;
  }
  [[nodiscard]] Run whole() const { return {shape_.min, shape_.cycle}; }
  [[nodiscard]] int wrapped(int value) const { return shape_.kind == FieldKind::weekday ? value % 7 : value; }
  [[nodiscard]] int nth_of(Run range, std::uint64_t n) const {
    return shape_.min + (range.first - shape_.min + static_cast<int>(n)) % shape_.cycle;
  }

  SchedulerResult<void> add(Run range, int step) {
    for (int i = 0; i < range.count; i += step)
      values_.plain.set(nth_of(range, static_cast<std::uint64_t>(i)) - shape_.min);
    return {};
  }

  // Up to four digits; more cannot be right in any field.
  static std::optional<int> small_number(std::string_view digits) {
    if (digits.empty() || digits.size() > 4) return std::nullopt;
    int value = 0;
    for (const char c : digits) value = value * 10 + (c - '0');
    return value;
  }

  [[nodiscard]] std::unexpected<SchedulerError> fault(std::size_t position, std::string_view sentence) const {
    return schedule_fault(position, sentence);
  }

  SchedulerResult<void> missing_value() {
    if (!cursor_.at_end() && cursor_.peek() != ',') return unexpected_character();
    return fault(cursor_.position(), fmt::format("a value is missing; use {} to {} or *", shape_.min, shape_.max));
  }

  std::unexpected<SchedulerError> unexpected_character() {
    return fault(cursor_.position(),
                 fmt::format("'{}' does not belong here in the field '{}'; use {} to {}, lists (a,b), ranges (a-b), "
                             "steps (*/n) or *",
                             cursor_.raw(), shape_.name, shape_.min, shape_.max));
  }

  const FieldShape& shape_;
  Cursor cursor_;
  std::uint64_t hash_;
  FieldValues values_;
};

// --- the text as a whole ---

struct Span {
  std::size_t begin, end;
};

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::vector<Span> split(std::string_view text) {
  std::vector<Span> fields;
  for (std::size_t at = 0; at < text.size();) {
    if (is_blank(text[at])) {
      ++at;
      continue;
    }
    const auto begin = at;
    while (at < text.size() && !is_blank(text[at])) ++at;
    fields.push_back({begin, at});
  }
  return fields;
}

SchedulerResult<std::vector<Span>> split_checked(std::string_view text) {
  constexpr std::string_view kExpected =
      "cron needs 5 (minute hour day month weekday), 6 (second first) or 7 (second first, year last)";
  auto fields = split(text);
  if (fields.empty()) return schedule_fault(1, "the schedule is empty; write for example '0 2 * * *' or '@every 15m'");
  if (fields.size() < 5)
    return schedule_fault(fields.back().end + 1, fmt::format("only {} {}; {}", fields.size(),
                                                             fields.size() == 1 ? "field" : "fields", kExpected));
  if (fields.size() > 7)
    return schedule_fault(fields[7].begin + 1, fmt::format("{} fields are too many; {}", fields.size(), kExpected));
  return fields;
}

void store(CronFields& fields, const FieldShape& shape, const FieldValues& values) {
  const auto bits = [&] {
    std::uint64_t low = 0;
    for (int i = 0; i < shape.cycle; ++i) low |= std::uint64_t{values.plain[i]} << (i + shape.min);
    return low;
  };
  switch (shape.kind) {
    case FieldKind::second:
      fields.seconds = bits();
      return;
    case FieldKind::minute:
      fields.minutes = bits();
      return;
    case FieldKind::hour:
      fields.hours = static_cast<std::uint32_t>(bits());
      return;
    case FieldKind::month:
      fields.months = static_cast<std::uint32_t>(bits());
      return;
    case FieldKind::year:
      fields.years = values.plain;
      return;
    case FieldKind::month_day:
      fields.month_days = values.month_days;
      fields.month_days.plain = static_cast<std::uint32_t>(bits());
      return;
    case FieldKind::weekday:
      fields.weekdays = values.weekdays;
      fields.weekdays.plain = static_cast<std::uint8_t>(bits());
      return;
  }
}

int longest_month(const CronFields& fields) {
  using namespace std::chrono;
  int longest = 0;
  for (int m = 1; m <= 12; ++m)
    if ((fields.months >> m & 1) != 0)
      for (int y = kYearMin; y <= kYearMax; ++y)
        if (fields.years.test(y - kYearMin)) longest = std::max(longest, int(unsigned((year{y} / m / last).day())));
  return longest;
}

std::string why_never(const CronFields& fields) {
  const auto days = fields.month_days.plain | fields.month_days.near_workday;
  const int first = std::countr_zero(days), longest = longest_month(fields);
  if (days != 0 && first > longest)
    return fmt::format(
        "this can never fire: no chosen month has a day {} (the longest has {} days); write L for the "
        "last day of a month",
        first, longest);
  return "this can never fire: the day, month, weekday and year fields never meet on one date";
}

SchedulerResult<void> check_can_fire(const CronFields& fields, std::size_t day_position) {
  using namespace std::chrono;
  const auto match = first_match(fields, local_days{year{kYearMin} / 1 / 1}, local_days{year{kYearMax + 1} / 1 / 1});
  if (!match) return schedule_fault(day_position, why_never(fields));
  return {};
}

}  // namespace

std::unexpected<SchedulerError> schedule_fault(std::size_t position, std::string_view sentence) {
  return fail(ErrorKind::InvalidSchedule, fmt::format("position {}: {}", position, sentence));
}

SchedulerResult<CronFields> parse_cron(std::string_view text, std::uint64_t hash_seed) {
  TRY(const auto spans, split_checked(text));
  CronFields fields;
  fields.seconds = 1;
  fields.years.set();
  std::size_t shape = spans.size() == 5 ? 1 : 0;
  for (const auto& span : spans) {
    TRY(const auto values, FieldParser(kShapes[shape], Cursor(text, span.begin, span.end), hash_seed).parse());
    store(fields, kShapes[shape], values);
    ++shape;
  }
  const std::size_t day = spans.size() == 5 ? 2 : 3;
  CHECK(check_can_fire(fields, spans[day].begin + 1));
  return fields;
}

}  // namespace scheduler::domain
