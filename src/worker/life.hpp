// worker/life.hpp — one incarnation: takes work and control, executes, reports, heartbeats, until it is over.
//
// Always true: an attempt that began is reported until the queue has taken its report, or the worker was told to hurry
// and the queue is away; a run stays in the inventory until then.
#pragma once

#include "application/ports/message_queue.hpp"
#include "application/ports/task_executor.hpp"
#include "core/clock.hpp"
#include "core/random.hpp"
#include "core/task_group.hpp"
#include "worker/held_runs.hpp"

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

namespace scheduler::worker {

struct HostLoad {
  double load = 0;  // one-minute load average
  std::int64_t memory_bytes = 0;
};

struct Ports {
  application::MessageQueue& queue;
  application::ExecutorRegistry& executors;
  const Clock& clock;
  Timer& timer;
  Random& random;
  std::function<HostLoad()> host_load;
  // Called before an incarnation takes its first work: what an earlier one left running on this host is ended here.
  std::function<asio::awaitable<void>(IncarnationId)> begin_life;
};

struct Settings {
  WorkerId id;
  std::string host;
  std::int64_t pid = 0;
  std::string version;
  domain::Labels labels;
  int slots = 1;
  Micros heartbeat_interval = std::chrono::seconds{5};
  Micros drain_timeout = std::chrono::seconds{30};
  // Dispatchers hear of a drain a moment later: a worker that leaves hands back what they send until nothing has come
  // for so long. Zero where they are told at once.
  Micros last_work_wait{0};
};

class Life {
 public:
  enum class End { left, retired, replaced };

  Life(asio::io_context& io, Ports& ports, const Settings& settings, IncarnationId id);
  ~Life();

  // Until drain() has been carried out, or the dispatchers declared this incarnation dead.
  asio::awaitable<End> run();
  // Hands back what has not begun, lets attempts end within drain_timeout, then stops them.
  void drain();
  // While draining: attempts have no more time, and neither has a queue that takes no reports.
  void hurry();
  [[nodiscard]] IncarnationId id() const { return id_; }

 private:
  struct Output;

  asio::awaitable<void> receive();
  asio::awaitable<void> start_attempts();
  asio::awaitable<void> attempt(std::shared_ptr<HeldRun> run);
  asio::awaitable<void> watch_deadlines();
  asio::awaitable<void> send_reports();
  asio::awaitable<void> send_logs();
  asio::awaitable<void> heartbeats();
  asio::awaitable<void> finish_attempts();
  asio::awaitable<void> hand_back_last_work();

  void take(const std::vector<application::TaskExecution>& work);
  void obey(const application::TaskControl& control);
  void end_of_life(End how);
  void hand_back(const application::TaskExecution& work);
  void report(application::StatusUpdate update, std::optional<Micros> began);
  void report_end(const HeldRun& run, domain::Outcome outcome, std::int64_t log_lines);
  void note_silence(Micros now);
  void go_on();
  void go_idle();
  void limit_last_words();
  asio::awaitable<void> publish_until_taken(application::QueueName to, application::Message message);
  asio::awaitable<void> publish_until_taken(application::QueueName to, std::function<application::Message()> make);
  void measure_rate();
  [[nodiscard]] application::WorkerHeartbeat beat(bool leaving) const;
  void say_whether_heard(const SchedulerResult<void>& sent, Micros now);
  struct Pending {
    application::StatusUpdate update;
    std::optional<Micros> began;
  };
  [[nodiscard]] std::vector<Pending> take_reports();
  [[nodiscard]] std::vector<application::LogChunk> take_chunks();

  Ports& ports_;
  const Settings& settings_;
  IncarnationId id_;
  TaskGroup loops_, attempts_;
  HeldRuns held_;
  std::unique_ptr<application::QueueConsumer> work_;
  std::unique_ptr<WakeSignal> start_, report_, log_, beat_, deadline_, over_;
  std::vector<Pending> reports_;
  std::map<std::pair<RunId, Token>, std::shared_ptr<Output>> outputs_;
  std::vector<application::LogChunk> late_chunks_;  // of attempts that have ended
  bool partial_lines_ = false;                      // somebody's line has begun and not ended
  std::map<std::pair<Micros, std::uint64_t>, std::weak_ptr<HeldRun>> deadlines_;  // the number makes keys unique
  std::uint64_t next_deadline_ = 0;
  std::optional<End> end_;
  std::optional<Micros> give_up_at_;    // Clock::elapsed() after which nothing is published again that was refused
  Micros last_beat_{0};                 // the last one that the queue took left then
  Micros begin_from_{0};                // nothing begins before; max(): until a heartbeat is taken
  Micros last_work_{0};                 // when work came, or the drain began
  std::optional<Micros> said_unheard_;  // when the log was told last that heartbeats do not go out
  bool draining_ = false;
  bool closing_ = false;  // loops end
  // Ended attempts since `window_began_`, for the prefetch. Time without work does not count: bursts that come again
  // are met with the prefetch of the last one.
  std::int64_t window_ended_ = 0;
  Micros window_began_{0};
  std::optional<Micros> idle_since_;
  bool ran_dry_ = false;
  int prefetch_ = 0, announced_prefetch_ = 0;
};

}  // namespace scheduler::worker
