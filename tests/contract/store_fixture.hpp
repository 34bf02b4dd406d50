// contract/store_fixture.hpp — what every contract of the store's ports begins with: an empty store, a clock that
// stands still, and short words for the steps in a run's life.
#pragma once

#include "application/ports/store.hpp"
#include "support/fake_clock.hpp"
#include "support/run_async.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <stdexcept>
#include <string>
#include <vector>

namespace scheduler {

// So that a failed comparison says "cancelled" and not "<04-00 00-00>".
template <class E>
  requires requires { enum_names(E{}); }
void PrintTo(const E& value, std::ostream* out) {
  *out << name_of(value);
}
template <class Tag>
void PrintTo(const Id<Tag>& id, std::ostream* out) {
  *out << "#" << id.value;
}

namespace domain {
using scheduler::PrintTo;
}

}  // namespace scheduler

namespace scheduler::contract {

using namespace std::chrono_literals;
using namespace application;
using domain::AttemptState;
using domain::OverlapPolicy;
using domain::Reason;
using domain::RunState;
using domain::SlotDecision;
using domain::SlotRecord;
using domain::Task;
using domain::TaskRun;
using domain::TaskSpec;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::UnorderedElementsAre;
using testing_support::FakeClock;
using testing_support::run_all;
using testing_support::run_async;

// A store and whatever has to live as long as it: a file, a schema of its own on a server.
class StoreUnderTest {
 public:
  virtual ~StoreUnderTest() = default;
  virtual Store& store() = 0;
};

// One adapter in one mode. `make` gives an empty store each time, or null where the server it needs is not up; `clock`
// decides all its instants.
struct StoreMaker {
  std::string name;
  std::function<std::unique_ptr<StoreUnderTest>(const Clock& clock)> make;
};
inline void PrintTo(const StoreMaker& maker, std::ostream* out) { *out << maker.name; }

template <class T>
T must(SchedulerResult<T> result) {
  if (!result) throw std::runtime_error(fmt::format("{}: {}", code_of(result.error().kind), result.error().message));
  if constexpr (!std::is_void_v<T>) return *std::move(result);
}

class StoreContract : public testing::TestWithParam<StoreMaker> {
 protected:
  void SetUp() override {
    under_test_ = GetParam().make(clock);
    if (!under_test_) GTEST_SKIP() << "its server is not up: run ./dev services up";
  }

  Store& store() { return under_test_->store(); }
  TaskRepository& tasks() { return store().tasks(); }
  SlotRepository& slots() { return store().slots(); }
  DispatchRepository& dispatch() { return store().dispatch(); }
  RunRepository& runs() { return store().runs(); }
  RunLogRepository& logs() { return store().logs(); }
  WorkerRepository& workers() { return store().workers(); }

  // The value, or the test fails here.
  template <class T>
  static T ok(Async<T> work) {
    return must(run_async(std::move(work)));
  }
  // The error, or the test fails here.
  template <class T>
  static SchedulerError error(Async<T> work) {
    auto result = run_async(std::move(work));
    if (result) throw std::runtime_error("expected an error and got a value");
    return result.error();
  }

  // ---- tasks ----
  static TaskSpec spec(const std::string& name) {
    TaskSpec it;
    it.name = name;
    it.task_type = "shell";
    return it;
  }
  Task create(const TaskSpec& it) { return ok(tasks().create({.spec = it})); }
  Task create(const std::string& name) { return create(spec(name)); }
  // Runs after others.
  Task create_after(const std::string& name, const std::vector<TaskId>& upstreams,
                    domain::TriggerRule rule = domain::TriggerRule::all_success) {
    auto it = spec(name);
    it.dependencies = upstreams;
    it.trigger_rule = rule;
    return create(it);
  }
  // Has a schedule, decided up to now; its next slot is a minute away.
  Task create_scheduled(const std::string& name, domain::OverlapPolicy policy, int shards = 1) {
    auto it = spec(name);
    it.schedule = "* * * * *";
    it.overlap_policy = policy;
    it.shard_count = shards;
    return ok(tasks().create({.spec = it, .watermark = clock.now(), .next_fire_at = clock.now() + 1min}));
  }

