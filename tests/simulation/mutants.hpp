// simulation/mutants.hpp — a system that breaks one of its promises, so that the simulator can show that it notices.
//
// A mutant is a wrapper around a port, in this simulation only: no switch of it exists in what is shipped (decision
// 0017). It stands either at the store, behind the faults, where a guard of the SQL is bypassed; or in front of them,
// where a process does the right things in the wrong order.
#pragma once

#include "application/ports/message_queue.hpp"
#include "infrastructure/sqlite/sqlite_store.hpp"
#include "simulation/sim_time.hpp"

#include <memory>
#include <span>
#include <string_view>

namespace scheduler::simulation {

// One process, as a mutant sees it.
struct MutantHost {
  infrastructure::SqliteStore& store;
  SimTime& time;
  const Clock& local_clock;  // this process's own wall clock: hosts drift
};

struct Mutant {
  std::string_view name;
  std::string_view breaks;  // what it does wrong
  // What the process gets instead, or null for what it has. `faulty_*`: its own view, with latency and faults.
  std::unique_ptr<application::Store> (*at_store)(const MutantHost& host) = nullptr;
  std::unique_ptr<application::Store> (*in_process)(const MutantHost& host, application::Store& faulty_store,
                                                    application::MessageQueue& faulty_queue) = nullptr;
  std::unique_ptr<application::MessageQueue> (*on_queue)(application::MessageQueue& faulty_queue) = nullptr;
};

[[nodiscard]] std::span<const Mutant> mutants();
[[nodiscard]] const Mutant* find_mutant(std::string_view name);  // null: there is none of that name

}  // namespace scheduler::simulation
