// core/json_reader.hpp — strict reading of JSON into described structs: every fault is reported, each with its place.
//
//   struct Body { std::string name; int priority = 5; std::optional<std::string> schedule; };
//   BOOST_DESCRIBE_STRUCT(Body, (), (name, priority, schedule))
//   constexpr auto required_fields(const Body*) { return std::to_array<std::string_view>({"name"}); }
//
//   TRY(const auto body, parse_json_as<Body>(text));
//
// Always true:
//   - a member that is absent keeps its default, unless required_fields() lists it;
//   - unknown members, wrong types, numbers out of range and unknown words are faults: nothing is guessed or converted;
//   - null is a value like any other: only std::optional takes it. optional<optional<T>> tells an absent member (outer
//     one empty) from null (inner one empty), as PATCH needs;
//   - at most kJsonFaultsMax faults are kept, so a hostile body cannot grow its own error without bound.
//
// Understood: bool, integers, double, std::string, enums with enum_names(), std::optional, std::vector,
// std::map<std::string, T>, described structs (inherited members too), json::value, json::object, json::array. Any
// other type brings, in its own namespace,
//   void read_json_value(const boost::json::value& from, T& into, const JsonPlace& at, JsonFaults& faults);
//
// Heavy: include it only in .cpp files.
#pragma once

#include "core/enum_names.hpp"
#include "core/suggest.hpp"
#include "errors/result.hpp"

#include <boost/describe.hpp>
#include <boost/json.hpp>
#include <boost/mp11.hpp>

#include <array>
#include <concepts>
#include <limits>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace scheduler {

namespace json = boost::json;

inline constexpr std::size_t kJsonDepthMax = 32;
inline constexpr std::size_t kJsonFaultsMax = 100;

// A place in a document. Lives on the stack of the reader, so that no text is made unless there is a fault.
class JsonPlace {
 public:
  // `prefix` is a JSON pointer ("/parameters"), "" for the document itself; it must outlive the place.
  explicit JsonPlace(std::string_view prefix) : step_(prefix) {}
  [[nodiscard]] JsonPlace member(std::string_view name) const { return {this, name, kNoIndex}; }
  [[nodiscard]] JsonPlace item(std::size_t index) const { return {this, {}, index}; }
  [[nodiscard]] std::string pointer() const;  // RFC 6901

 private:
  static constexpr std::size_t kNoIndex = std::numeric_limits<std::size_t>::max();
  JsonPlace(const JsonPlace* up, std::string_view step, std::size_t index) : up_(up), step_(step), index_(index) {}

  const JsonPlace* up_ = nullptr;
  std::string_view step_;
  std::size_t index_ = kNoIndex;
};

// What was found wrong so far.
class JsonFaults {
 public:
  void add(const JsonPlace& at, std::string message);
  void add_wrong_type(const JsonPlace& at, std::string_view expected, const json::value& got);
  [[nodiscard]] bool empty() const { return faults_.empty(); }
  [[nodiscard]] std::vector<FieldError> take() { return std::move(faults_); }

 private:
  std::vector<FieldError> faults_;
};

// A SchedulerError of kind Validation that lists `faults` and says the first one in its message.
[[nodiscard]] std::unexpected<SchedulerError> fail_with_faults(std::vector<FieldError> faults);

// Text to value: RFC 8259, valid UTF-8, at most kJsonDepthMax levels, no key twice in one object.
// Error: Validation; the message names the byte where it went wrong, counted from 1.
[[nodiscard]] SchedulerResult<json::value> parse_json(std::string_view text);

// "'value'", cut to a length that fits into a sentence.
[[nodiscard]] std::string quote_word(std::string_view word);

namespace json_reader {

template <class T>
concept Described = std::is_class_v<T> && boost::describe::has_describe_members<T>::value;
template <class T>
concept HasRequiredFields = requires(const T* t) { required_fields(t); };
template <class T>
concept CustomRead = requires(const json::value& from, T& into, const JsonPlace& at, JsonFaults& faults) {
  read_json_value(from, into, at, faults);
};
template <class T, template <class...> class Template>
inline constexpr bool kIs = false;
template <template <class...> class Template, class... Args>
inline constexpr bool kIs<Template<Args...>, Template> = true;

template <class T>
using Members = boost::describe::describe_members<T, boost::describe::mod_public | boost::describe::mod_inherited>;

// The non-template parts.
bool read_bool(const json::value& from, bool& into, const JsonPlace& at, JsonFaults& faults);
std::optional<std::int64_t> read_whole(const json::value& from, std::int64_t min, std::int64_t max, const JsonPlace& at,
                                       JsonFaults& faults);
void read_double(const json::value& from, double& into, const JsonPlace& at, JsonFaults& faults);
void read_string(const json::value& from, std::string& into, const JsonPlace& at, JsonFaults& faults);
// The index of the word among `names`, or a fault.
std::optional<std::size_t> read_word(const json::value& from, std::span<const std::string_view> names,
                                     const JsonPlace& at, JsonFaults& faults);
// Faults for members of `from` that are not among `known`, and for `required` ones that are absent.
void check_members(const json::object& from, std::span<const std::string_view> known,
                   std::span<const std::string_view> required, const JsonPlace& at, JsonFaults& faults);
const json::object* as_object(const json::value& from, const JsonPlace& at, JsonFaults& faults);
const json::array* as_array(const json::value& from, const JsonPlace& at, JsonFaults& faults);

template <class T>
constexpr auto member_names() {
  std::array<std::string_view, boost::mp11::mp_size<Members<T>>::value> names{};
  std::size_t i = 0;
  boost::mp11::mp_for_each<Members<T>>([&](auto member) { names[i++] = member.name; });
  return names;
}

}  // namespace json_reader

