#include "cli/cli.hpp"

#include "cli/commands.hpp"

#include <exception>
#include <ostream>

namespace scheduler::cli {
namespace {

// The completion script describes the whole table, itself included.
Noun completion_command(Session& session, const Commands& commands) {
  auto shell = std::make_shared<std::string>();
  const std::string doc = "Print a completion script for a shell.";
  return {"completion",
          doc,
          {Verb{"",
                doc,
                {{.names = "SHELL",
                  .value = "SHELL",
                  .doc = "bash, zsh or fish",
                  .into = shell.get(),
                  .words = {"bash", "zsh", "fish"},
                  .required = true}},
                [&session, &commands, shell]() -> Outcome<Exit> {
                  session.ports.out << completion_script(commands, *shell);
                  return Exit::ok;
                }}}};
}

Outcome<Exit> run(Session& session, std::vector<std::string> words) {
  Commands commands;
  commands.common = common_options(session);
  commands.nouns = {task_commands(session),
                    run_commands(session),
                    schedule_commands(session),
                    worker_commands(session),
                    system_commands(session),
                    auth_commands(session),
                    apikey_commands(session),
                    user_commands(session),
                    migrate_commands(session),
                    config_commands(session),
                    completion_command(session, commands),
                    version_command(session)};
  if (words == std::vector<std::string>{"--version"}) words = {"version"};
  return run_command(commands, std::move(words), session.ports.out);
}

}  // namespace

int run_cli(int argc, const char* const* argv, CliPorts ports) {
  Session session(std::move(ports));
  auto outcome = Outcome<Exit>(Exit::error);
  try {
    outcome = run(session, std::vector<std::string>(argv + std::min(argc, 1), argv + argc));
  } catch (const std::exception& fault) {
    // The JSON library throws for members that a broken server leaves out, streams for a full disk.
    outcome = failed(Exit::error, std::string("something unexpected happened: ") + fault.what());
  }
  session.ports.out.flush();
  if (outcome && !session.ports.out) outcome = failed(Exit::error, "the output could not be written");
  if (!outcome) print_failure(session.ports.err, outcome.error());
  return static_cast<int>(outcome ? *outcome : outcome.error().exit);
}

}  // namespace scheduler::cli
