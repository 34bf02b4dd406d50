// core/version.hpp — the version of this build, the same as in CMakeLists.txt (checked there).
#pragma once

namespace scheduler {

inline constexpr const char* kVersion = "0.1.0";

}  // namespace scheduler
