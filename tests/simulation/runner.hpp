// simulation/runner.hpp — lives worlds: one, or thousands on all cores.
#pragma once

#include "simulation/world.hpp"

#include <map>
#include <optional>
#include <string>
#include <vector>

namespace scheduler::simulation {

struct Case {
  std::uint64_t seed = 1;
  std::optional<Mode> mode;  // nothing: even seeds prove safety, odd ones liveness
  const Mutant* mutant = nullptr;
};

struct Life {
  std::vector<std::string> broken;
  std::uint64_t hash = 0;  // equal histories have equal ones
  Coverage coverage;
  std::map<std::string, std::int64_t> ends;
  std::vector<std::string> trace;  // its end, where lines were asked for
};
[[nodiscard]] Life live(const Case& it, std::size_t trace_lines = 0);

// "./dev simulate --seed 7 --mode safety": what shows this life alone, with its trace.
[[nodiscard]] std::string command_for(const Case& it);
// The broken promises of a seed, the last of its trace, and the command.
[[nodiscard]] std::string report(const Case& it);

struct Batch {
  std::uint64_t first = 1;
  std::uint64_t seeds = 100;
  std::optional<Mode> mode;
  const Mutant* mutant = nullptr;
  unsigned jobs = 1;
  std::size_t failures_max = 3;  // then no further seed is begun
};
struct Summary {
  std::uint64_t lived = 0, twice = 0;
  std::vector<Case> failed;                 // by seed
  std::vector<std::uint64_t> not_repeated;  // seeds whose second life was another one
  Coverage coverage;
  std::map<std::string, std::int64_t> ends;
};
// One seed of a hundred is lived twice.
[[nodiscard]] Summary live_all(const Batch& batch);

// The first seed, of at most `seeds_max`, in which the simulator notices the mutant.
struct Caught {
  Case by;
  std::string what;
};
[[nodiscard]] std::optional<Caught> catch_mutant(const Mutant& mutant, std::uint64_t seeds_max);

// What the parts say about simulated faults is no news.
void keep_logs_quiet();

}  // namespace scheduler::simulation
