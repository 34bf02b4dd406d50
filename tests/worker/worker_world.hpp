// tests/worker/worker_world.hpp — one worker, and everything around it, on one thread and a clock that stands still.
#pragma once

#include "infrastructure/embedded_message_queue.hpp"
#include "infrastructure/guarded_message_queue.hpp"
#include "support/fake_executor.hpp"
#include "support/fake_timer.hpp"
#include "support/faulty_message_queue.hpp"
#include "support/fixed_random.hpp"
#include "support/run_on.hpp"
#include "worker/worker.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <variant>

namespace scheduler::worker {

using namespace application;
using namespace testing_support;
using namespace std::chrono_literals;

class WorkerWorld : public ::testing::Test {
 protected:
  WorkerWorld() {
    settings.id = {"w1"};
    settings.host = "here";
    settings.pid = 42;
    settings.version = "1.2.3";
    settings.labels = {{"gpu", "yes"}};
    settings.slots = 2;
  }
  ~WorkerWorld() override { timer.abandon(); }

  void make() {
    worker = std::make_unique<Worker>(io,
                                      Ports{.queue = queue,
                                            .executors = executors,
                                            .clock = clock,
                                            .timer = timer,
                                            .random = random,
                                            .host_load = [] { return HostLoad{1.5, 4096}; },
                                            .begin_life = std::bind_front(&WorkerWorld::begin_life, this)},
                                      settings);
  }
  void start() {
    make();
    spawn(io, "worker", live());
    timer.settle();
  }
  asio::awaitable<void> begin_life(IncarnationId id) {
    lives.push_back(id);
    if (begin_takes > 0us) co_await timer.sleep(begin_takes);
  }
  asio::awaitable<void> live() { ended = co_await worker->run(); }

  static TaskExecution work(std::int64_t run, Token token = 1) {
    return {.run = RunId{run},
            .task = TaskId{1},
            .task_name = "t",
            .task_type = "noop",
            .parameters = "{}",
            .attempt = 1,
            .token = token};
  }
  void send(std::vector<TaskExecution> items) { send(Message{std::move(items)}); }
  void send(TaskControl control) { send(Message{std::vector{control}}); }
  void send(Message message) {
    const auto sent = run_on(io, embedded.publish_message(worker_queue(incarnation()), std::move(message)));
    ASSERT_TRUE(sent);
    timer.settle();
  }

  // Everything that was reported up to now, oldest first.
  const std::vector<StatusUpdate>& reports() {
    for (const auto& it : drain_queue(*status))
      for (const auto& update : std::get<std::vector<StatusUpdate>>(it.payload)) reports_.push_back(update);
    return reports_;
  }
  const std::vector<WorkerHeartbeat>& beats() {
    for (const auto& it : drain_queue(*heartbeats)) beats_.push_back(std::get<WorkerHeartbeat>(it.payload));
    return beats_;
  }
  std::string output() {
    std::string text;
    for (const auto& it : drain_queue(*logs))
      for (const auto& chunk : std::get<std::vector<LogChunk>>(it.payload)) text += chunk.text + "|";
    return text;
  }
  // "1 began, 1 succeeded, 2 handed back": what the dispatchers heard.
  std::string news() {
    std::string text;
    for (const auto& it : reports()) {
      text += (text.empty() ? "" : ", ") + std::to_string(it.run.value) + " ";
      text += it.unstarted ? "handed back" : it.outcome ? std::string(name_of(it.outcome->state)) : "began";
    }
    return text;
  }
  IncarnationId incarnation() { return beats().empty() ? IncarnationId{} : beats().back().worker.incarnation; }
  // The inventory of a heartbeat: "1/1 2/5".
  static std::string held(const WorkerHeartbeat& beat) {
    std::string text;
    for (const auto& it : beat.held)
      text += (text.empty() ? "" : " ") + std::to_string(it.run.value) + "/" + std::to_string(it.token);
    return text;
  }
  std::size_t depth(QueueName of) { return run_on(io, embedded.depth(std::move(of))).value_or(999); }

  asio::io_context io{1};
  FakeClock clock;
  FakeTimer timer{io, clock};
  infrastructure::EmbeddedMessageQueue embedded{timer};
  FaultInjector faults;
  // Behind a circuit breaker, as over a broker: whatever is promised of failed calls holds of refused ones.
  infrastructure::GuardedMessageQueue queue{std::make_unique<FaultyMessageQueue>(embedded, faults),
                                            Circuit::make({io, clock, timer}, "message queue")};
  FakeExecutor executor{clock, timer};
  FakeExecutors executors{executor, {"noop", "shell"}};
  FixedRandom random;
  Settings settings;
  std::unique_ptr<QueueConsumer> status = embedded.consume(kStatusQueue, 100'000);
  std::unique_ptr<QueueConsumer> heartbeats = embedded.consume(kHeartbeatQueue, 100'000);
  std::unique_ptr<QueueConsumer> logs = embedded.consume(kLogQueue, 100'000);
  std::vector<IncarnationId> lives;
  Micros begin_takes{0};
  std::optional<Worker::End> ended;
  std::unique_ptr<Worker> worker;

 private:
  std::vector<Message> drain_queue(QueueConsumer& from) {
    const auto got = run_on(io, from.receive(100'000, 0us));
    std::vector<Message> messages;
    std::vector<DeliveryTag> tags;
    for (const auto& it : got.value()) {
      messages.push_back(*it.message);
      tags.push_back(it.tag);
    }
    (void)run_on(io, from.acknowledge(std::move(tags)));
    return messages;
  }

  std::vector<StatusUpdate> reports_;
  std::vector<WorkerHeartbeat> beats_;
};

}  // namespace scheduler::worker
