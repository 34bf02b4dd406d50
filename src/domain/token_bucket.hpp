// domain/token_bucket.hpp — how often something may happen: a bucket of tokens that fills up evenly.
#pragma once

#include "core/time.hpp"

#include <algorithm>
#include <cmath>

namespace scheduler::domain {

struct Rate {
  double per_second = 1;  // > 0
  double burst = 1;       // >= 1: how many at once after a rest
};

class TokenBucket {
 public:
  // Full. `now` is monotonic time, here and below.
  TokenBucket(const Rate& rate, Micros now) : tokens_(rate.burst), at_(now) {}

  // Takes one token; false: there is none.
  bool take(const Rate& rate, Micros now) {
    refill(rate, now);
    if (tokens_ < 1) return false;
    tokens_ -= 1;
    return true;
  }
  void give_back(const Rate& rate) { tokens_ = std::min(rate.burst, tokens_ + 1); }

  [[nodiscard]] double left() const { return tokens_; }
  // Until there is a whole token, rounded up; 0: there is one.
  [[nodiscard]] Seconds wait(const Rate& rate) const {
    return Seconds{tokens_ >= 1 ? 0 : static_cast<std::int64_t>(std::ceil((1 - tokens_) / rate.per_second))};
  }
  // Nothing would change if it were made anew.
  [[nodiscard]] bool is_full(const Rate& rate, Micros now) const {
    return tokens_ + seconds(now - at_) * rate.per_second >= rate.burst;
  }

 private:
  static double seconds(Micros it) { return std::chrono::duration<double>(it).count(); }
  void refill(const Rate& rate, Micros now) {
    tokens_ = std::min(rate.burst, tokens_ + std::max(0.0, seconds(now - at_)) * rate.per_second);
    at_ = std::max(at_, now);
  }

  double tokens_;
  Micros at_;
};

}  // namespace scheduler::domain
