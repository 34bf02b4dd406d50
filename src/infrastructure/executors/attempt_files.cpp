#include "infrastructure/executors/attempt_files.hpp"

#include "core/json_reader.hpp"
#include "core/log.hpp"
#include "domain/retry.hpp"
#include "infrastructure/executors/spawn.hpp"

#include <fmt/format.h>

#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>

namespace scheduler::infrastructure {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "scheduler-attempts-";
constexpr const char* kOutputName = "output.json";

std::unexpected<SchedulerError> cannot(std::string_view what, const std::string& path, int error) {
  return fail(ErrorKind::Unavailable, fmt::format("cannot {} {}: {}", what, path, error_text(error)));
}

UniqueFd open_directory(const std::string& path) {
  return UniqueFd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
}

void remove_tree(const std::string& path) {
  std::error_code fault;
  fs::remove_all(path, fault);  // follows no link
  if (fault) log::warning("files of an attempt could not be removed", {{"path", path}, {"why", fault.message()}});
}

// Directories of processes of this user that have ended. Who lives holds a lock on his.
void remove_left_behind(const std::string& parent) {
  std::error_code fault;
  for (fs::directory_iterator it(parent, fault), end; !fault && it != end; it.increment(fault)) {
    const auto path = it->path().string();
    struct stat status{};
    if (!it->path().filename().string().starts_with(kPrefix) || ::lstat(path.c_str(), &status) < 0 ||
        !S_ISDIR(status.st_mode) || status.st_uid != ::geteuid())
      continue;
    const auto directory = open_directory(path);
    if (directory && ::flock(directory.get(), LOCK_EX | LOCK_NB) == 0) remove_tree(path);
  }
}

struct Made {
  std::string path;
  UniqueFd lock;
};

// Somebody who tidies up may have taken it between its making and its lock: then once more.
SchedulerResult<Made> make_locked(const std::string& parent) {
  for (;;) {
    auto path = fmt::format("{}/{}XXXXXX", parent, kPrefix);
    if (::mkdtemp(path.data()) == nullptr) return cannot("make a directory in", parent, errno);
    auto lock = open_directory(path);
    if (!lock) {
      const int error = errno;
      ::rmdir(path.c_str());
      return cannot("open the directory", path, error);
    }
    struct stat mine{}, there{};
    // A file system without locks has nobody who could take it.
    if ((::flock(lock.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) && ::fstat(lock.get(), &mine) == 0 &&
        ::lstat(path.c_str(), &there) == 0 && mine.st_ino == there.st_ino)
      return Made{std::move(path), std::move(lock)};
  }
}

SchedulerResult<void> write_all(int file, std::string_view text) {
  while (!text.empty()) {
    const auto n = ::write(file, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return fail(ErrorKind::Unavailable, error_text(errno));
    text.remove_prefix(std::size_t(n));
  }
  return {};
}

std::unexpected<SchedulerError> refuse(std::string why) { return fail(ErrorKind::Validation, std::move(why)); }

std::string too_long(std::string_view size) {
  return fmt::format("the output is {} long; {} bytes are the most: leave the data elsewhere, and where as the output",
                     size, domain::kOutputBytesMax);
}

}  // namespace

AttemptDirectory::AttemptDirectory(std::string path, UniqueFd directory)
    : path_(std::move(path)), directory_(std::move(directory)) {}

AttemptDirectory::~AttemptDirectory() { remove_tree(path_); }

SchedulerResult<std::string> AttemptDirectory::write(std::string_view name, std::string_view text) const {
  auto path = fmt::format("{}/{}", path_, name);
  const UniqueFd file(::openat(directory_.get(), std::string(name).c_str(),
                               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file) return cannot("make the file", path, errno);
  if (const auto written = write_all(file.get(), text); !written)
    return fail(ErrorKind::Unavailable, fmt::format("cannot write {}: {}", path, written.error().message));
  return path;
}

SchedulerResult<std::optional<std::string>> AttemptDirectory::read_output() const {
  // Without O_NONBLOCK a pipe without a writer would hold us.
  const UniqueFd file(
      ::openat(directory_.get(), kOutputName, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
  if (!file && errno == ENOENT) return std::nullopt;
  if (!file && errno == ELOOP) return refuse("the output is a symbolic link, and is not followed");
  if (!file && errno == ENXIO) return refuse("the output is no regular file");  // a socket
  if (!file) return refuse(fmt::format("the output cannot be opened: {}", error_text(errno)));
  struct stat status{};
  if (::fstat(file.get(), &status) < 0 || !S_ISREG(status.st_mode)) return refuse("the output is no regular file");
  if (status.st_size > static_cast<off_t>(domain::kOutputBytesMax))
    return refuse(too_long(fmt::format("{} bytes", status.st_size)));
  std::string text(domain::kOutputBytesMax + 1, '\0');  // one more: it may have grown
  std::size_t size = 0;
  for (ssize_t n = 1; n != 0 && size < text.size();) {
    n = ::read(file.get(), text.data() + size, text.size() - size);
    if (n < 0 && errno != EINTR) return refuse(fmt::format("the output cannot be read: {}", error_text(errno)));
    if (n > 0) size += std::size_t(n);
  }
  text.resize(size);
  return checked_output(std::move(text));
}

AttemptFiles::AttemptFiles(std::string parent, std::string path, UniqueFd lock)
    : parent_(std::move(parent)), path_(std::move(path)), lock_(std::move(lock)) {}

AttemptFiles::~AttemptFiles() { remove_tree(path_); }

SchedulerResult<std::unique_ptr<AttemptFiles>> AttemptFiles::create(std::string parent) {
  std::error_code fault;
  if (parent.empty()) parent = fs::temp_directory_path(fault).string();
  if (fault) parent = "/tmp";
  auto made = make_locked(parent);
  if (!made)
    return fail(ErrorKind::Config,
                fmt::format("{}; tasks of type shell and python leave their outputs there: set TMPDIR "
                            "to a directory that this user may write to",
                            made.error().message));
  remove_left_behind(parent);
  return std::unique_ptr<AttemptFiles>(
      new AttemptFiles(std::move(parent), std::move(made->path), std::move(made->lock)));
}

SchedulerResult<std::unique_ptr<AttemptDirectory>> AttemptFiles::make() {
  const auto make_one = [this] {
    auto path = path_ + "/XXXXXX";
    return ::mkdtemp(path.data()) == nullptr ? std::string() : path;
  };
  auto path = make_one();
  if (path.empty() && errno == ENOENT) {  // somebody tidied up /tmp
    TRY(auto again, make_locked(parent_));
    path_ = std::move(again.path);
    lock_ = std::move(again.lock);
    path = make_one();
  }
  if (path.empty()) return cannot("make a directory for the attempt in", path_, errno);
  auto made = std::make_unique<AttemptDirectory>(path, open_directory(path));
  TRY([[maybe_unused]] const auto output, made->write(kOutputName, ""));
  return made;
}

SchedulerResult<std::optional<std::string>> checked_output(std::string text) {
  if (text.size() > domain::kOutputBytesMax)
    return refuse(too_long(fmt::format("more than {} bytes", domain::kOutputBytesMax)));
  if (text.find_first_not_of(" \t\r\n") == std::string::npos) return std::nullopt;
  const auto value = parse_json(text);
  if (!value) return refuse(fmt::format("the output is no JSON object: {}", value.error().message));
  if (!value->is_object()) return refuse("the output is JSON, but no object: write it like {\"key\": \"value\"}");
  return text;
}

}  // namespace scheduler::infrastructure
