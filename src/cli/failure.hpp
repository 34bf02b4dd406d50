// cli/failure.hpp — why a command ended without doing what was asked: the exit code and the words.
#pragma once

#include "cli/cli.hpp"
#include "errors/error.hpp"
#include "errors/result.hpp"

#include <expected>
#include <iosfwd>
#include <string>
#include <vector>

namespace scheduler::cli {

// The message says what, why, and what to try; `fields` are listed one a line below it.
struct Failure {
  Exit exit = Exit::error;
  std::string message;
  std::vector<FieldError> fields = {};
};

template <class T>
using Outcome = std::expected<T, Failure>;

[[nodiscard]] std::unexpected<Failure> failed(Exit exit, std::string message);
[[nodiscard]] std::unexpected<Failure> failed(SchedulerError error);
[[nodiscard]] Exit exit_of(ErrorKind kind);

void print_failure(std::ostream& err, const Failure& failure);

}  // namespace scheduler::cli
