// domain/prefetch.hpp — how many runs a worker may hold beyond its slots, so that it never idles for a round trip.
#pragma once

#include <algorithm>
#include <cmath>

namespace scheduler::domain {

inline constexpr int kPrefetchMax = 4096;

// Little's law: the runs that the worker ends during one round trip to the dispatcher (two commits and two hops; a
// tenth of a second leaves room for batches). A worker of long tasks holds nothing it cannot start, one of no-ops
// thousands.
[[nodiscard]] constexpr int prefetch(double ended_per_second) {
  constexpr double kRoundTripSeconds = 0.1;
  return static_cast<int>(std::clamp(ended_per_second * kRoundTripSeconds, 0.0, double(kPrefetchMax)));
}

}  // namespace scheduler::domain
