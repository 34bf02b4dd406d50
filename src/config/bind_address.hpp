// config/bind_address.hpp — where the API listens: "127.0.0.1:8080", "[::1]:8080", "localhost:0".
#pragma once

#include "errors/result.hpp"

#include <string>
#include <string_view>

namespace scheduler::config {

struct BindAddress {
  std::string host;         // without brackets
  unsigned short port = 0;  // 0: any free one
  bool operator==(const BindAddress&) const = default;
};

// Error: Config, without place and key, for text that is no address.
[[nodiscard]] SchedulerResult<BindAddress> parse_bind_address(std::string_view text);

}  // namespace scheduler::config
