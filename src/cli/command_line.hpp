// cli/command_line.hpp — the commands as data: parsing, help and completion are all made from it.
//
// A verb's options write into variables that the verb keeps alive (usually a shared struct that `run` captures).
#pragma once

#include "cli/failure.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace scheduler::cli {

struct Option {
  std::string names;  // "-o,--output"; an argument has no dash: "TASK"
  std::string value;  // what it takes, for the help: "30s"; empty: a switch
  std::string doc;
  std::variant<bool*, std::string*, std::optional<std::string>*, std::optional<int>*, std::vector<std::string>*> into;
  std::vector<std::string> words = {};  // empty: anything
  bool required = false;

  [[nodiscard]] bool is_argument() const { return !names.starts_with('-'); }
  [[nodiscard]] bool takes_value() const { return !std::holds_alternative<bool*>(into); }
};

struct Verb {
  std::string name, doc;
  std::vector<Option> options;
  std::function<Outcome<Exit>()> run;
};

struct Noun {
  std::string name, doc;
  std::vector<Verb> verbs;  // one verb with an empty name: the noun is the whole command
};

struct Commands {
  std::vector<Noun> nouns;
  std::vector<Option> common;  // understood by every verb, and before the noun
};

// Finds the verb, fills its options and runs it. Help goes to `out`.
[[nodiscard]] Outcome<Exit> run_command(const Commands& commands, std::vector<std::string> words, std::ostream& out);

}  // namespace scheduler::cli
