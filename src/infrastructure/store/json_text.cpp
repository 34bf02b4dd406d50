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
