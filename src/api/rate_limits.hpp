// api/rate_limits.hpp — how many requests one address and one account may send. Logins have limits of their own
// (domain/login_throttle.hpp). Each API process counts for itself.
#pragma once

#include "api/http_message.hpp"
#include "domain/buckets.hpp"

#include <optional>
#include <string>

namespace scheduler::api {

// How a caller stands with one limit.
struct Standing {
  std::string_view policy;  // "address", "principal"
  std::int64_t limit = 0;   // requests at once after a rest
  std::int64_t left = 0;
  Seconds window{1};  // in which `limit` comes back
  Seconds full_in{0};
  std::optional<Seconds> wait;  // refused: for so long
};

class RateLimits {
 public:
  // `per_second` of one account; 0: no limits.
  explicit RateLimits(int per_second);

  // Counts a request. Nothing: there are no limits.
  [[nodiscard]] std::optional<Standing> count_address(const std::string& client, Micros now);
  [[nodiscard]] std::optional<Standing> count_principal(const domain::Principal& who, Micros now);

 private:
  bool limited_;
  domain::Buckets addresses_, principals_;
};

// RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers), and the X-RateLimit-… that came before.
void add_headers(Reply& reply, const Standing& standing);

}  // namespace scheduler::api
