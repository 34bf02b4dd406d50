// infrastructure/executors/spawn.hpp — starting one child process, and saying exactly why that failed.
//
// Always true of a child that started:
//   - it leads a session of its own, has no signal blocked or ignored, and keeps the umask;
//   - it holds the three descriptors it was given and no other;
//   - the kernel kills it when the thread that started it ends: a worker that dies takes its direct children with it.
// Safe in a program with threads: between vfork and exec only system calls are made.
#pragma once

#include "errors/result.hpp"
#include "infrastructure/executors/unique_fd.hpp"

#include <string>
#include <sys/types.h>
#include <vector>

namespace scheduler::infrastructure {

struct ChildPlan {
  std::string program;  // a path, or a name that is looked up in the PATH of `environment`
  std::vector<std::string> arguments;
  std::string working_directory;         // "": as it is
  std::vector<std::string> environment;  // "NAME=value", all of it
};

struct ChildStreams {
  UniqueFd in, out, err;  // the child's ends
};

struct Child {
  pid_t pid = 0;
  UniqueFd pidfd;
};

// Error: a sentence that names the program or directory at fault. Waits until the child has begun its program.
[[nodiscard]] SchedulerResult<Child> start_child(const ChildPlan& plan, ChildStreams streams);

// "Permission denied" and the like.
[[nodiscard]] std::string error_text(int error);

}  // namespace scheduler::infrastructure
