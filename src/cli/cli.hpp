// cli/cli.hpp — scheduler-cli: noun, then verb, over the REST API; schedules and settings also without a server.
//
// Always true: data goes to `out` and talk to `err`; colours and progress appear on a terminal only; the exit code
// tells what happened (Exit).
#pragma once

#include "application/ports/schema_admin.hpp"
#include "core/clock.hpp"
#include "domain/time_zone.hpp"

#include <functional>
#include <iosfwd>
#include <map>
#include <optional>
#include <string>

namespace scheduler::cli {

enum class Exit {
  ok = 0,
  error = 1,        // anything without a code of its own
  usage = 2,        // the command line itself is wrong
  not_found = 3,    // no such task, run, worker
  auth = 4,         // the key is missing, wrong, or not allowed to do this
  refused = 5,      // conflict or validation
  unreachable = 6,  // no answer, or the server says that it cannot serve now
  run_failed = 7,   // the awaited run did not succeed
};

// Everything outside the process, so that tests call the whole program in their own.
struct CliPorts {
  const domain::TimeZones& zones;
  const Clock& clock;
  std::istream& in;
  std::ostream& out;
  std::ostream& err;
  std::string version;
  application::OpenSchemaAdmin open_schema = {};        // empty: this build cannot migrate
  std::map<std::string, std::string> environment = {};  // SCHEDULER_…, NO_COLOR, HOME and XDG_STATE_HOME
  bool out_is_terminal = false;
  bool err_is_terminal = false;
  // Asks on the terminal, without showing what is typed; nothing: there is none. Empty: never ask.
  std::function<std::optional<std::string>(const std::string& prompt)> ask_secret = {};
  std::function<void(Millis)> sleep = {};  // before a broken stream is opened again; empty: the thread sleeps
};

// Never throws; returns the value of an Exit.
int run_cli(int argc, const char* const* argv, CliPorts ports);

}  // namespace scheduler::cli
