// What happens at the same time, in every order in which the store can see it: the real loops and use cases act as
// actors, each stops before every call of the store, and all ways of letting them go on are tried. The store is the
// real SQL; that PostgreSQL answers each call in the same way is what tests/contract proves.
#include "application/service_factory.hpp"
#include "dispatcher/dispatcher.hpp"
#include "infrastructure/embedded_message_queue.hpp"
#include "infrastructure/sqlite/sqlite_store.hpp"
#include "support/fake_timer.hpp"
#include "support/fake_zones.hpp"
#include "support/fixed_random.hpp"
#include "support/intercepted_store.hpp"
#include "support/recording_metrics.hpp"
#include "support/run_on.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <functional>

namespace scheduler::dispatcher {
namespace {

using namespace application;
using namespace testing_support;
using namespace std::chrono_literals;
using domain::AttemptState;
using domain::Reason;
using domain::RunState;

constexpr Seconds kTimeout{30};

// Depth first through all sequences of choices; the next execution repeats the last one up to its last open choice.
class Orders {
 public:
  bool next() {
    depth_ = 0;
    if (std::exchange(first_, false)) return true;
    while (!path_.empty() && path_.back().taken + 1 == path_.back().of) path_.pop_back();
    if (path_.empty()) return false;
    ++path_.back().taken;
    return true;
  }
  std::size_t choose(std::size_t of) {
    if (depth_ == path_.size()) path_.push_back({0, of});
    return path_[depth_++].taken;
  }

 private:
  struct Choice {
    std::size_t taken, of;
  };
  std::vector<Choice> path_;
  std::size_t depth_ = 0;
  bool first_ = true;
};

class AnyParameters final : public ParameterCheck {
 public:
  [[nodiscard]] std::vector<FieldError> check(std::string_view, std::string_view,
                                              std::span<const std::string>) const override {
    return {};
  }
};

// One of those who act at the same time: a process of its own, with its own way to the store.
class Actor final : public StoreInterceptor {
 public:
  Actor(std::string name, Store& real, MessageQueue& queue, FakeClock& clock, FakeTimer& timer)
      : name(std::move(name)),
        store(intercepted_store(real, *this)),
        dispatcher(Ports{*store, queue, zones_, metrics_, clock, timer, random_},
                   {.worker_timeout = kTimeout, .receive_wait = 0us}),
        services({*store, queue, zones_, parameters_, clock, timer}),
        turn_(timer.wake_signal()) {}

  Async<void> before(std::string_view call) override {
    if (is_free) co_return SchedulerResult<void>{};
    waits_for = call;
    co_await turn_->wait(24h);  // of a clock that stands still
    co_return SchedulerResult<void>{};
  }
  Async<void> after(std::string_view) override { co_return SchedulerResult<void>{}; }
  void go_on() {
    waits_for.clear();
    turn_->notify();
  }

  Loop& loop(std::string_view called) {
    for (const auto& it : dispatcher.loops())
      if (it->name() == called) return *it;
    throw std::logic_error("there is no such loop");
  }

  const std::string name;
  bool is_free = false;   // calls the store as it likes
  std::string waits_for;  // the call that it is about to make
  bool done = false;

 private:
  FakeZones zones_;
  RecordingMetrics metrics_;
  FixedRandom random_;
  AnyParameters parameters_;

 public:
  std::unique_ptr<Store> store;
  Dispatcher dispatcher;
  ServiceFactory services;

 private:
  std::unique_ptr<WakeSignal> turn_;
};

// One task with one run; who acts on it at the same time; and what must be true whatever the order.
class Race : public testing::Test {
 protected:
  ~Race() override { timer.abandon(); }

  // Tries `stage`, which sets the scene and adds actors, in every order. Returns how many there were.
  int in_every_order(const std::function<void()>& stage) {
    int tried = 0;
    for (Orders orders; orders.next() && !HasFailure(); ++tried) {
      begin();
      stage();
      play(orders);
      calm_down();
      check();
      end();
    }
    RecordProperty("orders", tried);
    return tried;
  }

