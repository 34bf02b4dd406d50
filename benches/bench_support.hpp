// benches/bench_support.hpp — what benchmarks share.
#pragma once

#include "errors/result.hpp"

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <type_traits>
#include <utility>

namespace scheduler {

using SteadyClock = std::chrono::steady_clock;

inline double seconds_since(SteadyClock::time_point began) {
  return std::chrono::duration<double>(SteadyClock::now() - began).count();
}

// The value, or the end of the benchmark.
template <class T>
T must(SchedulerResult<T> result) {
  if (result) {
    if constexpr (std::is_void_v<T>)
      return;
    else
      return *std::move(result);
  }
  std::fprintf(stderr, "benchmark: %s\n", result.error().message.c_str());
  std::exit(1);
}

}  // namespace scheduler
