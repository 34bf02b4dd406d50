// cli/json_text.hpp — JSON values: looking into those of a server, which may be of any shape, and text for people.
#pragma once

#include <boost/json/fwd.hpp>

#include <string>
#include <string_view>

namespace scheduler::cli {

namespace json = boost::json;

// Indented by two spaces; numbers as short as they can be; members in their order; hidden characters as \u202e. Ends
// without a newline.
[[nodiscard]] std::string indented_json(const json::value& value);

// Block style. Strings that a reader could take for something else are quoted. Ends with a newline.
[[nodiscard]] std::string yaml_of(const json::value& value);

// The member of an object; null when there is none, or `value` is something else.
[[nodiscard]] const json::value* member_of(const json::value& value, std::string_view name);

// The member where that is an array; otherwise nothing.
[[nodiscard]] json::array array_in(const json::value& value, std::string_view name);

// cell_of the member; "-" when there is none.
[[nodiscard]] std::string member_text(const json::value& value, std::string_view name);

// What a table cell shows: text as it is, lists as a, b and labels as k=v; nothing as "-".
[[nodiscard]] std::string cell_of(const json::value& value);

}  // namespace scheduler::cli
