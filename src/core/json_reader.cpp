#include "core/json_reader.hpp"

#include "core/utf8.hpp"

#include <boost/json/basic_parser_impl.hpp>
#include <fmt/format.h>

#include <cmath>
#include <set>

namespace scheduler {
namespace {

constexpr std::size_t kWordBytesMax = 64;

// RFC 6901: '~' and '/' inside a step are written ~0 and ~1.
void append_step(std::string& pointer, std::string_view step) {
  pointer += '/';
  for (const char c : step) {
    if (c == '~')
      pointer += "~0";
    else if (c == '/')
      pointer += "~1";
    else
      pointer += c;
  }
}

std::string_view word_for(const json::value& value) {
  switch (value.kind()) {
    case json::kind::null:
      return "null";
    case json::kind::bool_:
      return "a boolean";
    case json::kind::int64:
    case json::kind::uint64:
    case json::kind::double_:
      return "a number";
    case json::kind::string:
      return "a string";
    case json::kind::array:
      return "an array";
    case json::kind::object:
      return "an object";
  }
  return "something else";
}

// Looks at the events of a parse and keeps only the keys of the objects that are open: finds a key that comes twice,
// which json::parse() would take without a word.
struct KeyCheck {
  static constexpr std::size_t max_object_size = std::size_t(-1);
  static constexpr std::size_t max_array_size = std::size_t(-1);
  static constexpr std::size_t max_key_size = std::size_t(-1);
  static constexpr std::size_t max_string_size = std::size_t(-1);

  using Ec = boost::system::error_code;
  using Text = json::string_view;

  std::vector<std::set<std::string>> open;
  std::string key;
  bool twice = false;

  bool on_object_begin(Ec&) {
    open.emplace_back();
    return true;
  }
  bool on_object_end(std::size_t, Ec&) {
    open.pop_back();
    return true;
  }
  bool on_key_part(Text part, std::size_t, Ec&) {
    key += std::string_view(part);
    return true;
  }
  bool on_key(Text part, std::size_t, Ec& ec) {
    key += std::string_view(part);
    twice = !open.back().insert(key).second;
    if (twice)
      ec = json::error::syntax;
    else
      key.clear();
    return !twice;
  }

