// domain/limits.hpp — how many runs of a task may go at the same time, and which of those that wait go next.
//
// A run *goes* once it has been let go and until it has ended: pending, dispatched and running runs go, also one that
// is pending because it rests after a failed attempt, and one of a fire time that is caught up a little later. A run
// that people asked for, that nobody has begun and whose time has not come, does not: it stands in nobody's way.
//
// Two rules decide about a new run, one after the other:
//   1. the overlap policy, for fires only: start, wait until the earlier runs have ended, or not at all
//   (fire_plan.hpp);
//   2. max_concurrent_runs, for whatever started: it goes where there is room, and joins the line where there is none.
// A run in the line has started as far as overlap is concerned: it counts as an earlier run that has not ended.
// Whatever waits for earlier runs joins the line when nothing goes and the line is empty. A limit that is lowered, or
// set, stops nobody who goes already: until enough have ended, more than it says may go.
#pragma once

#include "domain/task_run.hpp"

#include <optional>

namespace scheduler::domain {

[[nodiscard]] constexpr bool goes(const TaskRun& run, TimePoint now) {
  return run.state == RunState::dispatched || run.state == RunState::running ||
         (run.state == RunState::pending && (run.attempt > 0 || run.slot || run.due_at <= now));
}

// What a run that may start waits for; nothing: it goes. `going`: runs of the task that go, counted by the same limit.
[[nodiscard]] std::optional<Wait> wait_of_new_run(std::optional<int> limit, int going, bool is_due);

// The runs of one task, as far as it matters for who goes next.
struct Line {
  std::optional<int> limit;  // the task's max_concurrent_runs
  int going = 0;             // without a limit, 1 stands for any number
  bool has_line = false;     // some wait for room
  bool has_queue = false;    // some wait for earlier runs
};
struct NextInLine {
  bool queue_joins = false;  // the runs of the fire that waits longest join the line
  std::optional<int> room;   // at most so many of the line go, the longest due first; nothing: all of them
  bool operator==(const NextInLine&) const = default;
};
[[nodiscard]] NextInLine next_in_line(const Line& line);

}  // namespace scheduler::domain
