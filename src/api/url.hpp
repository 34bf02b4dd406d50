// api/url.hpp — percent-encoding (RFC 3986) and UTF-8, as far as paths and queries need them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace scheduler::api {

// Nothing for a broken escape, a NUL, or a result that is not valid UTF-8. `plus_is_space`: as in form data.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

[[nodiscard]] bool is_utf8(std::string_view text);

// The length of the well-formed UTF-8 sequence at the start of `text` (Unicode 15, table 3-7); 0: there is none.
[[nodiscard]] std::size_t utf8_sequence_length(std::string_view text);

}  // namespace scheduler::api
