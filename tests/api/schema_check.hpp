// Checks a JSON value against a schema of docs/openapi.yaml: the part of JSON Schema 2020-12 that is used there.
#pragma once

#include <boost/json.hpp>

#include <string>
#include <vector>

namespace scheduler::api {

// What is wrong, one sentence each; empty: the value fits. `document` resolves "#/…" references.
[[nodiscard]] std::vector<std::string> schema_faults(const boost::json::value& document,
                                                     const boost::json::value& schema, const boost::json::value& value);

}  // namespace scheduler::api
