// core/random.hpp — the only dice of the pure rooms; a simulation seeds them.
#pragma once

#include <cstdint>

namespace scheduler {

class Random {
 public:
  virtual ~Random() = default;
  [[nodiscard]] virtual std::uint64_t next() = 0;  // uniform over all 64 bits
};

}  // namespace scheduler
