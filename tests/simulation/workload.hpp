// simulation/workload.hpp — what a world has to do: tasks of every kind, and clients that use them.
//
// A new feature of tasks gets an archetype here, a line each; a new use case an action.
#pragma once

#include "application/service_factory.hpp"
#include "simulation/faults.hpp"

#include <span>
#include <string>
#include <vector>

namespace scheduler::simulation {

// A zone that the host knows until it does not.
inline constexpr std::string_view kGoneZone = "Sim/Gone";
// Attempts of this type do not heed a stop for a long time: only the dispatchers can end their runs.
inline constexpr std::string_view kDeafType = "deaf", kObedientType = "obedient";

// Some tasks that belong together. `make` gets random basics and the tasks of the archetype that exist already.
struct Archetype {
  std::string_view name;
  int percent;  // of the worlds that have it
  int tasks;    // how many
  void (*make)(domain::TaskSpec& spec, int index, std::span<const TaskId> earlier, FaultSource& dice);
};
[[nodiscard]] std::span<const Archetype> archetypes();

class Workload {
 public:
  // Everything given outlives the workload.
  Workload(Checker& checker, SimTime& time, FaultSource& source) : checker_(checker), time_(time), source_(source) {}

  // The tasks of this world, made before anything goes wrong.
  asio::awaitable<void> make_tasks(application::Store& store);
  // One client: asks for something now and then, until `until` says so.
  asio::awaitable<void> be_a_client(application::ServiceFactory services, const bool& faulty);
  asio::awaitable<void> pause_all_tasks(application::Store& store);

 private:
  using Services = const application::ServiceFactory;
  asio::awaitable<void> trigger(Services& services);
  asio::awaitable<void> trigger_with_key(Services& services);
  asio::awaitable<void> cancel(Services& services);
  asio::awaitable<void> trigger_and_cancel(Services& services);
  asio::awaitable<void> pause_or_resume(Services& services);
  asio::awaitable<void> edit(Services& services);
  asio::awaitable<void> restart(Services& services);
  asio::awaitable<void> do_cancel(Services& services, RunId run);
  [[nodiscard]] TaskId any_task() const { return tasks_[source_.below(tasks_.size())]; }

  Checker& checker_;
  SimTime& time_;
  FaultSource& source_;
  std::vector<TaskId> tasks_;
  int keys_ = 0;
};

}  // namespace scheduler::simulation
