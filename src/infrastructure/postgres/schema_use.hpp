// infrastructure/postgres/schema_use.hpp — who works in a schema, so that nobody empties it under them.
#pragma once

#include <string_view>

namespace scheduler::infrastructure::postgres {

// Advisory locks of the session; the first half of the key is "used", the other one the schema, so that several
// schedulers may share a database.
inline constexpr std::string_view kUseSchema =
    "SELECT pg_advisory_lock_shared(x'75736564'::int, hashtext(current_schema()))";
// One boolean: nobody else is there.
inline constexpr std::string_view kTryUseSchemaAlone =
    "SELECT pg_try_advisory_lock(x'75736564'::int, hashtext(current_schema()))";

}  // namespace scheduler::infrastructure::postgres
