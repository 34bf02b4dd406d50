// cli/follow_run.hpp — waiting for a run and reading along, for `run` and `task trigger`.
#pragma once

#include "cli/session.hpp"

#include <optional>
#include <string>

namespace scheduler::cli {

// The run once it has ended. Failure: error when that takes longer than `max`.
[[nodiscard]] Outcome<json::value> wait_for_run(const Session& session, const ApiClient& api, const std::string& id,
                                                std::optional<Seconds> max);

// Calls `on_change` with the run whenever its state or attempt is another one, until it has ended.
[[nodiscard]] Outcome<json::value> watch_run(const Session& session, const ApiClient& api, const std::string& id,
                                             std::optional<Seconds> max,
                                             const std::function<void(const json::value&)>& on_change);

// Prints the output of `attempt` (nothing: of all from the current one on) as it comes, until the run has ended, and
// returns the run. A broken stream is taken up where it broke. Failure: error when that takes longer than `max`.
[[nodiscard]] Outcome<json::value> follow_logs(const Session& session, const ApiClient& api, const std::string& id,
                                               std::optional<int> attempt, std::optional<Seconds> max);

// "run 7 of 'report' failed after 1.2 s: exit_code, the command ended with code 3 (attempt 2)".
[[nodiscard]] std::string result_line(const json::value& run);

// ok or run_failed.
[[nodiscard]] Exit exit_of_run(const json::value& run);

// Ids of runs may be typed only as numbers. Failure: usage.
[[nodiscard]] Outcome<std::string> run_id(const std::string& text);

}  // namespace scheduler::cli