  bool on_document_begin(Ec&) { return true; }
  bool on_document_end(Ec&) { return true; }
  bool on_array_begin(Ec&) { return true; }
  bool on_array_end(std::size_t, Ec&) { return true; }
  bool on_string_part(Text, std::size_t, Ec&) { return true; }
  bool on_string(Text, std::size_t, Ec&) { return true; }
  bool on_number_part(Text, Ec&) { return true; }
  bool on_int64(std::int64_t, Text, Ec&) { return true; }
  bool on_uint64(std::uint64_t, Text, Ec&) { return true; }
  bool on_double(double, Text, Ec&) { return true; }
  bool on_bool(bool, Ec&) { return true; }
  bool on_null(Ec&) { return true; }
  bool on_comment_part(Text, Ec&) { return true; }
  bool on_comment(Text, Ec&) { return true; }
};

json::parse_options strict_options() {
  json::parse_options options;
  options.max_depth = kJsonDepthMax;
  return options;
}

std::string malformed(const boost::system::error_code& ec, std::size_t at, std::string_view text) {
  if (const auto invalid = first_invalid_byte(text))
    return fmt::format("the text is not valid UTF-8 at byte {}; send JSON as UTF-8", *invalid + 1);
  if (ec == json::error::too_deep)
    return fmt::format("the JSON is nested more than {} levels deep, at byte {}", kJsonDepthMax, at + 1);
  if (ec == json::error::incomplete) return fmt::format("the JSON ends too early, after byte {}", text.size());
  if (ec == json::error::extra_data) return fmt::format("there is more text after the JSON value, at byte {}", at + 1);
  return fmt::format("the JSON is malformed at byte {}: {}", at + 1, ec.message());
}

}  // namespace

std::string JsonPlace::pointer() const {
  if (up_ == nullptr) return std::string(step_);
  auto pointer = up_->pointer();
  append_step(pointer, index_ == kNoIndex ? step_ : std::string_view(std::to_string(index_)));
  return pointer;
}

void JsonFaults::add(const JsonPlace& at, std::string message) {
  if (faults_.size() < kJsonFaultsMax) faults_.push_back({at.pointer(), std::move(message)});
}

void JsonFaults::add_wrong_type(const JsonPlace& at, std::string_view expected, const json::value& got) {
  add(at, fmt::format("expected {}, got {}", expected, word_for(got)));
}

std::unexpected<SchedulerError> fail_with_faults(std::vector<FieldError> faults) {
  std::string message = "the input is not valid";
  if (!faults.empty()) {
    const auto& first = faults.front();
    message = first.pointer.empty() ? first.message : fmt::format("{}: {}", first.pointer, first.message);
  }
  if (faults.size() > 1) message += fmt::format(" (and {} more)", faults.size() - 1);
  return fail(ErrorKind::Validation, std::move(message), std::move(faults));
}

SchedulerResult<json::value> parse_json(std::string_view text) {
  json::basic_parser<KeyCheck> check(strict_options());
  boost::system::error_code ec;
  auto used = check.write_some(false, text.data(), text.size(), ec);
  if (check.handler().twice)
    return fail(ErrorKind::Validation, fmt::format("the JSON has the key {} twice in one object, at byte {}",
                                                   quote_word(check.handler().key), used));
  if (!ec && used < text.size()) ec = json::error::extra_data;
  if (ec) return fail(ErrorKind::Validation, malformed(ec, used, text));
  auto value = json::parse(json::string_view(text.data(), text.size()), ec, {}, strict_options());
  if (ec) return fail(ErrorKind::Validation, malformed(ec, used, text));
  return value;
}

std::string quote_word(std::string_view word) {
  if (word.size() <= kWordBytesMax) return fmt::format("'{}'", word);
  auto end = kWordBytesMax;
  while (end > 0 && (static_cast<unsigned char>(word[end]) & 0xC0) == 0x80) --end;  // never inside a character
  return fmt::format("'{}…'", word.substr(0, end));
}

namespace json_reader {

bool read_bool(const json::value& from, bool& into, const JsonPlace& at, JsonFaults& faults) {
  const auto* value = from.if_bool();
  if (value == nullptr) {
    faults.add_wrong_type(at, "true or false", from);
    return false;
  }
  into = *value;
  return true;
}

std::optional<std::int64_t> read_whole(const json::value& from, std::int64_t min, std::int64_t max, const JsonPlace& at,
                                       JsonFaults& faults) {
  // Above 2^53 a double no longer holds every whole number, so what it says may not be what was meant.
  constexpr double kExactMax = 9007199254740992.0;
  std::optional<std::int64_t> number;
  bool negative = false;
  if (const auto* whole = from.if_int64()) {
    number = *whole;
    negative = *whole < 0;
  } else if (const auto* fraction = from.if_double()) {
    if (std::floor(*fraction) != *fraction) {
      faults.add(at, fmt::format("expected a whole number, got {}", *fraction));
      return std::nullopt;
    }
    if (std::abs(*fraction) <= kExactMax) number = static_cast<std::int64_t>(*fraction);
    negative = *fraction < 0;
  } else if (!from.is_uint64()) {
    faults.add_wrong_type(at, "a whole number", from);
    return std::nullopt;
  }
  if (number && *number >= min && *number <= max) return number;
  // The range of the type is no business of people, and the field's own is checked by who knows it.
  faults.add(at, !negative ? "the number is too large" : min == 0 ? "must not be negative" : "the number is too small");
  return std::nullopt;
}

void read_double(const json::value& from, double& into, const JsonPlace& at, JsonFaults& faults) {
  if (!from.is_number()) return faults.add_wrong_type(at, "a number", from);
  const double number = from.is_double()  ? from.get_double()
                        : from.is_int64() ? static_cast<double>(from.get_int64())
                                          : static_cast<double>(from.get_uint64());
  if (!std::isfinite(number)) return faults.add(at, "the number is too large");
  into = number;
}

void read_string(const json::value& from, std::string& into, const JsonPlace& at, JsonFaults& faults) {
  const auto* text = from.if_string();
  if (text == nullptr) return faults.add_wrong_type(at, "a string", from);
  into.assign(text->data(), text->size());
}

std::optional<std::size_t> read_word(const json::value& from, std::span<const std::string_view> names,
                                     const JsonPlace& at, JsonFaults& faults) {
  std::string word, known;
  for (std::size_t i = 0; i < names.size(); ++i)
    known.append(i == 0 ? "" : i + 1 == names.size() ? " or " : ", ").append(names[i]);
  if (const auto* text = from.if_string()) {
    word.assign(text->data(), text->size());
    if (const auto found = std::ranges::find(names, word); found != names.end())
      return static_cast<std::size_t>(found - names.begin());
    faults.add(at, fmt::format("unknown value {}: must be {}{}", quote_word(word), known, suggestion(word, names)));
  } else {
    faults.add_wrong_type(at, known, from);
  }
  return std::nullopt;
}

void check_members(const json::object& from, std::span<const std::string_view> known,
                   std::span<const std::string_view> required, const JsonPlace& at, JsonFaults& faults) {
  for (const auto& [key, value] : from)
    if (std::ranges::find(known, std::string_view(key)) == known.end())
      faults.add(at.member(key), "unknown field" + suggestion(key, known));
  for (const auto name : required)
    if (!from.contains(name)) faults.add(at.member(name), "is required");
}

const json::object* as_object(const json::value& from, const JsonPlace& at, JsonFaults& faults) {
  const auto* object = from.if_object();
  if (object == nullptr) faults.add_wrong_type(at, "an object", from);
  return object;
}

const json::array* as_array(const json::value& from, const JsonPlace& at, JsonFaults& faults) {
  const auto* array = from.if_array();
  if (array == nullptr) faults.add_wrong_type(at, "an array", from);
  return array;
}

}  // namespace json_reader
}  // namespace scheduler
