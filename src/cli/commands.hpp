// cli/commands.hpp — the nouns, one file each. `session` outlives what they return.
#pragma once

#include "cli/session.hpp"

namespace scheduler::cli {

[[nodiscard]] Noun task_commands(Session& session);      // task_commands.cpp
[[nodiscard]] Noun run_commands(Session& session);       // run_commands.cpp
[[nodiscard]] Noun schedule_commands(Session& session);  // schedule_commands.cpp
[[nodiscard]] Noun worker_commands(Session& session);    // worker_commands.cpp
[[nodiscard]] Noun system_commands(Session& session);    // worker_commands.cpp
[[nodiscard]] Noun auth_commands(Session& session);      // account_commands.cpp
[[nodiscard]] Noun apikey_commands(Session& session);    // account_commands.cpp
[[nodiscard]] Noun user_commands(Session& session);      // account_commands.cpp
[[nodiscard]] Noun migrate_commands(Session& session);   // local_commands.cpp
[[nodiscard]] Noun config_commands(Session& session);    // local_commands.cpp
[[nodiscard]] Noun version_command(Session& session);    // local_commands.cpp

[[nodiscard]] Verb dependencies_verb(Session& session);  // of task; dependency_commands.cpp

// "bash", "zsh" or "fish": a script that completes nouns, verbs, options and their words.
[[nodiscard]] std::string completion_script(const Commands& commands, const std::string& shell);  // completion.cpp

}  // namespace scheduler::cli
