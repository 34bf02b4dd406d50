// infrastructure/store/guards.hpp — conditions of SQL: the run state machine (domain/transitions.hpp), and patterns.
#pragma once

#include "domain/transitions.hpp"

#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>

namespace scheduler::infrastructure {

// Who makes a transition: the store's own side, or a worker's attempt (reported by it, or revoked). `cancel` is both.
enum class Side { store, attempt };

[[nodiscard]] constexpr Side side_of(const domain::Transition& it) {
  return it.from == domain::RunState::dispatched || it.from == domain::RunState::running ? Side::attempt : Side::store;
}

// "state IN ('dispatched', 'running')": the states that `event` may leave when `side` makes it.
[[nodiscard]] std::string may_leave(domain::Event event, Side side);

// The row of the table, or nothing when it does not allow this.
[[nodiscard]] constexpr std::optional<domain::Transition> transition(domain::RunState from, domain::Event event) {
  for (const auto& it : domain::kTransitions)
    if (it.from == from && it.event == event) return it;
  return std::nullopt;
}

// Whether the run `r` goes (domain/limits.hpp). `now`: an instant, in SQL.
[[nodiscard]] std::string run_goes(std::string_view now);

// A pattern for LIKE … ESCAPE '\\' that finds `part` anywhere.
[[nodiscard]] std::string like_pattern(std::string_view part);

}  // namespace scheduler::infrastructure
