// docs/run-states.md is made from the state machine's table, so that it cannot say anything else.
// SCHEDULER_REWRITE_DOCS=1 writes the page instead of comparing it.
#include "domain/transitions.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <map>
#include <sstream>

namespace scheduler::domain {
namespace {

constexpr std::string_view kHead = R"(# States of a run

A run is one intended execution of a task; it keeps its id through all retries. This page is made from
`src/domain/transitions.hpp`; the stores build their guards from the same table, and what is not listed here is refused.
To rewrite it after a change: `SCHEDULER_REWRITE_DOCS=1 ./dev test RunStatesPage`.

)";

constexpr std::string_view meaning(RunState state) {
  switch (state) {
    case RunState::waiting:
      return "until an earlier run of the same task has ended (overlap policy), or upstream runs have";
    case RunState::pending:
      return "due at `due_at`: at once, or at the end of a backoff";
    case RunState::dispatched:
      return "given to a worker, which has not said yet that it began";
    case RunState::running:
      return "the worker began the attempt";
    case RunState::succeeded:
      return "an attempt ended well";
    case RunState::failed:
      return "the last attempt failed, or its worker was lost and no attempt is left";
    case RunState::timed_out:
      return "the last attempt ran past the task's timeout";
    case RunState::cancelled:
      return "somebody cancelled it before it had ended";
    case RunState::skipped:
      return "it was never going to run: the reason says why";
  }
  return "";
}

constexpr std::string_view meaning(Event event) {
  switch (event) {
    case Event::promote:
      return "what it waited for has ended well";
    case Event::skip:
      return "it will not run: a dependency failed, or runs overlap";
    case Event::dispatch:
      return "a worker is chosen; the token grows";
    case Event::start:
      return "the worker began";
    case Event::succeed:
      return "the attempt ended well";
    case Event::fail:
      return "it failed, and no attempt is left";
    case Event::time_out:
      return "it ran too long, and no attempt is left";
    case Event::retry:
      return "it ended badly, and another attempt follows after a backoff";
    case Event::cancel:
      return "a person cancelled it before dispatch, or the worker stopped the attempt";
    case Event::hand_back:
      return "the worker gives it back without having begun; the token grows";
    case Event::rescue:
      return "its worker is lost; the token grows";
    case Event::give_up:
      return "its worker is lost, and no attempt is left; the token grows";
  }
  return "";
}

constexpr std::string_view meaning(Guard guard) {
  switch (guard) {
    case Guard::none:
      return "the state alone";
    case Guard::token:
      return "the report carries the current token";
    case Guard::token_seen:
      return "the token is still the one decided on";
  }
  return "";
}

std::string diagram() {
  std::map<std::pair<RunState, RunState>, std::string> arrows;
  for (const auto& t : kTransitions) {
    auto& label = arrows[{t.from, t.to}];
    label += (label.empty() ? "" : ", ") + std::string(name_of(t.event));
  }
  std::string text = "```mermaid\nstateDiagram-v2\n  [*] --> waiting\n  [*] --> pending\n";
  for (const auto& [ends, label] : arrows)
    text += fmt::format("  {} --> {}: {}\n", name_of(ends.first), name_of(ends.second), label);
  for (std::size_t i = 0; i < enum_names(RunState{}).size(); ++i)
    if (const auto state = static_cast<RunState>(i); is_terminal(state))
      text += fmt::format("  {} --> [*]\n", name_of(state));
  return text + "```\n";
}

std::string page() {
  std::string text(kHead);
  text += "| State | Terminal | Means |\n|---|---|---|\n";
  for (std::size_t i = 0; i < enum_names(RunState{}).size(); ++i) {
    const auto state = static_cast<RunState>(i);
    text += fmt::format("| `{}` | {} | {} |\n", name_of(state), is_terminal(state) ? "yes" : "", meaning(state));
  }
  text += "\nTerminal states never change. Each of them but `succeeded` carries one of these reasons and a sentence:\n";
  for (std::size_t i = 1; i < enum_names(Reason{}).size(); ++i)
    text += fmt::format("{}`{}`", i == 1 ? "" : i % 7 == 0 ? ",\n" : ", ", name_of(static_cast<Reason>(i)));
  text += ".\n\n" + diagram();
  text += "\n| From | Event | To | Who | Only where | Means |\n|---|---|---|---|---|---|\n";
  for (const auto& t : kTransitions)
    text += fmt::format("| `{}` | {} | `{}` | {} | {} | {} |\n", name_of(t.from), name_of(t.event), name_of(t.to),
                        t.who, meaning(t.guard), meaning(t.event));
  return text;
}

TEST(RunStatesPage, MadeFromTheTable_EqualsTheFile) {
  const std::string path = SCHEDULER_SOURCE_DIR "/docs/run-states.md";
  if (std::getenv("SCHEDULER_REWRITE_DOCS") != nullptr) std::ofstream(path) << page();
  std::stringstream file;
  file << std::ifstream(path).rdbuf();
  EXPECT_EQ(page(), file.str()) << "the table has changed; rewrite the page: SCHEDULER_REWRITE_DOCS=1 ./dev test "
                                   "RunStatesPage";
}

}  // namespace
}  // namespace scheduler::domain
