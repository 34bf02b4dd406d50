// domain/prefetch.hpp — how many runs a worker may hold beyond its slots, so that it never idles for a round trip.
//
// A worker that ran out of work asks for four times as much, whatever the round trip takes; it never asks for more than
// it ends in about a second, so that long work is not queued behind long work while another worker is free. What it
// asks for falls by half at a time: one look may fall between two bursts.
#pragma once

#include <algorithm>

namespace scheduler::domain {

inline constexpr int kPrefetchMax = 4096;

// What the worker saw since the last decision.
struct PrefetchWindow {
  double ended_per_second = 0;
  bool ran_dry = false;  // a slot was free and nothing was ready, though work had come
};

[[nodiscard]] constexpr int next_prefetch(int current, const PrefetchWindow& seen) {
  constexpr int kFirst = 16;
  constexpr double kHoldSeconds = 1.0;
  const int wanted = seen.ran_dry ? std::max(kFirst, current * 4) : current;
  const double useful = std::clamp(seen.ended_per_second * kHoldSeconds, 0.0, double{kPrefetchMax});
  return std::clamp(wanted, current / 2, std::max(current / 2, static_cast<int>(useful)));
}

}  // namespace scheduler::domain
