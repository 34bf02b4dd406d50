// scheduler-cli: hands the real clock, time zones, terminal and environment to the commands.
#include "cli/cli.hpp"
#include "config/app_config.hpp"
#include "core/version.hpp"
#include "infrastructure/store_factory.hpp"
#include "infrastructure/system_clock.hpp"
#include "infrastructure/system_time_zones.hpp"

#include <cstdlib>
#include <fcntl.h>
#include <fstream>
#include <iostream>
#include <optional>
#include <string>
#include <termios.h>
#include <unistd.h>

namespace {

// Of the terminal itself: standard input may be a pipe with something else.
std::optional<std::string> ask_on_terminal(const std::string& prompt) {
  std::fstream terminal("/dev/tty");
  const int fd = ::open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
  termios before{};
  if (!terminal || fd < 0 || ::tcgetattr(fd, &before) != 0) {
    if (fd >= 0) ::close(fd);
    return std::nullopt;
  }
  auto silent = before;
  silent.c_lflag &= ~static_cast<tcflag_t>(ECHO);
  ::tcsetattr(fd, TCSAFLUSH, &silent);
  terminal << prompt << std::flush;
  std::string typed;
  const bool read = static_cast<bool>(std::getline(terminal, typed));
  ::tcsetattr(fd, TCSAFLUSH, &before);
  ::close(fd);
  std::cerr << '\n';
  if (!read) return std::nullopt;
  return typed;
}

}  // namespace

int main(int argc, char** argv) {
  using namespace scheduler;
  std::ios::sync_with_stdio(false);
  const infrastructure::SystemClock clock;
  const infrastructure::SystemTimeZones zones;
  auto environment = config::scheduler_environment();
  for (const char* name : {"NO_COLOR", "HOME", "XDG_STATE_HOME"})
    if (const char* value = std::getenv(name)) environment[name] = value;
  return cli::run_cli(argc, argv,
                      {.zones = zones,
                       .clock = clock,
                       .in = std::cin,
                       .out = std::cout,
                       .err = std::cerr,
                       .version = kVersion,
                       .open_schema = infrastructure::open_schema,
                       .environment = std::move(environment),
                       .out_is_terminal = ::isatty(STDOUT_FILENO) == 1,
                       .err_is_terminal = ::isatty(STDERR_FILENO) == 1,
                       .ask_secret = ask_on_terminal});
}
