// tests/dispatcher/dispatcher_world.hpp — one dispatcher over a store and a queue in memory, driven by hand.
#pragma once

#include "dispatcher/dispatcher.hpp"
#include "infrastructure/embedded_message_queue.hpp"
#include "infrastructure/guarded_message_queue.hpp"
#include "support/fake_store.hpp"
#include "support/fake_timer.hpp"
#include "support/fake_zones.hpp"
#include "support/faulty_message_queue.hpp"
#include "support/fixed_random.hpp"
#include "support/recording_metrics.hpp"
#include "support/run_on.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string_view>
#include <variant>

namespace scheduler::dispatcher {

using namespace application;
using namespace testing_support;
using namespace std::chrono_literals;
using domain::AttemptState;
using domain::Reason;
using domain::RunState;

class World {
 public:
  explicit World(Micros receive_wait = 0us) : settings{.receive_wait = receive_wait} { begin_dispatcher(); }
  ~World() { timer.abandon(); }

  void begin_dispatcher() {
    dispatcher = std::make_unique<Dispatcher>(Ports{store, queue, zones, metrics, clock, timer, random}, settings);
  }

  SchedulerResult<Tick> tick(std::string_view loop) {
    for (const auto& it : dispatcher->loops())
      if (it->name() == loop) return run_on(io, it->tick());
    return fail(ErrorKind::Internal, "there is no such loop");
  }
  // A tick that must go well; returns what it did.
  std::size_t done(std::string_view loop) {
    const auto result = tick(loop);
    EXPECT_TRUE(result) << loop << ": " << (result ? "" : result.error().message);
    return result ? result->done : 0;
  }
  void tick_all() {
    for (const auto& it : dispatcher->loops()) (void)run_on(io, it->tick());
  }

  TaskId task(domain::TaskSpec spec = {}) { return store.add_task(std::move(spec)); }
  domain::TaskRun& run(RunId id) { return store.run_rows.at(id); }
  // A worker that has registered and may be silent for half a minute.
  void worker(std::string name, std::int64_t incarnation, int slots = 4) {
    domain::WorkerInfo info;
    info.id = {std::move(name)};
    info.incarnation = {incarnation};
    info.task_types = {"noop"};
    info.slots = info.capacity = slots;
    info.registered_at = info.heartbeat_at = clock.now();
    info.heartbeat_due = clock.now() + settings.worker_timeout;
    store.add_worker(std::move(info));
  }

  void publish(QueueName to, Message message) {
    ASSERT_TRUE(run_on(io, embedded.publish_message(std::move(to), std::move(message))));
  }
  void report(std::vector<StatusUpdate> updates) { publish(kStatusQueue, Message{std::move(updates)}); }
  static StatusUpdate ended(RunId run, Token token, AttemptState state = AttemptState::succeeded) {
    const bool good = state == AttemptState::succeeded;
    return {
        .run = run,
        .token = token,
        .age = 3s,
        .duration = 2s,
        .outcome = domain::Outcome{
            .state = state, .reason = good ? Reason::none : Reason::exit_code, .message = good ? "" : "exit code 1"}};
  }
  static StatusUpdate began(RunId run, Token token) { return {.run = run, .token = token, .age = 1s}; }
  static StatusUpdate handed_back(RunId run, Token token) {
    return {.run = run,
            .token = token,
            .outcome = domain::Outcome{.state = AttemptState::lost, .reason = Reason::shutdown},
            .unstarted = true};
  }
  void beat(std::string name, std::int64_t incarnation, std::vector<domain::Held> held = {}, bool leaving = false) {
    domain::WorkerInfo info;
    info.id = {std::move(name)};
    info.incarnation = {incarnation};
    info.task_types = {"noop"};
    info.slots = info.capacity = 4;
    publish(kHeartbeatQueue,
            Message{WorkerHeartbeat{.worker = std::move(info), .held = std::move(held), .leaving = leaving}});
  }

  // What an incarnation was sent since the last look: "run 1/1, cancel 2/3, retire".
  std::string mail(std::int64_t incarnation) {
    const auto consumer = embedded.consume(worker_queue({incarnation}), 1000);
    std::string text;
    const auto add = [&](std::string one) { text += (text.empty() ? "" : ", ") + std::move(one); };
    for (const auto& it : take(*consumer)) {
      const auto number = [](RunId run, Token token) {
        return std::to_string(run.value) + "/" + std::to_string(token);
      };
      if (const auto* work = std::get_if<std::vector<TaskExecution>>(&it.payload))
        for (const auto& w : *work) add("run " + number(w.run, w.token));
      if (const auto* controls = std::get_if<std::vector<TaskControl>>(&it.payload))
        for (const auto& c : *controls)
          add(c.kind == TaskControl::Kind::retire ? "retire"
              : c.kind == TaskControl::Kind::replaced
                  ? "replaced"
                  : "cancel " + number(c.run, c.token) + " " + std::string(name_of(c.reason)));
    }
    return text;
  }
  std::vector<Message> take(QueueConsumer& from) {
    const auto got = run_on(io, from.receive(1000, 0us));
    std::vector<Message> messages;
    std::vector<DeliveryTag> tags;
    for (const auto& it : got.value()) {
      messages.push_back(*it.message);
      tags.push_back(it.tag);
    }
    (void)run_on(io, from.acknowledge(std::move(tags)));
    return messages;
  }
  std::size_t depth(QueueName of) { return run_on(io, embedded.depth(std::move(of))).value_or(999); }

  asio::io_context io{1};
  FakeClock clock;
  FakeTimer timer{io, clock};
  FaultInjector faults;
  FakeStore store{clock, faults};
  infrastructure::EmbeddedMessageQueue embedded{timer};
  // Behind a circuit breaker, as over a broker: whatever is promised of failed calls holds of refused ones.
  infrastructure::GuardedMessageQueue queue{std::make_unique<FaultyMessageQueue>(embedded, faults),
                                            Circuit::make({io, clock, timer}, "message queue")};
  FakeZones zones;
  RecordingMetrics metrics;
  FixedRandom random;
  Settings settings;
  std::unique_ptr<Dispatcher> dispatcher;
};

}  // namespace scheduler::dispatcher
