// simulation/world.hpp — real dispatchers and workers, many at once, on one thread, over the real SQL in memory, with a
// seeded fault injector between them. The checker reads the store directly, behind all faults.
#pragma once

#include "application/service_factory.hpp"
#include "dispatcher/dispatcher.hpp"
#include "infrastructure/embedded_message_queue.hpp"
#include "infrastructure/guarded_message_queue.hpp"
#include "infrastructure/sqlite/sqlite_store.hpp"
#include "simulation/faults.hpp"
#include "worker/worker.hpp"

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace scheduler::simulation {

struct WorldSettings {
  std::uint64_t seed = 1;
  int dispatchers = 2;
  int workers = 3;
  FaultRates rates;
  bool kill_and_pause = true;
  Micros faulty_time = std::chrono::seconds{60};
  Micros calm_time = std::chrono::seconds{400};  // then everything must have ended
};

class World {
 public:
  explicit World(WorldSettings settings);
  ~World();

  // Lives the whole history. Empty: every promise was kept; else one sentence for each that was not.
  std::vector<std::string> run();

  // What happened, for comparing two lives of one seed.
  [[nodiscard]] std::string history() const { return history_; }
  [[nodiscard]] const std::map<std::string, std::int64_t>& faults_met() const { return source_.met; }
  [[nodiscard]] std::map<std::string, std::int64_t> ends() const { return ends_; }

 private:
  class Executor;
  struct DispatcherProcess;
  struct WorkerProcess;
  struct Start {
    TaskId task;
    int attempt = 1;
    std::string worker;
    TimePoint at{};
  };

  std::pair<std::unique_ptr<application::MessageQueue>, application::MessageQueue*> guarded_queue(Faults faults);
  void start_dispatcher(int index);
  void start_worker(int index);
  asio::awaitable<void> make_trouble();
  asio::awaitable<void> be_a_client();
  asio::awaitable<void> make_tasks();
  asio::awaitable<void> watch();
  asio::awaitable<void> pause_all_tasks();
  asio::awaitable<void> check_end();
  asio::awaitable<void> check_slots(domain::Task task);
  asio::awaitable<std::vector<domain::TaskRun>> all_runs();
  void check_step(const std::vector<domain::TaskRun>& runs);
  void on_start(const application::TaskExecution& work, const std::string& worker);
  void broken(std::string sentence);
  void note(const std::string& line);
  void run_to_end(asio::awaitable<void> work);

  WorldSettings settings_;
  SimTime time_;
  FaultSource source_;
  std::unique_ptr<infrastructure::SqliteStore> store_;
  infrastructure::EmbeddedMessageQueue queue_;
  std::unique_ptr<application::Metrics> metrics_;
  std::unique_ptr<domain::TimeZones> zones_;
  std::unique_ptr<application::ParameterCheck> parameters_;
  std::unique_ptr<Random> random_;
  // Killed processes stay here: their coroutines hang, and refer to them, until the world ends.
  std::vector<std::shared_ptr<DispatcherProcess>> dispatchers_, dead_dispatchers_;
  std::vector<std::shared_ptr<WorkerProcess>> workers_, dead_workers_;
  std::unique_ptr<application::Store> client_store_;
  std::unique_ptr<application::MessageQueue> client_queue_;

  std::vector<TaskId> tasks_;
  std::map<TaskId, int> limits_;  // of those that have one
  std::set<RunId> acknowledged_;
  std::set<RunId> cancelled_;  // acknowledged cancels
  std::map<std::pair<RunId, Token>, std::vector<Start>> starts_;
  std::map<RunId, domain::TaskRun> seen_;
  std::vector<std::string> broken_;
  std::map<std::string, std::int64_t> ends_;
  std::string history_;
  bool faulty_ = true;
  bool all_ended_ = false;  // as watch() saw it last
};

}  // namespace scheduler::simulation
