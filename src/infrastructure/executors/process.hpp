// infrastructure/executors/process.hpp — running one child process to its end, with everything that it starts.
//
// Always true of run():
//   - output is handed to the sink as it comes, in bounded reads between which other work of the loop goes on;
//   - the run ends when the main process ends; a descendant that holds the pipes open does not delay it;
//   - when it returns, no descendant is alive (save one that the kernel cannot kill: uninterruptible I/O, logged);
//   - on a stop everything gets SIGTERM, has kill_grace to end in its own way, and is then killed.
// Runs on one loop; a started process is killed by the kernel if the loop's thread ends.
#pragma once

#include "application/ports/task_executor.hpp"
#include "core/clock.hpp"
#include "core/timer.hpp"
#include "infrastructure/executors/process_table.hpp"

#include <memory>
#include <string>

namespace scheduler::infrastructure {

struct ProcessSpec {
  ChildPlan plan;
  std::string input;  // what standard input holds; "": /dev/null
};

// Exactly one is set, as wait(2) tells.
struct ProcessEnd {
  std::optional<int> exit_code;
  std::optional<int> signal;
};

class ProcessRunner {
 public:
  struct Settings {
    Micros kill_grace = Seconds{5};
  };
  // All of them outlive the runner, the runner its calls.
  ProcessRunner(asio::io_context& io, const Clock& clock, Timer& timer, Settings settings);
  ~ProcessRunner();
  ProcessRunner(const ProcessRunner&) = delete;
  ProcessRunner& operator=(const ProcessRunner&) = delete;

  // Error: it could not be started, or not be killed; a sentence that names what is at fault.
  Async<ProcessEnd> run(ProcessSpec spec, application::OutputSink& sink, StopSignal& stop);

  // At start: ends what an earlier life of this worker left behind on this host. Returns how many processes that were.
  asio::awaitable<int> kill_orphans(WorkerId worker, IncarnationId own);

 private:
  class Attempt;
  SchedulerResult<std::unique_ptr<Attempt>> start(ProcessSpec spec, application::OutputSink& sink);
  asio::awaitable<void> wait_for_end(Attempt& attempt, StopSignal& stop);
  asio::awaitable<void> terminate(Attempt& attempt);
  asio::awaitable<bool> kill_tree(Attempt& attempt);

  asio::io_context& io_;
  const Clock& clock_;
  Timer& timer_;
  Settings settings_;
  ProcessTable table_;
  std::unique_ptr<char[]> buffer_;  // one for all reads: nothing awaits while it is in use
};

}  // namespace scheduler::infrastructure
