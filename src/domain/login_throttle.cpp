#include "domain/login_throttle.hpp"

namespace scheduler::domain {

std::optional<Seconds> LoginThrottle::begin(const std::string& account, const std::string& address, Micros now) {
  const auto name = pair(account, address);
  const bool known = known_.contains(name);
  TokenBucket* taken[3] = {};
  Buckets* from[3] = {};
  int count = 0;
  const auto take = [&](Buckets& buckets, const std::string& key) -> std::optional<Seconds> {
    auto& bucket = buckets.of(key, now);
    if (!bucket.take(buckets.rate(), now)) return bucket.wait(buckets.rate());
    taken[count] = &bucket;
    from[count++] = &buckets;
    return std::nullopt;
  };
  auto wait = take(by_pair_, name);
  if (!wait) wait = take(by_address_, address);
  if (!wait && !known) wait = take(by_account_, account);
  if (wait)
    for (int i = 0; i < count; ++i) taken[i]->give_back(from[i]->rate());
  return wait;
}

void LoginThrottle::succeeded(const std::string& account, const std::string& address) {
  constexpr std::size_t kKnownMax = 10'000;
  const auto name = pair(account, address);
  const bool was_known = known_.contains(name);
  constexpr Micros kAnyTime{0};  // the buckets exist: begin() made them
  by_pair_.of(name, kAnyTime).give_back(by_pair_.rate());
  by_address_.of(address, kAnyTime).give_back(by_address_.rate());
  if (!was_known) by_account_.of(account, kAnyTime).give_back(by_account_.rate());
  if (known_.size() >= kKnownMax) known_.clear();
  known_.insert(name);
}

}  // namespace scheduler::domain
