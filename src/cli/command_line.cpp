#include "cli/command_line.hpp"

#include "core/suggest.hpp"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <charconv>
#include <ostream>

namespace scheduler::cli {
namespace {

constexpr std::string_view kProgram = "scheduler-cli";

template <class... Ts>
struct Overloaded : Ts... {
  using Ts::operator()...;
};

// What the parser does with the words given for one option; false: not what it takes.
CLI::callback_t writer_of(const Option& option) {
  return std::visit(
      Overloaded{[](bool* into) -> CLI::callback_t { return [into](const auto&) { return *into = true; }; },
                 [](std::string* into) -> CLI::callback_t {
                   return [into](const auto& words) { return *into = words[0], true; };
                 },
                 [](std::optional<std::string>* into) -> CLI::callback_t {
                   return [into](const auto& words) { return *into = words[0], true; };
                 },
                 [](std::vector<std::string>* into) -> CLI::callback_t {
                   return [into](const auto& words) { return *into = words, true; };
                 },
                 [](std::optional<int>* into) -> CLI::callback_t {
                   return [into](const auto& words) {
                     const auto& word = words[0];
                     int n = 0;
                     const auto [end, fault] = std::from_chars(word.data(), word.data() + word.size(), n);
                     if (fault != std::errc{} || end != word.data() + word.size()) return false;
                     *into = n;
                     return true;
                   };
                 }},
      option.into);
}

void add_option(CLI::App& app, const Option& option, const std::string& group) {
  if (!option.takes_value()) {
    auto* into = std::get<bool*>(option.into);
    app.add_flag_callback(option.names, [into] { *into = true; }, option.doc)->group(group);
    return;
  }
  auto* added = app.add_option(option.names, writer_of(option), option.doc);
  added->type_name(option.is_argument() ? "" : option.value)->required(option.required);
  if (!option.is_argument()) added->group(group);
  if (std::holds_alternative<std::vector<std::string>*>(option.into))
    added->expected(1, 1000)->allow_extra_args(option.is_argument());  // one value after each --label
  else
    added->expected(1);
  if (!option.words.empty()) added->check(CLI::IsMember(option.words));
}

std::string name_of_command(const Noun& noun, const Verb& verb) {
  return fmt::format("{} {}{}{}", kProgram, noun.name, verb.name.empty() ? "" : " ", verb.name);
}

std::string hint_for(const CLI::App& app, const std::string& word) {
  std::vector<std::string> known;
  for (const auto* option : app.get_options())
    for (const auto& name : option->get_lnames()) known.push_back("--" + name);
  return suggestion(word.substr(0, word.find('=')), std::vector<std::string_view>(known.begin(), known.end()));
}

Outcome<Exit> run_verb(const Commands& commands, const Noun& noun, const Verb& verb, std::vector<std::string> words,
                       std::ostream& out) {
  const auto name = name_of_command(noun, verb);
  CLI::App app(verb.doc, name);
  try {
    for (const auto& option : verb.options) add_option(app, option, "Options");
    for (const auto& option : commands.common) add_option(app, option, "Common options");
    app.allow_extras();
    std::ranges::reverse(words);  // the parser takes them from the back
    app.parse(std::move(words));
  } catch (const CLI::CallForHelp&) {
    out << app.help();
    return Exit::ok;
  } catch (const CLI::ParseError& fault) {
    return failed(Exit::usage, fmt::format("{}; {} --help shows what it takes", fault.what(), name));
  }
  if (const auto extras = app.remaining(); !extras.empty())
    return failed(Exit::usage, fmt::format("{} does not take '{}'{}; {} --help shows what it takes", name,
                                           extras.front(), hint_for(app, extras.front()), name));
  return verb.run();
}

void print_overview(const Commands& commands, std::ostream& out) {
  out << "Usage: scheduler-cli NOUN VERB [options]\n\n";
  for (const auto& noun : commands.nouns) {
    std::string verbs;
    for (const auto& verb : noun.verbs) verbs += (verbs.empty() ? "" : " | ") + verb.name;
    out << fmt::format("  {:<11} {}\n", noun.name, verbs.empty() ? noun.doc : verbs);
  }
  out << "\nscheduler-cli NOUN VERB --help shows what a command takes.\n"
         "Exit codes: 0 ok, 1 error, 2 usage, 3 not found, 4 auth, 5 conflict or validation, 6 unreachable,\n"
         "7 the awaited run did not succeed.\n";
}

void print_noun(const Noun& noun, std::ostream& out) {
  out << fmt::format("{}\nUsage: {} {} VERB [options]\n\n", noun.doc, kProgram, noun.name);
  for (const auto& verb : noun.verbs) out << fmt::format("  {:<10} {}\n", verb.name, verb.doc);
}

template <class T>
const T* find_named(const std::vector<T>& all, std::string_view name) {
  const auto it = std::ranges::find(all, name, &T::name);
  return it == all.end() ? nullptr : &*it;
}

template <class T>
std::string hint_among(const std::vector<T>& all, std::string_view word) {
  std::vector<std::string_view> names;
  std::string list;
  for (const auto& it : all) {
    names.push_back(it.name);
    list += (list.empty() ? "" : ", ") + it.name;
  }
  const auto hint = suggestion(word, names);
  return hint.empty() ? fmt::format("; there are {}", list) : hint;
}

bool is_help(std::string_view word) { return word == "-h" || word == "--help" || word == "help"; }

// How many of the leading words are common options: `scheduler-cli -o json task list`.
std::size_t leading_options(const Commands& commands, const std::vector<std::string>& words) {
  std::size_t n = 0;
  while (n < words.size() && words[n].starts_with('-') && !is_help(words[n])) {
    const auto name = std::string_view(words[n]).substr(0, words[n].find('='));
    const bool has_value = name.size() != words[n].size();
    const auto* it = std::ranges::find_if(commands.common, [&](const Option& option) {
                       return fmt::format(",{},", option.names).contains(fmt::format(",{},", name));
                     }).base();
    const bool known = it != commands.common.data() + commands.common.size();
    n += known && it->takes_value() && !has_value ? 2 : 1;
  }
  return std::min(n, words.size());
}

}  // namespace

Outcome<Exit> run_command(const Commands& commands, std::vector<std::string> words, std::ostream& out) {
  std::ranges::rotate(words, words.begin() + static_cast<std::ptrdiff_t>(leading_options(commands, words)));
  if (words.empty() || is_help(words[0])) return print_overview(commands, out), Exit::ok;
  const auto* noun = find_named(commands.nouns, words[0]);
  if (!noun)
    return failed(Exit::usage,
                  fmt::format("there is no command '{}'{}", words[0], hint_among(commands.nouns, words[0])));
  words.erase(words.begin());
  if (const auto* whole = find_named(noun->verbs, "")) return run_verb(commands, *noun, *whole, std::move(words), out);
  if (words.empty() || is_help(words[0])) {
    if (!words.empty()) return print_noun(*noun, out), Exit::ok;
    return failed(Exit::usage, fmt::format("say what to do with '{}'{}", noun->name, hint_among(noun->verbs, "")));
  }
  const auto* verb = find_named(noun->verbs, words[0]);
  if (!verb)
    return failed(Exit::usage,
                  fmt::format("there is no '{} {}'{}", noun->name, words[0], hint_among(noun->verbs, words[0])));
  words.erase(words.begin());
  return run_verb(commands, *noun, *verb, std::move(words), out);
}

}  // namespace scheduler::cli