  // ---- the scene ----
  void make_run(domain::TaskSpec spec) {
    spec.name = fmt::format("task {}", ++serial);
    spec.task_type = "noop";
    spec.retry_backoff = {.base_seconds = 1, .factor = 1, .cap_seconds = 1};
    const bool scheduled = spec.schedule.has_value();
    policy = spec;
    task = must(store->tasks().create({.spec = spec,
                                       .watermark = scheduled ? std::optional(clock.now()) : std::nullopt,
                                       .next_fire_at = scheduled ? std::optional(clock.now() + 1min) : std::nullopt}))
               .id;
    run = must(store->runs().insert({.task = task})).runs.at(0).id;
  }
  void hear(const std::string& worker, IncarnationId incarnation, bool leaving = false) {
    WorkerHeartbeat beat{.leaving = leaving};
    beat.worker.id = {fmt::format("{} of {}", worker, serial)};
    beat.worker.incarnation = incarnation;
    beat.worker.task_types = {"noop"};
    beat.worker.slots = beat.worker.capacity = 4;
    must(store->workers().heartbeat(beat, kTimeout));
  }
  void give_to(IncarnationId incarnation) {
    const auto token = now_of(run).token;
    const auto won = must(store->dispatch().mark_dispatched({{run, token, {"w"}, incarnation}}));
    ASSERT_TRUE(won.at(0));
  }
  // The first worker has it, and falls silent; `rescuer` has listened all the time and is about to notice.
  void dispatched_to_a_worker_that_falls_silent(Actor& rescuer) {
    hear("first", first());
    give_to(first());
    rescuer.is_free = true;
    for (int i = 0; i < 3; ++i) {
      ASSERT_TRUE(run_on(io, rescuer.loop("rescue").tick()));
      clock.advance(i == 2 ? 3s : 14s);
    }
    rescuer.is_free = false;
    hear("second", second());
  }
  [[nodiscard]] IncarnationId first() const { return {10 * serial + 1}; }
  [[nodiscard]] IncarnationId second() const { return {10 * serial + 2}; }

  // ---- who acts ----
  Actor& actor(const std::string& name) {
    return *actors.emplace_back(std::make_unique<Actor>(name, *store, queue, clock, timer));
  }
  void ticks(Actor& it, std::string_view loop) {
    act(it, [](Actor& who, std::string loop) -> asio::awaitable<void> {
      const auto ticked = co_await who.loop(loop).tick();
      EXPECT_TRUE(ticked) << who.name << ": " << ticked.error().message;
    }(it, std::string(loop)));
  }
  // A dispatcher reads this report, alone.
  void reads(Actor& it, const StatusUpdate& report) {
    must(queue.publish_message(kStatusQueue, Message{std::vector{report}}));
    ticks(it, "status");
    timer.settle();  // it has the message before there is another
  }
  void cancels(Actor& it) {
    act(it, [](Race& race, Actor& who) -> asio::awaitable<void> {
      const auto answer = co_await who.services.create_task_control_service()->cancel_run(race.run);
      const auto now = race.now_of(race.run);
      if (answer)
        race.cancelled_after = now.attempt;
      else
        EXPECT_TRUE(answer.error().kind == ErrorKind::Conflict && domain::is_terminal(now.state))
            << answer.error().message;
    }(*this, it));
  }
  void pauses(Actor& it) {
    act(it, [](Race& race, Actor& who) -> asio::awaitable<void> {
      const auto answer = co_await who.services.create_task_control_service()->pause_task(race.task);
      // A fire may have changed the task meanwhile: people are told, and ask again.
      if (!answer) EXPECT_EQ(answer.error().kind, ErrorKind::Conflict) << answer.error().message;
      race.paused = answer.has_value();
    }(*this, it));
  }

  StatusUpdate report(Token token, AttemptState state) {
    const bool good = state == AttemptState::succeeded;
    return {.run = run,
            .token = token,
            .age = 2s,
            .duration = 1s,
            .outcome = domain::Outcome{.state = state,
                                       .reason = good ? Reason::none : Reason::exit_code,
                                       .message = good ? "" : "exited with code 1"}};
  }
  StatusUpdate handed_back(Token token) {
    return {.run = run,
            .token = token,
            .outcome = domain::Outcome{.state = AttemptState::lost, .reason = Reason::shutdown},
            .unstarted = true};
  }

  domain::TaskRun now_of(RunId id) { return must(store->runs().get(id)); }
  template <class T>
  T must(Async<T> work) {
    auto result = run_inline(std::move(work));
    if (!result) throw std::runtime_error(result.error().message);
    if constexpr (!std::is_void_v<T>) return *std::move(result);
  }

