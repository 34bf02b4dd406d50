// domain/buckets.hpp — a token bucket for each of many names, in bounded memory.
#pragma once

#include "domain/token_bucket.hpp"

#include <map>
#include <string>

namespace scheduler::domain {

class Buckets {
 public:
  explicit Buckets(Rate rate, std::size_t names_max = 10'000) : rate_(rate), names_max_(names_max) {}

  // The bucket of `name`, filled up to `now`. Valid until the next call.
  TokenBucket& of(const std::string& name, Micros now) {
    const auto found = buckets_.find(name);
    if (found != buckets_.end()) return found->second;
    if (buckets_.size() >= names_max_) make_room(now);
    return buckets_.emplace(name, TokenBucket(rate_, now)).first->second;
  }
  [[nodiscard]] const Rate& rate() const { return rate_; }
  [[nodiscard]] std::size_t size() const { return buckets_.size(); }

 private:
  // A full bucket says nothing. Where none is full, a flood of names is on: forgetting half of them favours some of the
  // flood, and costs everybody else nothing.
  void make_room(Micros now) {
    std::erase_if(buckets_, [&](const auto& it) { return it.second.is_full(rate_, now); });
    if (buckets_.size() < names_max_) return;
    bool drop = false;
    std::erase_if(buckets_, [&](const auto&) { return drop = !drop; });
  }

  Rate rate_;
  std::size_t names_max_;
  std::map<std::string, TokenBucket> buckets_;
};

}  // namespace scheduler::domain
