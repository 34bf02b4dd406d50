// Scripts that let a shell complete our commands, made from the same table as the parser.
#include "cli/commands.hpp"

#include <fmt/format.h>

namespace scheduler::cli {
namespace {

// "-o,--output" -> {"-o", "--output"}
std::vector<std::string> names_of(const Option& option) {
  std::vector<std::string> names;
  for (std::string_view rest = option.names; !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    names.emplace_back(rest.substr(0, comma));
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return names;
}

std::string joined(const std::vector<std::string>& words, std::string_view between = " ") {
  std::string all;
  for (const auto& word : words) all.append(all.empty() ? "" : between).append(word);
  return all;
}

std::string verbs_of(const Noun& noun) {
  std::vector<std::string> names;
  for (const auto& verb : noun.verbs)
    if (!verb.name.empty()) names.push_back(verb.name);
  return joined(names);
}

std::string nouns_of(const Commands& commands) {
  std::vector<std::string> names;
  for (const auto& noun : commands.nouns) names.push_back(noun.name);
  return joined(names);
}

// What may come after "noun verb": options, and the words of an argument such as a shell's name.
std::string words_after(const Commands& commands, const Verb& verb) {
  std::vector<std::string> words;
  for (const auto* options : {&verb.options, &commands.common})
    for (const auto& option : *options)
      for (const auto& word : option.is_argument() ? option.words : names_of(option)) words.push_back(word);
  words.emplace_back("--help");
  return joined(words);
}

// One `case` pattern and the words it offers, for each verb and for each option with a fixed set of words.
std::string bash_cases(const Commands& commands) {
  std::string cases;
  for (const auto& noun : commands.nouns) {
    if (const auto verbs = verbs_of(noun); !verbs.empty())
      cases += fmt::format("    '{} ') offered='{}' ;;\n", noun.name, verbs);
    for (const auto& verb : noun.verbs)
      cases += fmt::format("    '{} {}') offered='{}' ;;\n", noun.name, verb.name, words_after(commands, verb));
  }
  return cases;
}

std::string bash_option_cases(const Commands& commands) {
  std::string cases;
  const auto add = [&](const std::string& command, const Option& option) {
    if (option.is_argument() || option.words.empty()) return;
    for (const auto& name : names_of(option))
      cases += fmt::format("    {}) offered='{}' ;;\n",
                           command == "*" ? fmt::format("*' {}'", name) : fmt::format("'{} {}'", command, name),
                           joined(option.words));
  };
  for (const auto& noun : commands.nouns)
    for (const auto& verb : noun.verbs)
      for (const auto& option : verb.options) add(noun.name + " " + verb.name, option);
  for (const auto& option : commands.common) add("*", option);
  return cases;
}

// Both shells set index, noun, verb and previous before it, and read what is offered after it.
std::string body(const Commands& commands) {
  return fmt::format(R"(  if [[ $index -le 1 ]]; then offered='{}'; else
  case "$noun $verb" in
{}  esac
  case "$noun $verb $previous" in
{}  esac
  fi
)",
                     nouns_of(commands), bash_cases(commands), bash_option_cases(commands));
}

std::string bash_script(const Commands& commands) {
  return fmt::format(R"(# bash completion for scheduler-cli: source <(scheduler-cli completion bash)
_scheduler_cli() {{
  local index=$COMP_CWORD noun= verb= previous= offered= current="${{COMP_WORDS[COMP_CWORD]}}"
  [[ $index -gt 1 ]] && noun="${{COMP_WORDS[1]}}"
  [[ $index -gt 2 ]] && verb="${{COMP_WORDS[2]}}" && previous="${{COMP_WORDS[COMP_CWORD-1]}}"
{}  COMPREPLY=($(compgen -W "$offered" -- "$current"))
}}
complete -o default -F _scheduler_cli scheduler-cli
)",
                     body(commands));
}

std::string zsh_script(const Commands& commands) {
  return fmt::format(R"(#compdef scheduler-cli
# zsh completion for scheduler-cli: source <(scheduler-cli completion zsh)
_scheduler_cli() {{
  local index=$((CURRENT - 1)) noun= verb= previous= offered=
  [[ $index -gt 1 ]] && noun="${{words[2]}}"
  [[ $index -gt 2 ]] && verb="${{words[3]}}" && previous="${{words[CURRENT-1]}}"
{}  compadd -- ${{=offered}}
}}
compdef _scheduler_cli scheduler-cli
)",
                     body(commands));
}

std::string fish_quoted(std::string_view text) {
  std::string out = "'";
  for (const char c : text) out.append(c == '\'' || c == '\\' ? "\\" : "").append(1, c);
  return out + "'";
}

// -s o -l output, and -x -a 'table json' where it takes one of a few words, -r where it takes something else.
std::string fish_option(const Option& option, const std::string& condition) {
  std::string line = "complete -c scheduler-cli -n " + fish_quoted(condition);
  if (option.is_argument())
    return option.words.empty() ? "" : fmt::format("{} -f -a {}\n", line, fish_quoted(joined(option.words)));
  for (const auto& name : names_of(option))
    line += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
  if (!option.words.empty())
    line += " -x -a " + fish_quoted(joined(option.words));
  else if (option.takes_value())
    line += " -r";
  return fmt::format("{} -d {}\n", line, fish_quoted(option.doc));
}

std::string fish_script(const Commands& commands) {
  std::string out =
      "# fish completion for scheduler-cli: scheduler-cli completion fish | source\ncomplete -c scheduler-cli -f\n";
  const auto nouns = nouns_of(commands);
  for (const auto& noun : commands.nouns) {
    out += fmt::format("complete -c scheduler-cli -n 'not __fish_seen_subcommand_from {}' -a {} -d {}\n", nouns,
                       noun.name, fish_quoted(noun.doc));
    const auto seen = "__fish_seen_subcommand_from " + noun.name;
    for (const auto& verb : noun.verbs) {
      if (!verb.name.empty())
        out += fmt::format("complete -c scheduler-cli -n '{}; and not __fish_seen_subcommand_from {}' -a {} -d {}\n",
                           seen, verbs_of(noun), verb.name, fish_quoted(verb.doc));
      const auto condition =
          verb.name.empty() ? seen : fmt::format("{}; and __fish_seen_subcommand_from {}", seen, verb.name);
      for (const auto& option : verb.options) out += fish_option(option, condition);
    }
  }
  for (const auto& option : commands.common) out += fish_option(option, "true");
  return out;
}

}  // namespace

std::string completion_script(const Commands& commands, const std::string& shell) {
  if (shell == "zsh") return zsh_script(commands);
  return shell == "fish" ? fish_script(commands) : bash_script(commands);
}

}  // namespace scheduler::cli