  // ---- fires ----
  static SlotDecision fired(TimePoint slot) { return {slot, slot, true, Reason::none}; }
  // Decides these slots of the task as it is stored now.
  FireReport commit(TaskId task, const std::vector<SlotDecision>& decisions) {
    const auto stored = ok(tasks().get(task));
    const auto last = decisions.empty() ? *stored.watermark : decisions.back().last;
    const domain::FirePlan plan{decisions, std::max(*stored.watermark, last), last + 1min};
    return ok(slots().commit({{stored, plan}}));
  }
  // One more slot, a minute after the last one.
  FireReport fire(TaskId task) {
    clock.advance(1min);
    return commit(task, {fired(clock.now())});
  }

  // ---- runs ----
  RunId trigger(TaskId task) { return ok(runs().insert({.task = task})).runs.at(0).id; }
  TaskRun run(RunId id) { return ok(runs().get(id)); }
  RunState state(RunId id) { return run(id).state; }
  std::vector<TaskRun> runs_of(TaskId task) { return ok(runs().list({.task = task}, {.limit = 100})).items; }
  // Oldest first.
  std::vector<RunState> states_of(TaskId task) {
    std::vector<RunState> states;
    for (const auto& it : runs_of(task)) states.insert(states.begin(), it.state);
    return states;
  }

  static constexpr IncarnationId kWorker{1001};
  // Pending -> dispatched; returns the new token.
  Token send(RunId id, IncarnationId to = kWorker, const std::string& worker = "w1") {
    const auto token = run(id).token;
    const auto won = ok(dispatch().mark_dispatched({{id, token, WorkerId{worker}, to}}));
    EXPECT_THAT(won, ElementsAre(true));
    return token + 1;
  }
  bool apply(const RunChange& change) { return ok(dispatch().apply({change})).at(0); }
  bool start(RunId id) { return apply(Started{id, run(id).token, clock.now()}); }

  // A report that ends the current attempt, and the run with it.
  Ended ended(RunId id, RunState to) {
    Ended it{.run = id, .token = run(id).token, .ended_at = clock.now(), .next = domain::End{to}};
    switch (to) {
      case RunState::succeeded:
        it.attempt_state = AttemptState::succeeded;
        break;
      case RunState::timed_out:
        it.attempt_state = AttemptState::timed_out;
        it.outcome.reason = Reason::timeout;
        break;
      case RunState::cancelled:
        it.attempt_state = AttemptState::cancelled;
        it.outcome.reason = Reason::cancelled_by_user;
        break;
      default:
        it.attempt_state = AttemptState::failed;
        it.outcome.reason = Reason::exit_code;
        it.outcome.message = "exited with code 3";
        it.outcome.exit_code = 3;
    }
    return it;
  }
  Ended retried(RunId id, TimePoint due) {
    auto it = ended(id, RunState::failed);
    it.next = domain::RetryAt{due};
    return it;
  }
  Ended lost(RunId id, const domain::AfterAttempt& next) {
    return {.run = id,
            .token = run(id).token,
            .attempt_state = AttemptState::lost,
            .outcome = {.state = AttemptState::lost, .reason = Reason::worker_lost, .message = "w1 fell silent"},
            .ended_at = clock.now(),
            .next = next,
            .revoke = true};
  }
  // From pending to its end.
  void finish(RunId id, RunState to = RunState::succeeded) {
    send(id);
    EXPECT_TRUE(apply(ended(id, to)));
  }
  RunId run_to(TaskId task, RunState to) {
    const auto id = trigger(task);
    finish(id, to);
    return id;
  }

  // ---- workers ----
  static WorkerHeartbeat beat(const std::string& id, IncarnationId incarnation) {
    WorkerHeartbeat it;
    it.worker.id = WorkerId{id};
    it.worker.incarnation = incarnation;
    it.worker.host = "host-1";
    it.worker.task_types = {"http", "shell"};
    it.worker.slots = 4;
    it.worker.capacity = 6;
    return it;
  }
  HeartbeatReply hear(const WorkerHeartbeat& it, Seconds timeout = 30s) { return ok(workers().heartbeat(it, timeout)); }

  FakeClock clock;

 private:
  std::unique_ptr<StoreUnderTest> under_test_;
};

}  // namespace scheduler::contract
