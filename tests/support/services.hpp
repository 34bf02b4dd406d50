// support/services.hpp — the private servers of this checkout (scripts/services.sh), for tests that talk to real ones.
#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <string_view>

namespace scheduler::testing_support {

// SCHEDULER_TEST_<name>_URL of the environment, or of the file that `./dev services up` writes: "POSTGRES", "REDIS",
// "RABBITMQ". Nothing: it is not up.
[[nodiscard]] std::optional<std::string> service_url(std::string_view name);

}  // namespace scheduler::testing_support

// Ends the test as skipped, with the reason, where the server is not up. Else `url` is its address.
#define SCHEDULER_REQUIRE_SERVICE(url, name)                                          \
  const auto url##_found = ::scheduler::testing_support::service_url(name);           \
  if (!url##_found) GTEST_SKIP() << "no " name " server here: run ./dev services up"; \
  const std::string& url = *url##_found