  FakeClock clock;
  asio::io_context io{1};
  FakeTimer timer{io, clock};
  infrastructure::EmbeddedMessageQueue queue{timer};
  std::unique_ptr<infrastructure::SqliteStore> store =
      *infrastructure::SqliteStore::open(clock, {.path = ":memory:", .mode = database::sqlite::Mode::inline_});
  domain::TaskSpec policy;
  TaskId task;
  RunId run;
  std::int64_t serial = 0;
  std::optional<int> cancelled_after;  // acknowledged, when the run was in this attempt
  bool paused = false;

 private:
  // The store in memory answers at once, so this needs no loop; the actors' loop may be running.
  template <class T>
  static SchedulerResult<T> run_inline(Async<T> work) {
    asio::io_context own{1};
    return run_on(own, std::move(work));
  }

  void act(Actor& who, asio::awaitable<void> work) {
    asio::co_spawn(io, std::move(work), [&who](std::exception_ptr thrown) {
      who.done = true;
      if (thrown) std::rethrow_exception(thrown);
    });
  }

  void begin() {
    cancelled_after.reset();
    paused = false;
    seen.clear();
    order.clear();
  }

  void play(Orders& orders) {
    for (;;) {
      timer.settle();
      std::vector<Actor*> ready;
      for (const auto& it : actors)
        if (!it->waits_for.empty()) ready.push_back(it.get());
      if (ready.empty()) break;
      auto& next = *ready[orders.choose(ready.size())];
      order += fmt::format("{} {}, ", next.name, next.waits_for);
      next.go_on();
      timer.settle();
      watch();
    }
    for (const auto& it : actors) EXPECT_TRUE(it->done || it->is_free) << it->name << " never came to its end";
  }

  // What has ended stays as it is, and tokens grow.
  void watch() {
    for (const auto& it : must(store->runs().list({.task = task}, {.limit = 100})).items) {
      const auto [known, fresh] = seen.try_emplace(it.id, it);
      const auto& before = known->second;
      EXPECT_GE(it.token, before.token) << order;
      if (domain::is_terminal(before.state)) {
        EXPECT_EQ(it.state, before.state) << order;
        EXPECT_EQ(it.message, before.message) << order;
      }
      known->second = it;
    }
  }

  // Nobody acts at the same time any more; workers do what they are told, and do it well.
  void calm_down() {
    auto& calm = actor("afterwards");
    calm.is_free = true;
    for (int i = 0; i < 12; ++i) {
      clock.advance(i < 2 ? 3s : 1s);
      hear("second", second());
      for (const auto* loop : {"fire", "dispatch", "status"}) EXPECT_TRUE(run_on(io, calm.loop(loop).tick()));
      watch();
      std::vector<StatusUpdate> reports;
      bool active = false;
      for (const auto& it : must(store->runs().list({.task = task}, {.limit = 100})).items) {
        active |= !domain::is_terminal(it.state);
        if (it.state != RunState::dispatched && it.state != RunState::running) continue;
        auto said = report(it.token, it.cancel_requested() ? AttemptState::cancelled : AttemptState::succeeded);
        said.run = it.id;
        if (it.cancel_requested()) said.outcome->reason = it.cancel_reason;
        reports.push_back(said);
      }
      if (!active && i > 1) break;
      if (!reports.empty()) must(queue.publish_message(kStatusQueue, Message{reports}));
    }
    watch();
  }

  void check() {
    for (const auto& it : must(store->runs().list({.task = task}, {.limit = 100})).items) {
      EXPECT_TRUE(domain::is_terminal(it.state)) << name_of(it.state) << " for ever: " << order;
      int good = 0;
      for (const auto& attempt : must(store->runs().attempts(it.id))) good += attempt.state == AttemptState::succeeded;
      EXPECT_EQ(good, it.state == RunState::succeeded ? 1 : 0) << order;
      if (policy.delivery == domain::Delivery::at_most_once) EXPECT_LE(it.attempt, 1) << order;
      if (it.state != RunState::succeeded) EXPECT_NE(it.reason, Reason::none) << order;
    }
    const auto last = now_of(run);
    if (!cancelled_after) return;
    EXPECT_TRUE(last.state == RunState::cancelled || last.state == RunState::succeeded)
        << "cancelled, and " << name_of(last.state) << ": " << order;
    EXPECT_EQ(last.attempt, *cancelled_after) << "begun again after it was cancelled: " << order;
  }

  void end() {
    must(store->tasks().archive(task));
    hear("first", first(), true);
    hear("second", second(), true);
    actors.clear();
    ++serial;
  }

