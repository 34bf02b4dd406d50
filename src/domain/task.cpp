#include "domain/task.hpp"

#include <fmt/format.h>

#include <cmath>
#include <set>

namespace scheduler::domain {
namespace {

bool is_control(unsigned char c) { return c < 0x20 || c == 0x7f; }

bool has_control(std::string_view text) {
  for (const char c : text)
    if (is_control(static_cast<unsigned char>(c))) return true;
  return false;
}

// The length of the well-formed sequence (RFC 3629) that `text` begins with; 0: there is none.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u; };
  const unsigned lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
  unsigned low = 0x80, high = 0xbf;  // of the second byte: no overlong forms, no surrogates, nothing past U+10FFFF
  if (lead == 0xe0) low = 0xa0;
  if (lead == 0xed) high = 0x9f;
  if (lead == 0xf0) low = 0x90;
  if (lead == 0xf4) high = 0x8f;
  if (lead < 0xc2 || lead > 0xf4 || byte(1) < low || byte(1) > high) return 0;
  for (std::size_t i = 2; i < length; ++i)
    if (byte(i) < 0x80 || byte(i) > 0xbf) return 0;
  return length;
}

bool is_utf8(std::string_view text) {
  while (!text.empty()) {
    const auto length = utf8_length(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

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

void check_labels(const Labels& labels, std::string_view pointer, std::vector<FieldError>& errors) {
  if (labels.size() > kLabelsMax)
    errors.push_back(
        {std::string(pointer), fmt::format("has {} labels; at most {} are allowed", labels.size(), kLabelsMax)});
  for (const auto& [key, value] : labels)
    if (key.empty() || !is_label_word(key, 63) || !is_label_word(value, 63))
      errors.push_back(
          {std::string(pointer), "keys and values are up to 63 letters, digits, '.', '_', '-' or '/', keys not empty"});
}

void check_range(double value, double low, double high, std::string_view pointer, std::vector<FieldError>& errors) {
  if (!(value >= low && value <= high))  // also catches NaN
    errors.push_back({std::string(pointer), fmt::format("must be between {} and {}", low, high)});
}

}  // namespace

std::vector<FieldError> validate(const TaskSpec& spec) {
  std::vector<FieldError> errors;
  if (spec.name.empty() || spec.name.size() > 255)
    errors.push_back({"/name", "must be 1 to 255 bytes long"});
  else if (has_control(spec.name) || spec.name.front() == ' ' || spec.name.back() == ' ')
    errors.push_back({"/name", "must not hold control characters, nor begin or end with a space"});
  else if (!is_utf8(spec.name))
    errors.push_back({"/name", "must be UTF-8"});
  if (spec.description.size() > 4096)
    errors.push_back({"/description", "must be at most 4096 bytes long"});
  else if (!is_utf8(spec.description) || spec.description.find('\0') != std::string::npos)
    errors.push_back({"/description", "must be UTF-8 without NUL"});
  if (spec.parameters.size() > kParameterBytesMax)
    errors.push_back({"/parameters", fmt::format("must be at most {} bytes of JSON", kParameterBytesMax)});
  check_range(static_cast<double>(spec.timeout.count()), 1, 86400, "/timeout_seconds", errors);
  check_range(spec.max_retries, 0, 10, "/max_retries", errors);
  check_range(spec.retry_backoff.base_seconds, 0.001, 86400, "/retry_backoff/base_seconds", errors);
  check_range(spec.retry_backoff.factor, 1, 10, "/retry_backoff/factor", errors);
  check_range(spec.retry_backoff.cap_seconds, 0.001, 86400, "/retry_backoff/cap_seconds", errors);
  if (spec.retry_backoff.cap_seconds < spec.retry_backoff.base_seconds)
    errors.push_back({"/retry_backoff/cap_seconds", "must not be below base_seconds"});
  check_range(spec.priority, 0, 9, "/priority", errors);
  check_range(spec.shard_count, 1, 1000, "/shard_count", errors);
  if (spec.dependencies.size() > kDependenciesMax)
    errors.push_back({"/dependencies", fmt::format("must name at most {} tasks", kDependenciesMax)});
  if (std::set(spec.dependencies.begin(), spec.dependencies.end()).size() != spec.dependencies.size())
    errors.push_back({"/dependencies", "names a task twice"});
  if (!spec.dependencies.empty() && spec.schedule)
    errors.push_back(
        {"/dependencies", "a task with a schedule cannot also wait for other tasks yet; leave one of the two out"});
  check_labels(spec.labels, "/labels", errors);
  check_labels(spec.worker_labels, "/worker_labels", errors);
  return errors;
}

}  // namespace scheduler::domain
