#include "cli/json_text.hpp"

#include "cli/text.hpp"
#include "core/utf8.hpp"

#include <boost/json.hpp>
#include <fmt/format.h>

#include <cctype>

namespace scheduler::cli {
namespace {

// YAML 1.1 readers take 1e+20 for text; with a fraction it is a number to all of them.
std::string number_text(double number) {
  auto text = fmt::format("{}", number);
  if (const auto e = text.find('e'); e != text.npos && !text.contains('.')) text.insert(e, ".0");
  return text;
}

std::string scalar_text(const json::value& value) {
  if (const auto* number = value.if_double()) return number_text(*number);
  return json::serialize(value);
}

void write_json(std::string& out, const json::value& value, const std::string& indent) {
  const auto inner = indent + "  ";
  if (const auto* object = value.if_object(); object && !object->empty()) {
    out += '{';
    for (const char* comma = "\n"; const auto& [key, item] : *object) {
      out += fmt::format("{}{}{}: ", comma, inner, json::serialize(json::string_view(key)));
      write_json(out, item, inner);
      comma = ",\n";
    }
    out += "\n" + indent + "}";
  } else if (const auto* array = value.if_array(); array && !array->empty()) {
    out += '[';
    for (const char* comma = "\n"; const auto& item : *array) {
      out += comma + inner;
      write_json(out, item, inner);
      comma = ",\n";
    }
    out += "\n" + indent + "]";
  } else {
    out += scalar_text(value);
  }
}

// A word that every YAML reader takes for text: it begins with a letter, holds nothing that has a meaning, and is none
// of the words for true, false and null.
bool is_plain(std::string_view text) {
  constexpr std::string_view kReserved[] = {"true", "false", "null", "yes", "no", "on", "off", "y", "n"};
  constexpr std::string_view kOthers = "_-./ ";
  if (text.empty() || std::isalpha(static_cast<unsigned char>(text.front())) == 0 || text.ends_with(' ')) return false;
  std::string lower;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x80 || (std::isalnum(byte) == 0 && !kOthers.contains(c))) return false;
    lower += static_cast<char>(std::tolower(byte));
  }
  return std::ranges::find(kReserved, lower) == std::end(kReserved);
}

// JSON strings are YAML strings, but for what YAML does not print or takes for a line's end.
std::string yaml_string(std::string_view text) {
  if (is_plain(text)) return std::string(text);
  return with_hidden_escaped(json::serialize(json::string_view(text.data(), text.size())));
}

// `indent` is where the value's own lines begin; a list inside a list item begins on the item's line.
void write_yaml(std::string& out, const json::value& value, const std::string& indent, bool on_new_line) {
  const auto* object = value.if_object();
  const auto* array = value.if_array();
  if (object && !object->empty()) {
    for (bool first = true; const auto& [key, item] : *object) {
      if (!first || on_new_line) out += indent;
      first = false;
      out += yaml_string(key) + ":";
      const bool nested =
          (item.is_object() && !item.get_object().empty()) || (item.is_array() && !item.get_array().empty());
      out += nested ? "\n" : " ";
      write_yaml(out, item, indent + "  ", nested);
    }
  } else if (array && !array->empty()) {
    for (bool first = true; const auto& item : *array) {
      if (!first || on_new_line) out += indent;
      first = false;
      out += "- ";
      write_yaml(out, item, indent + "  ", false);
    }
  } else {
    const auto* text = value.if_string();
    out += (text ? yaml_string(*text) : scalar_text(value)) + "\n";
  }
}

bool is_scalar(const json::value& value) { return !value.is_object() && !value.is_array(); }

}  // namespace

std::string indented_json(const json::value& value) {
  std::string out;
  write_json(out, value, "");
  return with_hidden_escaped(out, U"\n");
}

std::string yaml_of(const json::value& value) {
  std::string out;
  write_yaml(out, value, "", true);
  return out;
}

const json::value* member_of(const json::value& value, std::string_view name) {
  const auto* object = value.if_object();
  return object ? object->if_contains(name) : nullptr;
}

json::array array_in(const json::value& value, std::string_view name) {
  const auto* member = member_of(value, name);
  return member && member->is_array() ? member->get_array() : json::array();
}

std::string member_text(const json::value& value, std::string_view name) {
  const auto* member = member_of(value, name);
  return member ? cell_of(*member) : "-";
}

std::string cell_of(const json::value& value) {
  if (value.is_null()) return "-";
  if (const auto* text = value.if_string()) return text->empty() ? "-" : one_line(*text);
  if (const auto* flag = value.if_bool()) return *flag ? "yes" : "no";
  std::string out;
  if (const auto* array = value.if_array(); array && std::ranges::all_of(*array, is_scalar)) {
    for (const auto& item : *array) out += (out.empty() ? "" : ", ") + cell_of(item);
    return out.empty() ? "-" : out;
  }
  if (const auto* object = value.if_object();
      object && std::ranges::all_of(*object, [](const auto& member) { return is_scalar(member.value()); })) {
    for (const auto& [key, item] : *object)
      out += fmt::format("{}{}={}", out.empty() ? "" : " ", one_line(key), cell_of(item));
    return out.empty() ? "-" : out;
  }
  return is_scalar(value) ? scalar_text(value) : one_line(json::serialize(value));
}

}  // namespace scheduler::cli
