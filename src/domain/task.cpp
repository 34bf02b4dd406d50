#include "domain/task.hpp"

#include "core/utf8.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

namespace scheduler::domain {
namespace {

// Lines, tabs, and the joiners that some scripts and emoji are written with.
constexpr std::u32string_view kDescriptionLayout = U"\n\r\t\u200C\u200D";

constexpr double kCatchUpWindowSecondsMax = 10.0 * 365 * 86400;
constexpr std::size_t kRetryCodesMax = 256;

bool is_label_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-' || c == '/';
}

bool is_label_word(std::string_view word, std::size_t bytes_max) {
  if (word.size() > bytes_max) return false;
  for (const char c : word)
    if (!is_label_char(c)) return false;
  return true;
}

// What people read in lists. `allowed`: hidden characters that have their place in it.
void check_text(std::string_view text, std::string_view pointer, std::u32string_view allowed,
                std::vector<FieldError>& errors) {
  if (const auto at = first_invalid_byte(text))
    errors.push_back({std::string(pointer), fmt::format("is not valid UTF-8 at byte {}", *at + 1)});
  else if (auto fault = hidden_character_in(text, allowed))
    errors.push_back({std::string(pointer), *std::move(fault)});
}

void check_labels(const Labels& labels, std::string_view pointer, std::vector<FieldError>& errors) {
  if (labels.size() > kLabelsMax)
    errors.push_back(
        {std::string(pointer), fmt::format("has {} labels; at most {} are allowed", labels.size(), kLabelsMax)});
  for (const auto& [key, value] : labels)
    if (key.empty() || !is_label_word(key, 63) || !is_label_word(value, 63))
      errors.push_back(
          {std::string(pointer),
           fmt::format(
               "'{}' = '{}' is not a label; keys and values are up to 63 letters, digits, '.', '_', '-' or '/', "
               "keys not empty",
               with_hidden_escaped(key.substr(0, 64)), with_hidden_escaped(value.substr(0, 64)))});
}

void check_range(double value, double low, double high, std::string_view pointer, std::vector<FieldError>& errors) {
  if (!(value >= low && value <= high))  // also catches NaN
    errors.push_back({std::string(pointer), fmt::format("must be between {} and {}", low, high)});
}

void check_retry_on(const RetryOn& rules, std::vector<FieldError>& errors) {
  if (std::set(rules.reasons.begin(), rules.reasons.end()).size() != rules.reasons.size())
    errors.push_back({"/retry_on/reasons", "names a reason twice"});
  for (std::size_t i = 0; i < rules.reasons.size(); ++i)
    if (std::ranges::find(kRetryReasons, rules.reasons[i]) == kRetryReasons.end())
      errors.push_back({fmt::format("/retry_on/reasons/{}", i),
                        "must be exit_code, signal, http_status, executor_error, timeout or output_invalid"});
  if (rules.exit_codes.size() > kRetryCodesMax)
    errors.push_back({"/retry_on/exit_codes", fmt::format("must have at most {} entries", kRetryCodesMax)});
  if (rules.http_statuses.size() > kRetryCodesMax)
    errors.push_back({"/retry_on/http_statuses", fmt::format("must have at most {} entries", kRetryCodesMax)});
  for (std::size_t i = 0; i < rules.exit_codes.size() && i < kRetryCodesMax; ++i)
    check_range(rules.exit_codes[i], 1, 255, fmt::format("/retry_on/exit_codes/{}", i), errors);
  for (std::size_t i = 0; i < rules.http_statuses.size() && i < kRetryCodesMax; ++i)
    check_range(rules.http_statuses[i], 100, 599, fmt::format("/retry_on/http_statuses/{}", i), errors);
}

}  // namespace

std::vector<FieldError> validate(const TaskSpec& spec) {
  std::vector<FieldError> errors;
  if (spec.name.empty() || spec.name.size() > 255)
    errors.push_back({"/name", "must be 1 to 255 bytes long"});
  else if (spec.name.front() == ' ' || spec.name.back() == ' ')
    errors.push_back({"/name", "must not begin or end with a space"});
  else if (spec.name.find_first_not_of("0123456789") == std::string::npos)
    errors.push_back({"/name", "must hold more than digits: a number is taken for an id"});
  else
    check_text(spec.name, "/name", {}, errors);
  if (spec.description.size() > 4096)
    errors.push_back({"/description", "must be at most 4096 bytes long"});
  else
    check_text(spec.description, "/description", kDescriptionLayout, errors);
  if (spec.parameters.size() > kParameterBytesMax)
    errors.push_back({"/parameters", fmt::format("must be at most {} bytes of JSON", kParameterBytesMax)});
  check_range(static_cast<double>(spec.timeout.count()), 1, 86400, "/timeout_seconds", errors);
  check_range(spec.max_retries, 0, 10, "/max_retries", errors);
  check_range(spec.retry_backoff.base_seconds, 0.001, 86400, "/retry_backoff/base_seconds", errors);
  check_range(spec.retry_backoff.factor, 1, 10, "/retry_backoff/factor", errors);
  check_range(spec.retry_backoff.cap_seconds, 0.001, 86400, "/retry_backoff/cap_seconds", errors);
  if (spec.retry_backoff.cap_seconds < spec.retry_backoff.base_seconds)
    errors.push_back({"/retry_backoff/cap_seconds", "must not be below base_seconds"});
  check_retry_on(spec.retry_on, errors);
  check_range(spec.max_lost_attempts, 1, 10, "/max_lost_attempts", errors);
  check_range(static_cast<double>(spec.misfire_grace.count()), 0, 86400, "/misfire_grace_seconds", errors);
  if (spec.catch_up_window)
    check_range(static_cast<double>(spec.catch_up_window->count()), 1, kCatchUpWindowSecondsMax,
                "/catch_up_window_seconds", errors);
  if (spec.max_concurrent_runs) check_range(*spec.max_concurrent_runs, 1, 10'000, "/max_concurrent_runs", errors);
  check_range(spec.max_queued_runs, 1, 1'000'000, "/max_queued_runs", errors);
  check_range(spec.priority, 0, 9, "/priority", errors);
  check_range(spec.shard_count, 1, 1000, "/shard_count", errors);
  if (spec.dependencies.size() > kDependenciesMax)
    errors.push_back({"/dependencies", fmt::format("must name at most {} tasks", kDependenciesMax)});
  if (std::set(spec.dependencies.begin(), spec.dependencies.end()).size() != spec.dependencies.size())
    errors.push_back({"/dependencies", "names a task twice"});
  check_labels(spec.labels, "/labels", errors);
  check_labels(spec.worker_labels, "/worker_labels", errors);
  return errors;
}

}  // namespace scheduler::domain
