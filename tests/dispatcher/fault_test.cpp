// Every call of a port fails once, before or after it did its work; the rows must make sense at once, and everything
// must come to its end when the faults are over.
#include "dispatcher/dispatcher_world.hpp"

#include <algorithm>
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace scheduler::dispatcher {
namespace {

using ::testing::IsEmpty;

// A worker as far as the dispatchers can see it: registers, heartbeats, does everything at once.
class Puppet {
 public:
  Puppet(World& world, std::string name, std::int64_t incarnation)
      : world_(world), name_(std::move(name)), id_(incarnation) {}

  void step() {
    const auto inbox = world_.embedded.consume(worker_queue({id_}), 1000);
    for (const auto& message : world_.take(*inbox)) {
      if (const auto* work = std::get_if<std::vector<TaskExecution>>(&message.payload))
        for (const auto& it : *work)
          if (std::exchange(seen_[it.run], std::max(seen_[it.run], it.token)) < it.token)
            world_.report({World::ended(it.run, it.token)});
      if (const auto* controls = std::get_if<std::vector<TaskControl>>(&message.payload))
        for (const auto& it : *controls)
          if (it.kind == TaskControl::Kind::retire) id_ += 1000;
    }
    if (steps_++ % 5 == 0) world_.beat(name_, id_);
  }

 private:
  World& world_;
  std::string name_;
  std::int64_t id_;
  std::map<RunId, Token> seen_;
  int steps_ = 0;
};

void settle_everything(World& world) {
  Puppet one(world, "w1", 1), two(world, "w2", 2);
  for (int second = 0; second < 200; ++second) {
    one.step();
    two.step();
    world.tick_all();
    world.timer.advance(1s);
    ASSERT_THAT(world.store.faults_of_rows(), IsEmpty());
  }
}

// Runs `loop` once after `setup` for each call that it makes, failing that one.
void each_call_fails_once(std::string_view loop, const std::function<void(World&)>& setup) {
  for (const auto when : {FaultInjector::When::before, FaultInjector::When::after}) {
    int calls = 0;
    for (bool more = true; more;) {
      World world;
      setup(world);
      world.faults.fail_call(++calls, when);
      (void)world.tick(loop);
      more = !world.faults.hit().empty();
      const auto label = std::string(loop) + ", call " + std::to_string(calls) + ": " + world.faults.hit() +
                         (when == FaultInjector::When::before ? " (not done)" : " (done)");
      EXPECT_THAT(world.store.faults_of_rows(), IsEmpty()) << label;
      world.faults.heal();
      settle_everything(world);
      for (const auto& [id, run] : world.store.run_rows)
        EXPECT_TRUE(domain::is_terminal(run.state)) << label << ": run " << id.value << " is " << name_of(run.state);
      EXPECT_EQ(world.depth(kStatusQueue), 0u) << label;
      EXPECT_EQ(world.depth(kHeartbeatQueue), 0u) << label;
      if (::testing::Test::HasFailure()) return;
    }
    EXPECT_GT(calls, 2) << loop << ": nothing was made to fail";
  }
}

TEST(EachCallFails, Dispatch_NoRunIsLost) {
  each_call_fails_once("dispatch", [](World& world) {
    world.worker("w1", 1);
    world.worker("w2", 2);
    const auto task = world.task({.max_retries = 1});
    for (int i = 0; i < 6; ++i) world.store.add_run(task);
  });
}

TEST(EachCallFails, Status_NoReportIsLost) {
  each_call_fails_once("status", [](World& world) {
    world.worker("w1", 1);
    world.worker("w2", 2);
    std::vector<RunId> runs;
    for (int i = 0; i < 5; ++i) runs.push_back(world.store.add_held_run(world.task({.max_retries = 2}), {"w1"}, {1}));
    world.report({World::began(runs[0], 1), World::ended(runs[1], 1)});
    world.report({World::ended(runs[2], 1, AttemptState::failed), World::handed_back(runs[3], 1),
                  World::ended(runs[4], 1, AttemptState::lost)});
    world.report({World::ended(runs[0], 1)});
  });
}

TEST(EachCallFails, Heartbeat_EveryWorkerIsHeard) {
  each_call_fails_once("heartbeat", [](World& world) {
    world.worker("w1", 1);
    const auto lost = world.store.add_held_run(world.task(), {"w1"}, {1});
    const auto marked = world.store.add_held_run(world.task(), {"w1"}, {1}, RunState::running);
    world.run(marked).cancel_reason = domain::Reason::cancelled_by_user;
    world.store.missing_since[lost].reset();
    world.worker("w2", 9);
    world.clock.advance(11s);
    world.beat("w1", 1, {{marked, 1}});
    world.beat("w2", 2);
  });
}

TEST(EachCallFails, Rescue_EveryRunIsTakenBack) {
  each_call_fails_once("rescue", [](World& world) {
    world.worker("w1", 1);
    world.worker("w2", 2);
    world.worker("gone", 3);
    for (int i = 0; i < 3; ++i) world.store.add_held_run(world.task(), {"gone"}, {3});
    world.store.worker_rows.at({3}).info.state = domain::WorkerState::dead;
    const auto overdue =
        world.store.add_held_run(world.task({.timeout = 1s, .max_retries = 1}), {"w1"}, {1}, RunState::running);
    world.run(overdue).started_at = world.clock.now() - 1h;
  });
}

TEST(EachCallFails, Fire_EverySlotIsDisposedOnce) {
  each_call_fails_once("fire", [](World& world) {
    world.worker("w1", 1);
    world.worker("w2", 2);
    const auto now = world.clock.now();
    world.store.add_task({.schedule = "*/5 * * * *"}, now - 1h, now - 55min);
    world.store.add_task({.schedule = "0 0 * * *", .timezone = "Atlantis/Capital"}, now - 1h, now - 1min);
    const auto replaced = world.store.add_task(
        {.schedule = "0 * * * *", .overlap_policy = domain::OverlapPolicy::replace}, now - 1h, now);
    world.store.add_held_run(replaced, {"w1"}, {1}, RunState::running);
  });
}

TEST(EachCallFails, Logs_NoChunkIsLost) {
  each_call_fails_once(
      "logs", [](World& world) { world.publish(kLogQueue, Message{std::vector{LogChunk{.run = {1}, .text = "a"}}}); });
}

}  // namespace
}  // namespace scheduler::dispatcher
