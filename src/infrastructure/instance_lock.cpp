#include "infrastructure/instance_lock.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

namespace scheduler::infrastructure {

SchedulerResult<InstanceLock> InstanceLock::take(const std::string& directory) {
  std::error_code ec;
  if (std::filesystem::create_directories(directory, ec))
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, ec);
  const auto path = directory + "/scheduler.lock";
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail(ErrorKind::Config,
                fmt::format("data_dir '{}' cannot be used ({}); make it writable for this user, or set --data-dir",
                            directory, std::strerror(errno)));
  if (::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    char holder[32] = {};
    const auto n = ::pread(fd, holder, sizeof holder - 1, 0);
    ::close(fd);
    const auto who =
        n > 0 ? fmt::format("process {}", std::string_view(holder, static_cast<std::size_t>(n))) : "another process";
    return fail(
        ErrorKind::Unavailable,
        fmt::format("{} already runs on the database in '{}'; stop it, or choose another --data-dir", who, directory));
  }
  const auto pid = std::to_string(::getpid());
  if (::ftruncate(fd, 0) != 0 || ::pwrite(fd, pid.data(), pid.size(), 0) < 0) {
    // The lock holds all the same; only the process id in the other's message would be missing.
  }
  return InstanceLock(fd);
}

InstanceLock::~InstanceLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace scheduler::infrastructure
