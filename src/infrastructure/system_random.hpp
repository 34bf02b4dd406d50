// infrastructure/system_random.hpp — the kernel's random numbers, fetched a few hundred bytes at a time.
//
// Good enough for secrets. Single-threaded: each loop has its own.
#pragma once

#include "core/random.hpp"

#include <array>
#include <cstddef>

namespace scheduler::infrastructure {

class SystemRandom final : public Random {
 public:
  [[nodiscard]] std::uint64_t next() override;

 private:
  std::array<std::uint64_t, 32> pool_{};  // 256 bytes: the most that getrandom gives whole, whatever signal comes
  std::size_t used_ = pool_.size();
};

}  // namespace scheduler::infrastructure
