// domain/transitions.hpp — the run state machine as one table. Nothing else in the project knows which state may follow
// which: the stores build their guards from it, the tests their matrix, docs/run-states.md its page.
#pragma once

#include "domain/task_run.hpp"

#include <array>
#include <optional>
#include <span>
#include <vector>

namespace scheduler::domain {

enum class Event {
  promote,   // what the run waited for has ended well
  skip,      // it will not run: dependency failed, overlap
  dispatch,  // given to a worker; token + 1
  start,     // the worker says it began
  succeed,   // the worker says how it ended …
  fail,
  time_out,
  retry,      // … or the attempt ended badly and another one follows
  cancel,     // by a person, before dispatch; or the worker says it killed the attempt
  hand_back,  // the worker gives it back without having begun; token + 1
  rescue,     // the worker is lost: pending again; token + 1
  give_up,    // the worker is lost and no attempt is left; token + 1
};
constexpr auto enum_names(Event) {
  return std::to_array<std::string_view>({"promote", "skip", "dispatch", "start", "succeed", "fail", "time_out",
                                          "retry", "cancel", "hand_back", "rescue", "give_up"});
}

enum class Guard {
  none,
  token,       // the report carries the run's current token
  token_seen,  // the token is still the one that the decision was made with; grows by one with the change
};
constexpr auto enum_names(Guard) { return std::to_array<std::string_view>({"none", "token", "token_seen"}); }

struct Transition {
  RunState from;
  Event event;
  RunState to;
  Guard guard;
  std::string_view who;
};

inline constexpr auto kTransitions = std::to_array<Transition>({
    {RunState::waiting, Event::promote, RunState::pending, Guard::none, "dispatcher"},
    {RunState::waiting, Event::skip, RunState::skipped, Guard::none, "dispatcher"},
    {RunState::waiting, Event::cancel, RunState::cancelled, Guard::none, "api"},
    {RunState::pending, Event::cancel, RunState::cancelled, Guard::none, "api"},
    {RunState::pending, Event::dispatch, RunState::dispatched, Guard::token_seen, "dispatcher"},
    {RunState::dispatched, Event::start, RunState::running, Guard::token, "worker"},
    {RunState::dispatched, Event::succeed, RunState::succeeded, Guard::token, "worker"},
    {RunState::dispatched, Event::fail, RunState::failed, Guard::token, "worker"},
    {RunState::dispatched, Event::time_out, RunState::timed_out, Guard::token, "worker"},
    {RunState::dispatched, Event::retry, RunState::pending, Guard::token, "worker"},
    {RunState::dispatched, Event::cancel, RunState::cancelled, Guard::token, "worker"},
    {RunState::dispatched, Event::hand_back, RunState::pending, Guard::token, "worker"},
    {RunState::dispatched, Event::rescue, RunState::pending, Guard::token_seen, "dispatcher"},
    {RunState::dispatched, Event::give_up, RunState::failed, Guard::token_seen, "dispatcher"},
    {RunState::running, Event::succeed, RunState::succeeded, Guard::token, "worker"},
    {RunState::running, Event::fail, RunState::failed, Guard::token, "worker"},
    {RunState::running, Event::time_out, RunState::timed_out, Guard::token, "worker"},
    {RunState::running, Event::retry, RunState::pending, Guard::token, "worker"},
    {RunState::running, Event::cancel, RunState::cancelled, Guard::token, "worker"},
    {RunState::running, Event::rescue, RunState::pending, Guard::token_seen, "dispatcher"},
    {RunState::running, Event::give_up, RunState::failed, Guard::token_seen, "dispatcher"},
});

// The state after `event`, or nothing when the table does not allow it.
[[nodiscard]] constexpr std::optional<RunState> after(RunState from, Event event) {
  for (const auto& t : kTransitions)
    if (t.from == from && t.event == event) return t.to;
  return std::nullopt;
}

// The states that `event` may leave: what a store puts into its WHERE.
[[nodiscard]] constexpr bool may_leave(RunState from, Event event) { return after(from, event).has_value(); }
[[nodiscard]] std::vector<RunState> sources(Event event);

}  // namespace scheduler::domain
