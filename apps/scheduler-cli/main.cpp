// scheduler-cli: hands the real clock, time zones, terminal and environment to the commands.
#include "cli/cli.hpp"
#include "config/app_config.hpp"
#include "core/version.hpp"
#include "infrastructure/store_factory.hpp"
#include "infrastructure/system_clock.hpp"
#include "infrastructure/system_time_zones.hpp"

#include <cstdlib>
#include <iostream>
#include <unistd.h>

int main(int argc, char** argv) {
  using namespace scheduler;
  std::ios::sync_with_stdio(false);
  const infrastructure::SystemClock clock;
  const infrastructure::SystemTimeZones zones;
  auto environment = config::scheduler_environment();
  if (const char* no_colour = std::getenv("NO_COLOR")) environment["NO_COLOR"] = no_colour;
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
                       .err_is_terminal = ::isatty(STDERR_FILENO) == 1});
}
