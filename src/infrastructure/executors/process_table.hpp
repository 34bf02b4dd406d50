// infrastructure/executors/process_table.hpp — the processes below this one: who belongs to which attempt.
//
// A leader is a child that we started; its tree is everything that descends from it. A descendant can leave its session
// and outlive its parents, so the tree is found in three ways at once:
//   - by parent: this process is a subreaper, so whatever loses its parent becomes our child, never init's;
//   - by session: the leader's session;
//   - by cookie: SCHEDULER_PROCESS in the environment names the leader it was inherited from.
// Something that shed all three is a stray. It belongs to the only leader that is older than it; while several are, it
// is left alone until one remains, so that no attempt ever kills another one's processes.
//
// The kernel's table of children is one per process, and so is this: instances share it. Safe from any thread.
#pragma once

#include "core/ids.hpp"
#include "infrastructure/executors/spawn.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <sys/types.h>
#include <vector>

namespace scheduler::infrastructure {

class ProcessTable {
 public:
  // Makes this process a subreaper.
  ProcessTable();

  // Starts a leader; SCHEDULER_PROCESS is added to its environment.
  [[nodiscard]] SchedulerResult<Child> start(ChildPlan plan, ChildStreams streams);

  // The leader has ended and must be reaped, or is given up.
  void forget(pid_t leader);

  struct Member {
    pid_t pid = 0;
    bool is_orphan = false;  // its parent has ended
  };
  // Every process of the leader's tree that is alive, the leader included. Reads all of /proc: milliseconds.
  [[nodiscard]] std::vector<Member> members(pid_t leader) const;

  // Reaps what became our child by losing its parent and has ended since. Returns whether one is left that has not
  // ended: if not, then nothing is left of any leader that has ended. Costs a few system calls.
  bool reap_orphans();
};

// Kills, tree by tree, what an earlier life of this worker left behind on this host: processes that bear `worker` in
// their environment, another incarnation, and a scheduler process that is no more. Returns how many were killed; what
// they started meanwhile is found by calling again, until 0.
[[nodiscard]] int kill_left_behind(const WorkerId& worker, IncarnationId own);

}  // namespace scheduler::infrastructure