template <class T>
void read_json(const json::value& from, T& into, const JsonPlace& at, JsonFaults& faults);

namespace json_reader {

template <class T>
void read_struct(const json::value& from, T& into, const JsonPlace& at, JsonFaults& faults) {
  const auto* object = as_object(from, at, faults);
  if (object == nullptr) return;
  boost::mp11::mp_for_each<Members<T>>([&](auto member) {
    if (const auto* value = object->if_contains(member.name))
      read_json(*value, into.*member.pointer, at.member(member.name), faults);
  });
  static constexpr auto kKnown = member_names<T>();
  if constexpr (HasRequiredFields<T>) {
    static constexpr auto kRequired = required_fields(static_cast<const T*>(nullptr));
    check_members(*object, kKnown, kRequired, at, faults);
  } else {
    check_members(*object, kKnown, {}, at, faults);
  }
}

template <class T>
void read_optional(const json::value& from, std::optional<T>& into, const JsonPlace& at, JsonFaults& faults) {
  if constexpr (!kIs<T, std::optional>) {
    if (from.is_null()) return into.reset();
  }
  read_json(from, into.emplace(), at, faults);
}

template <class T>
void read_vector(const json::value& from, std::vector<T>& into, const JsonPlace& at, JsonFaults& faults) {
  const auto* array = as_array(from, at, faults);
  if (array == nullptr) return;
  into.clear();
  into.reserve(array->size());
  for (const auto& value : *array) {
    T item{};
    read_json(value, item, at.item(into.size()), faults);
    into.push_back(std::move(item));
  }
}

template <class T>
void read_map(const json::value& from, std::map<std::string, T>& into, const JsonPlace& at, JsonFaults& faults) {
  const auto* object = as_object(from, at, faults);
  if (object == nullptr) return;
  into.clear();
  for (const auto& [key, value] : *object) read_json(value, into[std::string(key)], at.member(key), faults);
}

}  // namespace json_reader

// Reads `from` into `into`; after a fault `into` is only partly filled.
template <class T>
void read_json(const json::value& from, T& into, const JsonPlace& at, JsonFaults& faults) {
  using namespace json_reader;
  if constexpr (CustomRead<T>) {
    read_json_value(from, into, at, faults);
  } else if constexpr (std::same_as<T, json::value>) {
    into = from;
  } else if constexpr (std::same_as<T, json::object>) {
    if (const auto* object = as_object(from, at, faults)) into = *object;
  } else if constexpr (std::same_as<T, json::array>) {
    if (const auto* array = as_array(from, at, faults)) into = *array;
  } else if constexpr (kIs<T, std::optional>) {
    read_optional(from, into, at, faults);
  } else if constexpr (kIs<T, std::vector>) {
    read_vector(from, into, at, faults);
  } else if constexpr (kIs<T, std::map>) {
    read_map(from, into, at, faults);
  } else if constexpr (std::same_as<T, bool>) {
    read_bool(from, into, at, faults);
  } else if constexpr (std::integral<T>) {
    static_assert(std::signed_integral<T> || sizeof(T) < sizeof(std::int64_t), "ids and counts are signed");
    constexpr std::int64_t kMin = std::numeric_limits<T>::min(), kMax = std::numeric_limits<T>::max();
    if (const auto number = read_whole(from, kMin, kMax, at, faults)) into = static_cast<T>(*number);
  } else if constexpr (std::same_as<T, double>) {
    read_double(from, into, at, faults);
  } else if constexpr (std::same_as<T, std::string>) {
    read_string(from, into, at, faults);
  } else if constexpr (NamedEnum<T>) {
    static constexpr auto kNames = enum_names(T{});
    if (const auto index = read_word(from, kNames, at, faults)) into = static_cast<T>(*index);
  } else {
    static_assert(Described<T>, "describe the struct, give the enum enum_names(), or write read_json_value()");
    read_struct(from, into, at, faults);
  }
}

// The whole of it: a T, or Validation with every fault under `prefix`.
template <class T>
[[nodiscard]] SchedulerResult<T> read_json_as(const json::value& from, std::string_view prefix = "") {
  T into{};
  JsonFaults faults;
  read_json(from, into, JsonPlace(prefix), faults);
  if (!faults.empty()) return fail_with_faults(faults.take());
  return into;
}

// The same from text. Malformed text has one fault, at `prefix` itself.
template <class T>
[[nodiscard]] SchedulerResult<T> parse_json_as(std::string_view text, std::string_view prefix = "") {
  auto value = parse_json(text);
  if (!value) return fail(ErrorKind::Validation, value.error().message, {{std::string(prefix), value.error().message}});
  return read_json_as<T>(*value, prefix);
}

}  // namespace scheduler
