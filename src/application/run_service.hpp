// application/run_service.hpp — looking at runs: their state, attempts and output.
#pragma once

#include "application/ports/run_repository.hpp"
#include "core/async.hpp"
#include "domain/run_group.hpp"
#include "domain/why.hpp"

#include <optional>
#include <vector>

namespace scheduler::application {

struct LogPage {
  int attempt = 0;               // whose output this is
  std::vector<LogChunk> chunks;  // lines after the one asked for, in order
  bool complete = false;         // the run has ended and these are its last lines
};

struct RunExplained {
  domain::TaskRun run;
  std::vector<domain::Gate> gates;  // at least one
};

class RunService {
 public:
  virtual ~RunService() = default;
  virtual Async<domain::TaskRun> get(RunId id) = 0;
  // The run once it has ended, or as it is after `wait_max` (at most 60 s).
  virtual Async<domain::TaskRun> wait(RunId id, Micros wait_max) = 0;
  virtual Async<Page<domain::TaskRun>> list(RunFilter filter, Paging paging) = 0;
  virtual Async<std::vector<domain::Attempt>> attempts(RunId id) = 0;
  // What it left for those that run after it, a JSON object as text. NotFound, with the reason, where it left nothing.
  virtual Async<std::string> output(RunId id) = 0;
  // What it waits or waited for, in the order of its task's dependencies.
  virtual Async<std::vector<domain::UpstreamRun>> upstreams(RunId id) = 0;
  // All shards of its fire, as one.
  virtual Async<domain::RunGroup> group(RunId any) = 0;
  // Why it has not started, or why it ended as it did.
  virtual Async<RunExplained> why(RunId id) = 0;
  // Output of one attempt (default: the last one) after line `after_line`. Validation for an attempt that never was.
  virtual Async<LogPage> logs(RunId id, std::optional<int> attempt, std::int64_t after_line) = 0;
  // The same, but waits up to `wait_max` for something new.
  virtual Async<LogPage> follow_logs(RunId id, std::optional<int> attempt, std::int64_t after_line,
                                     Micros wait_max) = 0;
};

}  // namespace scheduler::application
