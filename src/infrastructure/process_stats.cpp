#include "infrastructure/process_stats.hpp"

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <sys/resource.h>
#include <unistd.h>

namespace scheduler::infrastructure {
namespace {

std::int64_t resident_bytes() {
  std::int64_t total_pages = 0, resident_pages = 0;
  std::ifstream("/proc/self/statm") >> total_pages >> resident_pages;
  return resident_pages * ::sysconf(_SC_PAGESIZE);
}

double cpu_seconds() {
  rusage used{};
  ::getrusage(RUSAGE_SELF, &used);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
  };
  return seconds(used.ru_utime) + seconds(used.ru_stime);
}

// Field 22 of /proc/self/stat counts ticks since boot; the name in field 2 may hold anything, so count from its end.
double start_time_seconds() {
  std::string stat, word, line;
  std::getline(std::ifstream("/proc/self/stat"), stat, '\0');
  std::istringstream fields(stat.substr(std::min(stat.rfind(')') + 1, stat.size())));
  double ticks = 0;
  for (int field = 3; field < 22; ++field) fields >> word;
  fields >> ticks;
  double boot = 0;
  for (std::ifstream file("/proc/stat"); std::getline(file, line);)
    if (line.starts_with("btime ")) boot = std::stod(line.substr(6));
  return boot + ticks / static_cast<double>(::sysconf(_SC_CLK_TCK));
}

std::int64_t open_fds() {
  std::error_code fault;
  std::int64_t n = 0;
  for (std::filesystem::directory_iterator it("/proc/self/fd", fault), end; !fault && it != end; it.increment(fault))
    ++n;
  return n > 0 ? n - 1 : 0;  // the directory itself was open as well
}

}  // namespace

ProcessStats read_process_stats() { return {resident_bytes(), cpu_seconds(), start_time_seconds(), open_fds()}; }

}  // namespace scheduler::infrastructure
