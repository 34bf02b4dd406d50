// infrastructure/store/room.hpp — the room under the limits of tasks, as far as one transaction hands it out.
//
// Whoever hands it out holds what keeps others from doing the same: the task's row in PostgreSQL, the one writer in
// SQLite.
#pragma once

#include "domain/limits.hpp"
#include "infrastructure/store/new_fire.hpp"

#include <map>

namespace scheduler::infrastructure {

class Room {
 public:
  // `going`: how much of it is taken. A task that nobody told of has no limit.
  void know(TaskId task, int limit, int going) { rooms_[task] = {limit, going}; }

  // How one more run begins that nothing but a limit could hold.
  void place(NewFire& run, TimePoint now) {
    const auto found = rooms_.find(run.task);
    if (found == rooms_.end() || run.state != domain::RunState::pending) return;
    auto& room = found->second;
    run.waits_for = domain::wait_of_new_run(room.limit, room.going, run.due_at <= now);
    run.holds_room = !run.waits_for;
    if (run.waits_for) run.state = domain::RunState::waiting;
    room.going += run.holds_room;
  }

 private:
  struct OfTask {
    int limit = 0, going = 0;
  };
  std::map<TaskId, OfTask> rooms_;
};

}  // namespace scheduler::infrastructure
