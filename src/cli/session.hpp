// cli/session.hpp — what every command works with: the ports, the common options, the API and the output.
#pragma once

#include "cli/api_client.hpp"
#include "cli/cli.hpp"
#include "cli/command_line.hpp"
#include "cli/output.hpp"

#include <optional>
#include <string>

namespace scheduler::cli {

class Session {
 public:
  explicit Session(CliPorts ports) : ports(std::move(ports)) {}

  CliPorts ports;
  std::string format = "table";
  std::optional<std::string> api_url, api_key_file;  // else the environment, else the default
  bool no_colour = false;

  [[nodiscard]] Output output() const;
  // Failure: usage for a URL that is none, or a key file that cannot be read.
  [[nodiscard]] Outcome<ApiClient> api() const;
  // The variable's value; nothing when it is not set, or empty.
  [[nodiscard]] std::optional<std::string> variable(const std::string& name) const;
  // "-" reads standard input. Failure: usage.
  [[nodiscard]] Outcome<std::string> read_file(const std::string& path) const;
  void talk(std::string_view line) const;
  void sleep(Millis duration) const;
};

[[nodiscard]] std::vector<Option> common_options(Session& session);

}  // namespace scheduler::cli
