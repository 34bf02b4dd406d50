// infrastructure/auth/key_file.hpp — a secret key in a file that only its owner can read.
#pragma once

#include "errors/result.hpp"

#include <string>

namespace scheduler::infrastructure {

// The 32 bytes in `path` (64 hex digits); made at random, mode 0600, where there is no such file. Config for one that
// others may read, or that holds no key, or one that nobody drew at random: the message says what to do.
[[nodiscard]] SchedulerResult<std::string> load_or_make_key(const std::string& path);

}  // namespace scheduler::infrastructure
