// tests/support/fixed_random.hpp — dice that a test knows.
#pragma once

#include "core/random.hpp"

namespace scheduler::testing_support {

// SplitMix64 from a seed: the same numbers in every run.
class FixedRandom final : public Random {
 public:
  explicit FixedRandom(std::uint64_t seed = 1) : state_(seed) {}
  [[nodiscard]] std::uint64_t next() override {
    std::uint64_t x = state_ += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
  }
  // Uniform enough in [0, n).
  [[nodiscard]] int below(int n) { return static_cast<int>(next() % static_cast<std::uint64_t>(n)); }

 private:
  std::uint64_t state_;
};

}  // namespace scheduler::testing_support
