// domain/dispatch_plan.hpp — which worker gets which due run.
//
// All strategies consider only workers that are alive, serve the run's route and have free capacity; they differ in the
// order of preference. Equal inputs (the dice included) give equal plans.
#pragma once

#include "domain/route.hpp"
#include "domain/task_run.hpp"
#include "domain/worker_info.hpp"

#include <span>
#include <vector>

namespace scheduler::domain {

enum class Strategy {
  round_robin,         // in turn
  least_loaded,        // the smallest share of its slots in use
  task_type_affinity,  // specialists first: the fewest task types; then least loaded
  random,
  composite,  // share of slots in use + half the host's load per slot; then specialists
};
constexpr auto enum_names(Strategy) {
  return std::to_array<std::string_view>({"round_robin", "least_loaded", "task_type_affinity", "random", "composite"});
}

struct WorkerLoad {
  WorkerInfo worker;
  int in_flight = 0;  // runs that the store says it holds
};

// A due run, as far as the choice of a worker needs it.
struct Candidate {
  RunId run;
  Token token = 0;
  std::string route;
};

struct Assignment {
  RunId run;
  Token token_seen = 0;
  std::size_t worker = 0;  // index into the workers that were given
  bool operator==(const Assignment&) const = default;
};

// What runs are worth reading: the routes that somebody can take now, and how many runs at most.
struct Demand {
  std::vector<std::string> routes;
  int runs_max = 0;
};
[[nodiscard]] Demand demand(std::span<const std::string> routes, std::span<const WorkerLoad> workers, int batch_max);

// Candidates in order of urgency; those nobody can take now are left out. `dice` rotates round_robin and seeds random.
[[nodiscard]] std::vector<Assignment> plan_dispatch(std::span<const Candidate> due, std::span<const WorkerLoad> workers,
                                                    Strategy strategy, std::uint64_t dice);

}  // namespace scheduler::domain
