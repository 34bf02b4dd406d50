// infrastructure/executors/executor_parameters.hpp — what each built-in task type takes, and the check of it.
//
// The same functions serve the API (a bad task is refused when it is written) and the executors (which trust no queue),
// so a task that was accepted is never refused later for its parameters.
//
// Always true of parameters that were parsed: no text holds a NUL; environment names are valid and none of them is ours
// (SCHEDULER_…); header names and values cannot end their line; each single text fits into one argument of a process;
// what upstream runs left (domain/upstream_reference.hpp) is named by arguments, values of variables and bodies alone,
// never by a text that a shell or an interpreter executes.
#pragma once

#include "application/ports/task_executor.hpp"
#include "core/enum_names.hpp"
#include "core/time.hpp"
#include "errors/result.hpp"

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::infrastructure {

using EnvironmentOverrides = std::map<std::string, std::string>;

// Without `args`, `command` is a text for the shell (`shell -c command`). With `args`, even empty ones, it is a
// program, looked up in PATH and run directly with these arguments: no shell, no quoting.
struct ShellParameters {
  std::string command;
  std::optional<std::vector<std::string>> args;
  std::string working_directory;  // "": the worker's own; a relative path starts there
  EnvironmentOverrides environment;
  std::string shell = "/bin/sh";
};

enum class HttpMethod { get, head, post, put, patch, del, options };
constexpr auto enum_names(HttpMethod) {
  return std::to_array<std::string_view>({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"});
}

// Text is sent as it is; an object or an array is sent as JSON.
struct HttpBody {
  std::string text;
  bool is_json = false;
};

struct HttpParameters {
  std::string url;  // http or https, with a host
  HttpMethod method = HttpMethod::get;
  std::map<std::string, std::string> headers;
  std::optional<HttpBody> body;
  std::optional<std::int64_t> timeout_ms;  // 1–86,400,000; nothing: the task's timeout alone
  bool follow_redirects = true;
  std::vector<int> expected_status;  // empty: any below 400
  bool capture_output = false;       // the answer's body, a JSON object, is the output
};

// Exactly one of `script` (the program's text) and `script_path` is set.
struct PythonParameters {
  std::optional<std::string> script;
  std::optional<std::string> script_path;
  std::vector<std::string> arguments;
  std::string python_executable = "python3";
  std::string working_directory;  // as for shell
  EnvironmentOverrides environment;
  std::string virtual_env;  // "": none; else python_executable is looked for in its bin/
};

struct NoopParameters {};

// What is wrong with a text that becomes an argument, a path or a variable of a process; "" when nothing is.
[[nodiscard]] std::string process_text_fault(std::string_view text);

// Validation with every fault, pointers under /parameters.
[[nodiscard]] SchedulerResult<ShellParameters> parse_shell_parameters(std::string_view text);
[[nodiscard]] SchedulerResult<HttpParameters> parse_http_parameters(std::string_view text);
[[nodiscard]] SchedulerResult<PythonParameters> parse_python_parameters(std::string_view text);
[[nodiscard]] SchedulerResult<NoopParameters> parse_noop_parameters(std::string_view text);

// The names of the built-in task types, sorted.
inline constexpr auto kBuiltInTaskTypes = std::to_array<std::string_view>({"http", "noop", "python", "shell"});

class ExecutorParameterCheck final : public application::ParameterCheck {
 public:
  [[nodiscard]] std::vector<FieldError> check(std::string_view task_type, std::string_view parameters,
                                              std::span<const std::string> upstreams) const override;
};

}  // namespace scheduler::infrastructure
