// api/openapi.hpp — docs/openapi.yaml as it was at build time, and the same converted to JSON
// (scripts/embed_openapi.py).
#pragma once

#include <string_view>

namespace scheduler::api {

[[nodiscard]] std::string_view openapi_as_yaml();
[[nodiscard]] std::string_view openapi_as_json();

}  // namespace scheduler::api
