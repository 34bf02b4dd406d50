// cli/json_text.hpp — a JSON value as text that people can read: indented JSON, and YAML with the same content.
#pragma once

#include <boost/json/fwd.hpp>

#include <string>

namespace scheduler::cli {

namespace json = boost::json;

// Indented by two spaces; numbers as short as they can be; members in their order. Ends without a newline.
[[nodiscard]] std::string indented_json(const json::value& value);

// Block style. Strings that a reader could take for something else are quoted. Ends with a newline.
[[nodiscard]] std::string yaml_of(const json::value& value);

// What a table cell shows: text as it is, lists as a, b and labels as k=v; nothing as "-".
[[nodiscard]] std::string cell_of(const json::value& value);

}  // namespace scheduler::cli
