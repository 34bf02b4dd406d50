#include "infrastructure/system_random.hpp"

#include "core/log.hpp"

#include <cerrno>
#include <cstdlib>
#include <sys/random.h>
#include <utility>

namespace scheduler::infrastructure {

std::uint64_t SystemRandom::next() {
  if (used_ == pool_.size()) {
    ssize_t got = -1;
    do {
      got = ::getrandom(pool_.data(), sizeof pool_, 0);
    } while (got < 0 && errno == EINTR);
    if (got != static_cast<ssize_t>(sizeof pool_)) {
      log::error("the kernel gives no random numbers; stopping, because ids could repeat", {{"errno", errno}});
      std::abort();
    }
    used_ = 0;
  }
  // A number that was given out does not stay in memory.
  return std::exchange(pool_[used_++], 0);
}

}  // namespace scheduler::infrastructure
