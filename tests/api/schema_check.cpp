#include "api/schema_check.hpp"

#include <algorithm>

namespace scheduler::api {
namespace {

namespace json = boost::json;

constexpr std::string_view kUnderstood[] = {
    "$ref",     "type",     "enum",      "const",    "properties", "required",  "additionalProperties",
    "items",    "allOf",    "minimum",   "maximum",  "default",    "minLength", "format",
    "maxItems", "minItems", "maxLength", "examples", "description"};

class Checker {
 public:
  explicit Checker(const json::value& document) : document_(document) {}
  void check(const json::object& schema, const json::value& value, const std::string& at);
  std::vector<std::string> faults;

 private:
  void fault(const std::string& at, const std::string& what) {
    faults.push_back((at.empty() ? "/" : at) + ": " + what);
  }
  void check_members(const json::object& schema, const json::object& object, const std::string& at);
  const json::value& document_;
};

bool has_type(const json::value& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_bool();
  if (type == "null") return value.is_null();
  if (type == "integer") return value.is_int64() || value.is_uint64();
  return value.is_number();
}

bool has_some_type(const json::value& value, const json::value& type) {
  if (type.is_string()) return has_type(value, type.get_string());
  return std::ranges::any_of(type.as_array(), [&](const json::value& it) { return has_type(value, it.as_string()); });
}

void Checker::check(const json::object& schema, const json::value& value, const std::string& at) {
  for (const auto& [word, rule] : schema)
    if (std::ranges::find(kUnderstood, std::string_view(word)) == std::ranges::end(kUnderstood))
      fault(at, "the schema uses '" + std::string(word) + "', which this check does not understand");

  if (const auto* reference = schema.if_contains("$ref"))
    check(document_.at_pointer(std::string_view(reference->as_string()).substr(1)).as_object(), value, at);
  if (const auto* parts = schema.if_contains("allOf"))
    for (const auto& part : parts->as_array()) check(part.as_object(), value, at);
  if (const auto* type = schema.if_contains("type"); type != nullptr && !has_some_type(value, *type))
    return fault(at, "is " + json::serialize(value) + ", not of type " + json::serialize(*type));
  if (const auto* words = schema.if_contains("enum"))
    if (std::ranges::find(words->as_array(), value) == words->as_array().end())
      fault(at, json::serialize(value) + " is not among " + json::serialize(*words));
  if (const auto* only = schema.if_contains("const"); only != nullptr && *only != value)
    fault(at, "is not " + json::serialize(*only));
  if (value.is_number()) {
    const auto number = value.to_number<double>();
    if (const auto* least = schema.if_contains("minimum"); least && number < least->to_number<double>())
      fault(at, "is below the minimum");
    if (const auto* most = schema.if_contains("maximum"); most && number > most->to_number<double>())
      fault(at, "is above the maximum");
  }
  if (const auto* text = value.if_string()) {
    if (const auto* most = schema.if_contains("maxLength"); most && text->size() > most->to_number<std::size_t>())
      fault(at, "is too long");
    if (const auto* least = schema.if_contains("minLength"); least && text->size() < least->to_number<std::size_t>())
      fault(at, "is too short");
  }
  if (const auto* array = value.if_array()) {
    if (const auto* most = schema.if_contains("maxItems"); most && array->size() > most->to_number<std::size_t>())
      fault(at, "holds too many items");
    if (const auto* least = schema.if_contains("minItems"); least && array->size() < least->to_number<std::size_t>())
      fault(at, "holds too few items");
    if (const auto* items = schema.if_contains("items"))
      for (std::size_t i = 0; i < array->size(); ++i)
        check(items->as_object(), (*array)[i], at + "/" + std::to_string(i));
  }
  if (const auto* object = value.if_object()) check_members(schema, *object, at);
}

void Checker::check_members(const json::object& schema, const json::object& object, const std::string& at) {
  if (const auto* required = schema.if_contains("required"))
    for (const auto& name : required->as_array())
      if (!object.contains(name.as_string())) fault(at, "lacks " + json::serialize(name));
  const auto* properties = schema.if_contains("properties");
  const auto* others = schema.if_contains("additionalProperties");
  for (const auto& [name, member] : object) {
    const auto place = at + "/" + std::string(name);
    const auto* rule = properties ? properties->as_object().if_contains(name) : nullptr;
    if (rule != nullptr)
      check(rule->as_object(), member, place);
    else if (others != nullptr && others->is_object())
      check(others->get_object(), member, place);
    else if (others != nullptr && others->is_bool() && !others->get_bool())
      fault(place, "is not in the schema");
  }
}

}  // namespace

std::vector<std::string> schema_faults(const json::value& document, const json::value& schema,
                                       const json::value& value) {
  Checker checker(document);
  checker.check(schema.as_object(), value, "");
  return checker.faults;
}

}  // namespace scheduler::api
