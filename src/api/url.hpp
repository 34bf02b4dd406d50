// api/url.hpp — percent-encoding (RFC 3986), as far as paths and queries need them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace scheduler::api {

// Nothing for a broken escape, a NUL, or a result that is not valid UTF-8. `plus_is_space`: as in form data.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space);

}  // namespace scheduler::api
