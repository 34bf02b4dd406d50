// Cron text: it is refused with a place and a sentence, or its fields name the local times that a scan of a window
// finds.
#include "domain/cron_match.hpp"
#include "fuzz/fuzz.hpp"
#include "fuzz/naive_cron.hpp"

#include <algorithm>

namespace scheduler::fuzz {
namespace {

using domain::CronFields;
using domain::LocalTime;

constexpr std::uint64_t kSeed = 42;

std::string changed(std::string_view text, char first, char last, char by) {
  std::string result(text);
  for (char& c : result)
    if (c >= first && c <= last) c = static_cast<char>(c + by);
  return result;
}

void check_refusal(std::string_view text, const SchedulerError& error) {
  MUST(error.kind == ErrorKind::InvalidSchedule, error.message);
  MUST(error.message.starts_with("position "), error.message);
  const auto position = std::strtoull(error.message.c_str() + 9, nullptr, 10);
  MUST(position >= 1 && position <= text.size() + 1, error.message);
  MUST(error.message.size() > error.message.find(": ") + 2, error.message);
}

void check_window(const CronFields& fields, LocalTime from, LocalTime until, std::string_view text) {
  const auto expected = naive_matches(fields, from, until);
  std::vector<LocalTime> found;
  for (auto at = from; const auto match = domain::first_match(fields, at, until); at = *match + Seconds{1})
    found.push_back(*match);
  MUST(found == expected, text);
  const auto last = domain::last_match(fields, from, until);
  MUST(last == (expected.empty() ? std::nullopt : std::optional(expected.back())), text);
}

// Every text that never fires is refused, so whatever is not has a match, and the days around it are as good a window
// as any.
void check_fields(const CronFields& fields, std::string_view text) {
  using namespace std::chrono;
  constexpr LocalTime kBegin = local_days{year{2024} / 2 / 27};
  constexpr LocalTime kEnd = local_days{year{domain::kYearMax + 1} / 1 / 1};
  auto match = domain::first_match(fields, kBegin, kEnd);
  if (!match) match = domain::last_match(fields, local_days{year{domain::kYearMin} / 1 / 1}, kBegin);
  MUST(match, text);
  if (fields.seconds == 1)
    check_window(fields, *match - hours{30}, *match + hours{30}, text);
  else
    check_window(fields, *match - minutes{40}, *match + minutes{40}, text);
}

}  // namespace
}  // namespace scheduler::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace scheduler;
  using namespace scheduler::fuzz;
  const auto text = as_text(data, size);
  const auto is_promised = [](char c) { return c == '\t' || (c >= ' ' && c <= '~'); };  // by parse_schedule()
  if (size > 1024 || !std::ranges::all_of(text, is_promised)) return 0;
  const auto fields = domain::parse_cron(text, kSeed);
  if (!fields) {
    check_refusal(text, fields.error());
    return 0;
  }
  for (const auto& other : {changed(text, 'a', 'z', 'A' - 'a'), changed(text, 'A', 'Z', 'a' - 'A'),
                            changed(text, ' ', ' ', '\t' - ' '), "  " + std::string(text) + "\t"}) {
    const auto same = domain::parse_cron(other, kSeed);
    MUST(same && *same == *fields, other);
  }
  check_fields(*fields, text);
  return 0;
}
