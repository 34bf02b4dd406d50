#include "infrastructure/auth/key_file.hpp"

#include "infrastructure/auth/sodium_secrets.hpp"
#include "infrastructure/executors/unique_fd.hpp"

#include <fmt/format.h>
#include <sodium.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <sys/stat.h>
#include <unistd.h>

namespace scheduler::infrastructure {
namespace {

constexpr std::size_t kKeyBytes = 32;

std::unexpected<SchedulerError> refuse(const std::string& path, std::string_view why) {
  return fail(ErrorKind::Config, fmt::format("the key file '{}' {}", path, why));
}

std::unexpected<SchedulerError> no_access(const std::string& path) {
  return refuse(path, fmt::format("cannot be used: {}; make its directory writable for this user, or choose another "
                                  "data_dir",
                                  std::strerror(errno)));
}

// All zeros, one digit again and again: typed, not drawn. 32 random bytes with fewer than 16 different ones do not
// occur.
bool is_weak(std::string key) {
  std::ranges::sort(key);
  return std::ranges::unique(key).begin() - key.begin() < 16;
}

// Complete before it has its name, so that another process that starts at the same moment never reads half of it.
SchedulerResult<void> make_key(const std::string& path) {
  std::string key(kKeyBytes, '\0');
  randombytes_buf(key.data(), key.size());
  const auto draft = fmt::format("{}.{}", path, ::getpid());
  {
    const UniqueFd fd(::open(draft.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600));
    const auto text = to_hex(key) + "\n";
    if (fd.get() < 0 || ::write(fd.get(), text.data(), text.size()) != static_cast<ssize_t>(text.size()) ||
        ::fsync(fd.get()) != 0)
      return no_access(path);
  }
  const bool linked = ::link(draft.c_str(), path.c_str()) == 0 || errno == EEXIST;
  if (!linked) return no_access(path);
  ::unlink(draft.c_str());
  return {};
}

}  // namespace

SchedulerResult<std::string> load_or_make_key(const std::string& path) {
  start_sodium();
  std::error_code ec;  // shows when the file is opened
  if (const auto directory = std::filesystem::path(path).parent_path();
      !directory.empty() && std::filesystem::create_directories(directory, ec))
    std::filesystem::permissions(directory, std::filesystem::perms::owner_all, ec);
  UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0 && errno == ENOENT) {
    CHECK(make_key(path));
    fd = UniqueFd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (fd.get() < 0) return no_access(path);
  struct stat status{};
  if (::fstat(fd.get(), &status) != 0) return no_access(path);
  if ((status.st_mode & 077) != 0)
    return refuse(path, "can be read by others: chmod 600 it, and better remove it, so that a new one is made");
  char text[2 * kKeyBytes + 2] = {};
  const auto read = ::read(fd.get(), text, sizeof text);
  auto hex = std::string_view(text, static_cast<std::size_t>(std::max<ssize_t>(read, 0)));
  while (hex.ends_with('\n')) hex.remove_suffix(1);
  const auto key = from_hex(hex, kKeyBytes);
  if (!key) return refuse(path, "holds no key (64 hex digits): remove it, and the next start makes a new one");
  if (is_weak(*key))
    return refuse(path, "holds a key that can be guessed: remove it, and the next start makes a new one");
  return *key;
}

}  // namespace scheduler::infrastructure
