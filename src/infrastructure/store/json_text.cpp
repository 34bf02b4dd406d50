#include "infrastructure/store/json_text.hpp"

#include <boost/json.hpp>

namespace scheduler::infrastructure {
namespace {

namespace json = boost::json;

// Texts of workers are not ours: whatever bytes were written must come back.
std::optional<json::value> parse(std::string_view text) {
  boost::system::error_code error;
  auto value = json::parse(text, error, {}, {.allow_invalid_utf8 = true});
  if (error) return std::nullopt;
  return value;
}

}  // namespace

std::string to_json_text(const domain::Labels& labels) {
  json::object object;
  for (const auto& [key, value] : labels) object[key] = value;
  return json::serialize(object);
}

std::string to_json_text(const std::vector<std::string>& words) {
  return json::serialize(json::array(words.begin(), words.end()));
}

std::string to_json_text(const domain::RetryOn& rules) {
  json::object object;
  for (const auto reason : rules.reasons) {
    auto& reasons = object["reasons"];
    if (!reasons.is_array()) reasons.emplace_array();
    reasons.get_array().emplace_back(name_of(reason));
  }
  if (!rules.exit_codes.empty()) object["exit_codes"] = json::array(rules.exit_codes.begin(), rules.exit_codes.end());
  if (!rules.http_statuses.empty())
    object["http_statuses"] = json::array(rules.http_statuses.begin(), rules.http_statuses.end());
  return json::serialize(object);
}

std::optional<domain::RetryOn> retry_on_from_json(std::string_view text) {
  if (text == "{}") return domain::RetryOn{};
  const auto value = parse(text);
  if (!value || !value->is_object()) return std::nullopt;
  domain::RetryOn rules;
  for (const auto& [key, list] : value->get_object()) {
    if (!list.is_array()) return std::nullopt;
    for (const auto& item : list.get_array()) {
      if (key == "reasons") {
        const auto reason = item.is_string() ? parse_enum<domain::Reason>(item.get_string()) : std::nullopt;
        if (!reason) return std::nullopt;
        rules.reasons.push_back(*reason);
      } else {
        if (!item.is_int64()) return std::nullopt;
        (key == "exit_codes" ? rules.exit_codes : rules.http_statuses).push_back(static_cast<int>(item.get_int64()));
      }
    }
  }
  return rules;
}

std::optional<domain::Labels> labels_from_json(std::string_view text) {
  if (text == "{}") return domain::Labels{};
  const auto value = parse(text);
  if (!value || !value->is_object()) return std::nullopt;
  domain::Labels labels;
  for (const auto& [key, label] : value->get_object()) {
    if (!label.is_string()) return std::nullopt;
    labels.emplace(key, label.get_string());
  }
  return labels;
}

std::optional<std::vector<std::string>> words_from_json(std::string_view text) {
  const auto value = parse(text);
  if (!value || !value->is_array()) return std::nullopt;
  std::vector<std::string> words;
  for (const auto& word : value->get_array()) {
    if (!word.is_string()) return std::nullopt;
    words.emplace_back(word.get_string());
  }
  return words;
}

}  // namespace scheduler::infrastructure
