// api/json_writer.hpp — writes JSON text straight into a string; stored JSON is spliced in without being parsed again.
//
// The caller writes well-formed sequences: a key before each member, every begin with its end. Text that is no UTF-8 is
// written with U+FFFD in place of the bad bytes, so the result is always valid.
#pragma once

#include "core/ids.hpp"
#include "core/time.hpp"

#include <concepts>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::api {

class JsonWriter {
 public:
  JsonWriter& begin_object() { return open('{'); }
  JsonWriter& end_object() { return close('}'); }
  JsonWriter& begin_array() { return open('['); }
  JsonWriter& end_array() { return close(']'); }
  JsonWriter& key(std::string_view name);

  JsonWriter& null() { return raw("null"); }
  JsonWriter& raw(std::string_view json);  // a whole JSON value as text
  JsonWriter& value(std::string_view text);
  JsonWriter& value(const char* text) { return value(std::string_view(text)); }
  JsonWriter& value(const std::string& text) { return value(std::string_view(text)); }
  template <std::integral T>
  JsonWriter& value(T number) {
    if constexpr (std::same_as<T, bool>)
      return raw(number ? "true" : "false");
    else
      return raw(std::to_string(number));
  }
  JsonWriter& value(double number);  // null when it is not finite
  JsonWriter& value(TimePoint at) { return value(format_rfc3339(at)); }
  JsonWriter& value(const std::map<std::string, std::string>& members);
  JsonWriter& value(const std::map<std::string, std::int64_t>& members);
  template <class Tag>
  JsonWriter& value(const Id<Tag>& id) {
    return value(id.value);
  }
  JsonWriter& value(const WorkerId& id) { return value(id.value); }
  template <class T>
  JsonWriter& value(const std::optional<T>& maybe) {
    return maybe ? value(*maybe) : null();
  }

  template <class T>
  JsonWriter& value(const std::vector<T>& items) {
    begin_array();
    for (const auto& item : items) value(item);
    return end_array();
  }
  template <class T>
  JsonWriter& array(const std::vector<T>& items, void (*write_item)(JsonWriter&, const T&)) {
    begin_array();
    for (const auto& item : items) write_item(*this, item);
    return end_array();
  }

  template <class T>
  JsonWriter& member(std::string_view name, const T& of) {
    return key(name).value(of);
  }

  [[nodiscard]] std::size_t size() const { return out_.size(); }
  [[nodiscard]] std::string take() { return std::move(out_); }

 private:
  JsonWriter& open(char bracket);
  JsonWriter& close(char bracket);
  void separate();
  void append_text(std::string_view text);

  std::string out_;
  bool comma_due_ = false;
};

}  // namespace scheduler::api
