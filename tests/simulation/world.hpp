// simulation/world.hpp — real dispatchers, workers and use cases, many at once, on one thread, over the real SQL in
// memory, with a seeded fault injector between them and a checker behind all faults.
#pragma once

#include "dispatcher/dispatcher.hpp"
#include "infrastructure/embedded_message_queue.hpp"
#include "infrastructure/sqlite/sqlite_store.hpp"
#include "simulation/checker.hpp"
#include "simulation/faults.hpp"
#include "simulation/mutants.hpp"
#include "simulation/trace.hpp"
#include "simulation/workload.hpp"
#include "worker/worker.hpp"

#include <map>
#include <memory>
#include <string>
#include <vector>

namespace scheduler::simulation {

enum class Mode {
  safety,    // faults throughout: nothing wrong ever happens
  liveness,  // faults stop: everything ends
};
constexpr auto enum_names(Mode) { return std::to_array<std::string_view>({"safety", "liveness"}); }

inline constexpr FaultRates kRough{.store_refused = 2,
                                   .store_answer_lost = 2,
                                   .message_lost = 3,
                                   .message_doubled = 5,
                                   .message_late = 4,
                                   .message_overtaken = 5,
                                   .publish_refused = 3,
                                   .ack_lost = 4};

struct WorldSettings {
  std::uint64_t seed = 1;
  Mode mode = Mode::liveness;
  std::size_t dispatchers = 2, workers = 3, clients = 2;
  FaultRates rates = kRough;
  bool trouble = true;  // kills, pauses, partitions, outages, clocks that are set
  const Mutant* mutant = nullptr;
  Micros faulty_time = std::chrono::seconds{40};
  Micros calm_time = std::chrono::seconds{400};  // then everything must have ended
  std::size_t trace_lines = 0;                   // how many of the last ones to keep
};

class World {
 public:
  explicit World(WorldSettings settings);
  ~World();

  // Lives the whole history. Empty: every promise was kept; else one sentence for each that was not.
  std::vector<std::string> run();

  [[nodiscard]] const Trace& trace() const { return trace_; }
  [[nodiscard]] const Coverage& coverage() const { return coverage_; }
  [[nodiscard]] const std::map<std::string, std::int64_t>& ends() const { return checker_.ends(); }

 private:
  class Executor;
  struct Node;
  enum class Kind { dispatcher, worker, client };

  std::unique_ptr<Node> make_node(Kind kind, std::size_t place, std::string name);
  void start(Kind kind, std::size_t place, std::string name);
  asio::awaitable<void> live_as_worker(Node& node);
  asio::awaitable<void> restart_later(Node& node);
  asio::awaitable<void> make_trouble();
  void strike(Node& node);
  void kill(Node& node);
  void set_clock(Micros by);
  void calm_down();
  void run_to_end(asio::awaitable<void> work);

  const WorldSettings settings_;
  SimTime time_;
  FaultSource source_;
  Trace trace_;
  Coverage coverage_;
  Checker checker_;
  Doorbells doorbells_;
  Surroundings around_;
  Workload workload_;
  std::unique_ptr<infrastructure::SqliteStore> store_;
  infrastructure::EmbeddedMessageQueue queue_;
  std::unique_ptr<application::Metrics> metrics_;
  std::unique_ptr<domain::TimeZones> zones_;
  std::unique_ptr<application::ParameterCheck> parameters_;
  std::unique_ptr<Random> random_;
  // Whoever was killed stays: its coroutines hang, and refer to it, until the world ends.
  std::vector<std::unique_ptr<Node>> all_nodes_;
  std::vector<Node*> nodes_;  // who lives now, each at its place
  bool faulty_ = true;
};

}  // namespace scheduler::simulation
