// apps/infrastructure/instance_lock.hpp — one scheduler per data directory: two would fire from the same file.
#pragma once

#include "errors/result.hpp"

#include <memory>
#include <string>

namespace scheduler::infrastructure {

class InstanceLock {
 public:
  // Makes `directory` (0700) where it is missing, and takes its lock until the process ends. Unavailable when another
  // process holds it; the message names its process id. Config when the directory cannot be used.
  [[nodiscard]] static SchedulerResult<InstanceLock> take(const std::string& directory);
  InstanceLock(InstanceLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  InstanceLock& operator=(InstanceLock&&) = delete;
  ~InstanceLock();

 private:
  explicit InstanceLock(int fd) : fd_(fd) {}
  int fd_;
};

}  // namespace scheduler::infrastructure