  std::vector<std::unique_ptr<Actor>> actors;
  std::map<RunId, domain::TaskRun> seen;
  std::string order;
};

TEST_F(Race, SuccessAgainstCancelAgainstDeadWorker_OneOutcomeIsCommitted) {
  for (const auto delivery : {domain::Delivery::at_least_once, domain::Delivery::at_most_once}) {
    const int tried = in_every_order([&] {
      make_run({.delivery = delivery});
      auto& rescuer = actor("rescue");
      dispatched_to_a_worker_that_falls_silent(rescuer);
      ticks(rescuer, "rescue");
      reads(actor("status"), report(1, AttemptState::succeeded));
      cancels(actor("api"));
    });
    EXPECT_GE(tried, 12);
  }
}

TEST_F(Race, FailureReadTwiceAgainstCancelAgainstDeadWorker_RetriesOnceOrStops) {
  for (const auto delivery : {domain::Delivery::at_least_once, domain::Delivery::at_most_once}) {
    const int tried = in_every_order([&] {
      make_run({.max_retries = delivery == domain::Delivery::at_least_once ? 1 : 0, .delivery = delivery});
      auto& rescuer = actor("rescue");
      dispatched_to_a_worker_that_falls_silent(rescuer);
      ticks(rescuer, "rescue");
      reads(actor("status"), report(1, AttemptState::failed));
      reads(actor("its double"), report(1, AttemptState::failed));
      cancels(actor("api"));
    });
    EXPECT_GE(tried, 500);
  }
}

TEST_F(Race, WorkerBackFromTheDeadAgainstItsSuccessor_OneOfThemCounts) {
  const int tried = in_every_order([&] {
    make_run({});
    auto& rescuer = actor("rescue");
    dispatched_to_a_worker_that_falls_silent(rescuer);
    ticks(rescuer, "rescue");
    reads(actor("status"), report(1, AttemptState::succeeded));
    ticks(actor("dispatch"), "dispatch");
    cancels(actor("api"));
  });
  EXPECT_GE(tried, 200);
}

TEST_F(Race, TwoDispatchersAgainstCancel_AreCancelledOrDispatchedOnce) {
  const int tried = in_every_order([&] {
    make_run({});
    hear("second", second());
    ticks(actor("dispatch"), "dispatch");
    ticks(actor("dispatch too"), "dispatch");
    cancels(actor("api"));
  });
  EXPECT_GE(tried, 50);
}

TEST_F(Race, HandBackAgainstCancelAgainstPause_NothingIsBegunThatWasCancelled) {
  const int tried = in_every_order([&] {
    make_run({});
    hear("first", first());
    hear("second", second());
    give_to(first());
    reads(actor("status"), handed_back(1));
    ticks(actor("dispatch"), "dispatch");
    cancels(actor("api"));
    pauses(actor("operator"));
  });
  EXPECT_GE(tried, 100);
}

TEST_F(Race, FireAgainstPauseAgainstEndOfTheEarlierRun_TheSlotIsDecidedOnce) {
  for (const auto overlap : {domain::OverlapPolicy::allow, domain::OverlapPolicy::forbid,
                             domain::OverlapPolicy::queue_one, domain::OverlapPolicy::replace}) {
    const int tried = in_every_order([&] {
      make_run({.schedule = "* * * * *", .overlap_policy = overlap});
      hear("first", first());
      give_to(first());
      clock.advance(61s);
      hear("first", first());
      hear("second", second());
      ticks(actor("fire"), "fire");
      pauses(actor("operator"));
      reads(actor("status"), report(1, AttemptState::succeeded));
    });
    EXPECT_GE(tried, 15);
  }
}

TEST_F(Race, TwoFiresAgainstEndOfTheEarlierRun_TheSlotIsDecidedOnce) {
  for (const auto overlap : {domain::OverlapPolicy::queue_one, domain::OverlapPolicy::replace}) {
    const int tried = in_every_order([&] {
      make_run({.schedule = "* * * * *", .overlap_policy = overlap});
      hear("first", first());
      give_to(first());
      clock.advance(61s);
      hear("first", first());
      hear("second", second());
      ticks(actor("fire"), "fire");
      ticks(actor("fire too"), "fire");
      reads(actor("status"), report(1, AttemptState::succeeded));
    });
    EXPECT_GE(tried, 15);
  }
}

}  // namespace
}  // namespace scheduler::dispatcher
