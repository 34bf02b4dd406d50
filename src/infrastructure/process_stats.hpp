// infrastructure/process_stats.hpp — what the kernel knows about this process. Zeros where it does not say.
#pragma once

#include <cstdint>

namespace scheduler::infrastructure {

struct ProcessStats {
  std::int64_t resident_bytes = 0;
  double cpu_seconds = 0;         // user and system, all threads, since the start
  double start_time_seconds = 0;  // since the Unix epoch
  std::int64_t open_fds = 0;
};

[[nodiscard]] ProcessStats read_process_stats();

}  // namespace scheduler::infrastructure
