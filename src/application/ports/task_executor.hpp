// application/ports/task_executor.hpp — doing the work of one attempt.
//
// Every executor promises:
//   - it returns an outcome for whatever happens; a thing that cannot be started is failed with reason executor_error;
//   - after `stop` was requested it ends soon (the kill grace at the most) and leaves no process of the attempt behind;
//     it then returns whatever outcome it saw: the worker decides what the stop means;
//   - output goes to the sink as it comes; the executor keeps no more than a bounded part of it in memory.
#pragma once

#include "application/messages.hpp"
#include "core/async.hpp"
#include "core/stop.hpp"

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::application {

// Takes raw bytes of output; cuts them into lines, bounds them, sends them on. Never blocks, never fails.
class OutputSink {
 public:
  virtual ~OutputSink() = default;
  virtual void write(Stream stream, std::string_view bytes) = 0;
};

class TaskExecutor {
 public:
  virtual ~TaskExecutor() = default;
  // `execution`, `sink` and `stop` outlive the call.
  virtual asio::awaitable<domain::Outcome> execute(const TaskExecution& execution, OutputSink& sink,
                                                   StopSignal& stop) = 0;
};

// The task types this process can execute.
class ExecutorRegistry {
 public:
  virtual ~ExecutorRegistry() = default;
  // Null for an unknown type.
  [[nodiscard]] virtual TaskExecutor* find(std::string_view task_type) = 0;
  [[nodiscard]] virtual std::vector<std::string> task_types() const = 0;  // sorted
};

// What parameters each task type takes; known to processes that execute nothing, too.
class ParameterCheck {
 public:
  virtual ~ParameterCheck() = default;
  // Every fault, pointers under /parameters (or /task_type for an unknown type, with the nearest known one).
  // `upstreams`: the names of the tasks whose outputs the parameters may name.
  [[nodiscard]] virtual std::vector<FieldError> check(std::string_view task_type, std::string_view parameters,
                                                      std::span<const std::string> upstreams) const = 0;
};

}  // namespace scheduler::application
