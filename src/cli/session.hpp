// cli/session.hpp — what every command works with: the ports, the common options, the API and the output.
#pragma once

#include "cli/api_client.hpp"
#include "cli/cli.hpp"
#include "cli/command_line.hpp"
#include "cli/output.hpp"
#include "cli/token_file.hpp"

#include <optional>
#include <string>

namespace scheduler::cli {

class Session {
 public:
  explicit Session(CliPorts ports) : ports(std::move(ports)) {}

  CliPorts ports;
  std::string format = "table";
  std::optional<std::string> api_url, api_key, api_key_file;  // else the environment, else the default or the login
  bool no_colour = false;

  [[nodiscard]] Output output() const;
  // Where the scheduler is. Failure: usage for a URL that is none.
  [[nodiscard]] Outcome<std::string> url() const;
  // With the key that was given, else with the login of `auth login`, refreshed whenever it is due; the session
  // outlives it. Failure: usage for a key file that cannot be read.
  [[nodiscard]] Outcome<ApiClient> api() const;
  // The variable's value; nothing when it is not set, or empty.
  [[nodiscard]] std::optional<std::string> variable(const std::string& name) const;
  // "-" reads standard input. Failure: usage.
  [[nodiscard]] Outcome<std::string> read_file(const std::string& path) const;
  void talk(std::string_view line) const;
  void sleep(Millis duration) const;

 private:
  // "" where none was given.
  [[nodiscard]] Outcome<std::string> given_key() const;
  // The access token of a login; "" without one.
  [[nodiscard]] Outcome<std::string> access_token(const std::string& at) const;
};

// What is kept of a reply with tokens.
[[nodiscard]] StoredLogin login_of(const Session& session, std::string username, const json::value& tokens);

[[nodiscard]] std::vector<Option> common_options(Session& session);

}  // namespace scheduler::cli
