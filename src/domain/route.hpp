// domain/route.hpp — what a run asks of a worker, as one comparable text: "shell" or "shell|gpu=yes,region=eu".
//
// Pending runs are indexed by it, so that runs nobody can serve never stand in the way of runs somebody can.
#pragma once

#include "domain/worker_info.hpp"

#include <string>
#include <string_view>

namespace scheduler::domain {

[[nodiscard]] std::string route_of(std::string_view task_type, const Labels& worker_labels);
[[nodiscard]] inline std::string route_of(const TaskSpec& spec) { return route_of(spec.task_type, spec.worker_labels); }

// True where the worker executes the type and bears every label of the route. State and free slots do not count here.
[[nodiscard]] bool serves(const WorkerInfo& worker, std::string_view route);

}  // namespace scheduler::domain
