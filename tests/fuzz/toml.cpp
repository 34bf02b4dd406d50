// A settings file: it loads, and so does what it is written as unless secrets are hidden there; or every line of the
// error names a place, and all but those about the file as a whole a key.
#include "config/app_config.hpp"
#include "core/utf8.hpp"
#include "fuzz/fuzz.hpp"

#include <algorithm>
#include <sys/mman.h>
#include <unistd.h>

namespace scheduler::fuzz {
namespace {

// Settings are read from files: this one has no place on a disk.
class MemoryFile {
 public:
  MemoryFile() : fd_(::memfd_create("settings", MFD_CLOEXEC)), path_("/proc/self/fd/" + std::to_string(fd_)) {
    MUST(fd_ >= 0, "memfd_create");
  }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;
  ~MemoryFile() { ::close(fd_); }

  void write(std::string_view text) const {
    MUST(::ftruncate(fd_, 0) == 0, path_);
    MUST(::pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()), path_);
  }
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  int fd_;
  std::string path_;
};

SchedulerResult<config::AppConfig> load(const MemoryFile& file, std::string_view text) {
  file.write(text);
  return config::load_config(file.path(), {}, {});
}

void check_line(std::string_view line, std::string_view path) {
  MUST(is_utf8(line), line);
  MUST(std::ranges::none_of(line, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }), line);
  if (line.starts_with("default: ")) {
    MUST(line.find(": ", 9) != line.npos, line);
    return;
  }
  MUST(line.starts_with(path), line);
  auto rest = line.substr(path.size());
  if (rest.starts_with(": ")) return;  // the file as a whole
  MUST(rest.starts_with(':'), line);
  rest.remove_prefix(1);
  MUST(!rest.empty() && rest.front() >= '0' && rest.front() <= '9', line);
  rest.remove_prefix(std::min(rest.size(), rest.find(": ")));
  MUST(rest.size() > 2 && rest.find(": ", 2) != rest.npos, line);  // a key, and what is wrong with it
}

}  // namespace
}  // namespace scheduler::fuzz

int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace scheduler;
  using namespace scheduler::fuzz;
  static const MemoryFile file;
  const auto text = as_text(data, size);
  const auto loaded = load(file, text);
  if (!loaded) {
    MUST(loaded.error().kind == ErrorKind::Config, loaded.error().message);
    for (std::string_view rest = loaded.error().message; !rest.empty();) {
      const auto line = rest.substr(0, rest.find('\n'));
      check_line(line, file.path());
      rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    }
    return 0;
  }
  const auto written = config::to_toml(*loaded);
  if (written.contains(":***")) return 0;  // a hidden password may take more of its URL along
  const auto again = load(file, written);
  MUST(again, again.error().message + "\n" + written);
  MUST(config::to_toml(*again) == written, written);
  return 0;
}
