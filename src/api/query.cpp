#include "api/query.hpp"

#include "api/url.hpp"
#include "core/suggest.hpp"

#include <fmt/format.h>

#include <charconv>

namespace scheduler::api {

std::optional<std::int64_t> parse_integer(std::string_view text, std::int64_t min, std::int64_t max) {
  std::int64_t number = 0;
  const auto [end, ec] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (ec != std::errc() || end != text.data() + text.size() || number < min || number > max) return std::nullopt;
  return number;
}

QueryReader::QueryReader(std::string_view query) {
  while (!query.empty()) {
    const auto part = query.substr(0, query.find('&'));
    query.remove_prefix(std::min(query.size(), part.size() + 1));
    if (part.empty()) continue;
    const auto equals = part.find('=');
    auto name = percent_decode(part.substr(0, equals), true);
    auto value = percent_decode(equals == std::string_view::npos ? "" : part.substr(equals + 1), true);
    if (!name)
      fault("",
            "a parameter's name is not well encoded: '%' needs two hexadecimal digits, and the result must be UTF-8");
    else if (!value)
      fault(*name, "is not well encoded: '%' needs two hexadecimal digits, and the result must be UTF-8");
    else
      given_.push_back({*std::move(name), *std::move(value)});
  }
}

void QueryReader::fault(std::string_view name, std::string message) {
  constexpr std::size_t kFaultsMax = 100;
  if (faults_.size() < kFaultsMax) faults_.push_back({std::string(name), std::move(message)});
}

std::optional<std::string> QueryReader::text(std::string_view name) {
  asked_.push_back(name);
  std::optional<std::string> found;
  for (const auto& parameter : given_) {
    if (parameter.name != name) continue;
    if (found) {
      fault(name, "is given twice");
      return std::nullopt;
    }
    found = parameter.value;
  }
  if (found && found->empty()) {
    fault(name, "must not be empty; leave it out instead");
    return std::nullopt;
  }
  return found;
}

std::optional<std::int64_t> QueryReader::integer(std::string_view name, std::int64_t min, std::int64_t max) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  const auto number = parse_integer(*given, min, max);
  if (!number) fault(name, fmt::format("must be a whole number between {} and {}", min, max));
  return number;
}

std::optional<TimePoint> QueryReader::instant(std::string_view name) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  const auto at = parse_rfc3339(*given);
  if (at) return *at;
  fault(name, at.error().message);
  return std::nullopt;
}

std::optional<std::pair<std::string, std::string>> QueryReader::label(std::string_view name) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  const auto colon = given->find(':');
  if (colon != std::string::npos && colon > 0) return std::pair(given->substr(0, colon), given->substr(colon + 1));
  fault(name, "must look like key:value, for example team:data");
  return std::nullopt;
}

std::optional<std::size_t> QueryReader::word_index(std::string_view name, std::span<const std::string_view> names,
                                                   const std::string& known) {
  const auto given = text(name);
  if (!given) return std::nullopt;
  for (std::size_t i = 0; i < names.size(); ++i)
    if (names[i] == *given) return i;
  fault(name, fmt::format("must be {}{}", known, suggestion(*given, names)));
  return std::nullopt;
}

QueryReader::PageRequest QueryReader::page() {
  constexpr int kSize = 20, kSizeMax = 100;
  const auto page = integer("page", 1, kIdMax), page_size = integer("page_size", 1, kSizeMax);
  const auto cursor = integer("cursor", 1, kIdMax), limit = integer("limit", 1, kSizeMax);
  if (cursor || limit) {
    if (page || page_size) fault(cursor ? "cursor" : "limit", "cannot be combined with page and page_size");
    return {.paging = {.limit = static_cast<int>(limit.value_or(kSize)), .before = cursor}, .page = {}};
  }
  const auto size = page_size.value_or(kSize), number = page.value_or(1);
  if (number - 1 > application::kOffsetMax / size) {
    fault("page", fmt::format("pages end after {} entries; go on with cursor and limit", application::kOffsetMax));
    return {};
  }
  return {.paging = {.limit = static_cast<int>(size), .before = {}, .offset = (number - 1) * size}, .page = number};
}

SchedulerResult<void> QueryReader::finish() {
  for (const auto& [name, value] : given_)
    if (std::ranges::find(asked_, std::string_view(name)) == asked_.end())
      fault(name, "is not a parameter of this endpoint" + suggestion(name, asked_));
  if (faults_.empty()) return {};
  auto message = fmt::format("query parameter '{}' {}", faults_.front().pointer, faults_.front().message);
  if (faults_.size() > 1) message += fmt::format(" (and {} more)", faults_.size() - 1);
  return fail(ErrorKind::Validation, std::move(message), std::move(faults_));
}

}  // namespace scheduler::api
