#include "api/rate_limits.hpp"

#include <fmt/format.h>

#include <cmath>

namespace scheduler::api {
namespace {

domain::Rate rate_of(int per_second) { return {static_cast<double>(std::max(per_second, 1)), 2.0 * per_second}; }

Standing count(domain::Buckets& buckets, std::string_view policy, const std::string& name, Micros now) {
  const auto& rate = buckets.rate();
  auto& bucket = buckets.of(name, now);
  Standing it{.policy = policy, .limit = static_cast<std::int64_t>(rate.burst)};
  if (!bucket.take(rate, now)) it.wait = bucket.wait(rate);
  const auto seconds = [&](double tokens) {
    return Seconds{static_cast<std::int64_t>(std::ceil(tokens / rate.per_second))};
  };
  it.left = static_cast<std::int64_t>(bucket.left());
  it.window = seconds(rate.burst);
  it.full_in = seconds(rate.burst - bucket.left());
  return it;
}

}  // namespace

RateLimits::RateLimits(int per_second)
    : limited_(per_second > 0), addresses_(rate_of(4 * per_second)), principals_(rate_of(per_second)) {}

std::optional<Standing> RateLimits::count_address(const std::string& client, Micros now) {
  if (!limited_) return std::nullopt;
  return count(addresses_, "address", client, now);
}

std::optional<Standing> RateLimits::count_principal(const domain::Principal& who, Micros now) {
  if (!limited_) return std::nullopt;
  return count(principals_, "principal", std::to_string(who.user.value), now);
}

void add_headers(Reply& reply, const Standing& it) {
  auto& headers = reply.headers;
  headers.emplace_back("RateLimit-Policy", fmt::format("\"{}\";q={};w={}", it.policy, it.limit, it.window.count()));
  headers.emplace_back("RateLimit", fmt::format("\"{}\";r={};t={}", it.policy, it.left, it.full_in.count()));
  headers.emplace_back("X-RateLimit-Limit", std::to_string(it.limit));
  headers.emplace_back("X-RateLimit-Remaining", std::to_string(it.left));
  headers.emplace_back("X-RateLimit-Reset", std::to_string(it.full_in.count()));
}

}  // namespace scheduler::api
