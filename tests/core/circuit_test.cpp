#include "core/circuit.hpp"

#include "core/log.hpp"
#include "support/fake_timer.hpp"
#include "support/run_on.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::testing_support;
using namespace std::chrono_literals;
using State = Circuit::State;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

namespace {

class Lines final : public log::Sink {
 public:
  void write(log::Level, std::string_view message, std::span<const log::Field>) override {
    lines.emplace_back(message.substr(0, message.find(':')));
  }
  std::vector<std::string> lines;
};

class CircuitWorld : public ::testing::Test {
 protected:
  CircuitWorld() {
    log::set_sink(lines, log::Level::info);
    circuit->connect([this] { return probe(); }, [this] { ++openings; });
    circuit->on_change([this](State, State now) { states.push_back(now); });
  }
  ~CircuitWorld() override {
    timer.abandon();
    log::set_sink(nullptr, log::Level::info);
  }

  // A server that is there, away, or hangs until `answers` is notified.
  Async<void> call() {
    ++calls;
    if (hangs) co_await answers->wait(1h);
    if (away) co_return fail(*away, "nobody listens");
    co_return SchedulerResult<void>{};
  }
  Async<void> probe() {
    ++probes;
    co_return co_await call();
  }
  SchedulerResult<void> ask() { return run_on(io, circuit->run(call())); }
  asio::awaitable<void> run_into(std::optional<SchedulerResult<void>>& result) {
    result = co_await circuit->run(call());
  }
  void open() {
    away = ErrorKind::Unavailable;
    for (int i = 0; i < 3; ++i) (void)ask();
    ASSERT_EQ(circuit->report().state, State::open);
  }

  asio::io_context io{1};
  FakeClock clock;
  FakeTimer timer{io, clock};
  std::shared_ptr<Lines> lines = std::make_shared<Lines>();
  std::shared_ptr<Circuit> circuit = Circuit::make({io, clock, timer}, "message queue");
  std::unique_ptr<WakeSignal> answers = timer.wake_signal();
  std::optional<ErrorKind> away;
  bool hangs = false;
  int calls = 0, probes = 0, openings = 0;
  std::vector<State> states;
};

}  // namespace

TEST_F(CircuitWorld, Run_ServerAway_IsRefusedWithoutACallAndSaysWhatItKnows) {
  open();
  clock.advance(40ms);
  const auto before = calls;
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_EQ(calls, before);
  EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(refused.error().message,
            "the message queue is away since 2026-01-01T00:00:00Z (nobody listens); it is asked again in 60 ms");
  EXPECT_EQ(openings, 1);
}

TEST_F(CircuitWorld, Run_AnyOtherError_ShowsThatTheServerIsThere) {
  for (const auto kind : {ErrorKind::Conflict, ErrorKind::NotFound, ErrorKind::Validation, ErrorKind::MessageQueue,
                          ErrorKind::Database, ErrorKind::Internal}) {
    away = kind;
    for (int i = 0; i < 10; ++i) (void)ask();
    EXPECT_EQ(circuit->report().state, State::closed) << code_of(kind);
  }
  away = ErrorKind::Timeout;
  for (int i = 0; i < 3; ++i) (void)ask();
  EXPECT_EQ(circuit->report().state, State::open);
}

TEST_F(CircuitWorld, ServerComesBack_IsNoticedWithoutAnyCall) {
  open();
  timer.advance(30s);
  EXPECT_THAT(probes, ::testing::AllOf(::testing::Ge(30), ::testing::Le(35))) << "100 ms doubling up to a second";
  const auto report = circuit->report();
  EXPECT_EQ(report.state, State::open);
  EXPECT_EQ(format_rfc3339(report.since), "2026-01-01T00:00:00Z");
  EXPECT_EQ(report.last_error, "nobody listens");
  away.reset();
  timer.advance(1s);
  EXPECT_EQ(circuit->report().state, State::closed);
  EXPECT_TRUE(ask());
  EXPECT_EQ(circuit->report().last_error, "nobody listens") << "for those who ask afterwards what it was";
}

TEST_F(CircuitWorld, Probe_ServerHangs_NobodyElseWaitsForIt) {
  open();
  hangs = true;
  timer.advance(100ms);
  EXPECT_EQ(circuit->report().state, State::half_open);
  const auto refused = ask();
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("it is being asked now"));
  away.reset();
  answers->notify();
  timer.settle();
  EXPECT_EQ(circuit->report().state, State::closed);
  EXPECT_EQ(probes, 1);
  EXPECT_THAT(states, ElementsAre(State::open, State::half_open, State::closed));
}

TEST_F(CircuitWorld, Probe_NeverComesBack_AnotherOneIsMade) {
  open();
  hangs = true;
  timer.advance(29s);
  EXPECT_EQ(probes, 1);
  hangs = false;
  away.reset();
  timer.advance(2s);
  EXPECT_EQ(probes, 2);
  EXPECT_EQ(circuit->report().state, State::closed);
}

TEST_F(CircuitWorld, CallThatBeganBefore_FailsLate_ChangesNothing) {
  hangs = true;
  std::optional<SchedulerResult<void>> late;
  spawn(io, "late", run_into(late));
  timer.settle();
  hangs = false;
  open();
  away.reset();
  timer.advance(100ms);
  EXPECT_EQ(circuit->report().state, State::closed);
  away = ErrorKind::Unavailable;
  answers->notify();
  timer.settle();
  ASSERT_TRUE(late && !*late);
  (void)ask();
  (void)ask();
  EXPECT_EQ(circuit->report().state, State::closed) << "two failures of this period, not three";
}

// Who makes no calls of his own took a server that was away for one that was there.
TEST_F(CircuitWorld, Check_ServerAway_OpensAtOnce) {
  away = ErrorKind::Unavailable;
  const auto first = run_on(io, circuit->check(2s));
  ASSERT_FALSE(first);
  EXPECT_EQ(first.error().message, "nobody listens");
  EXPECT_EQ(circuit->report().state, State::open);
  EXPECT_EQ(openings, 1);
  EXPECT_THAT(run_on(io, circuit->check(2s)).error().message, HasSubstr("the message queue is away since "));
  EXPECT_EQ(probes, 1);
  away.reset();
  timer.advance(1s);
  EXPECT_TRUE(run_on(io, circuit->check(2s)));
}

TEST_F(CircuitWorld, Check_NotLetIn_IsAway) {
  away = ErrorKind::Config;
  EXPECT_EQ(run_on(io, circuit->check(2s)).error().kind, ErrorKind::Config);
  EXPECT_EQ(circuit->report().state, State::open);
}

TEST_F(CircuitWorld, Check_ServerThatRefusesForNow_IsThere) {
  away = ErrorKind::MessageQueue;
  EXPECT_EQ(run_on(io, circuit->check(2s)).error().kind, ErrorKind::MessageQueue);
  EXPECT_EQ(circuit->report().state, State::closed);
}

TEST_F(CircuitWorld, Check_ServerHangs_SaysSoInTimeAndAsksOnce) {
  hangs = true;
  std::optional<SchedulerResult<void>> one, two;
  const auto check_into = [](Circuit& it, std::optional<SchedulerResult<void>>& result) -> asio::awaitable<void> {
    result = co_await it.check(2s);
  };
  spawn(io, "one", check_into(*circuit, one));
  timer.settle();
  timer.advance(1s);
  spawn(io, "two", check_into(*circuit, two));
  timer.settle();
  timer.advance(1s);
  ASSERT_TRUE(one && !*one);
  EXPECT_EQ(one->error().kind, ErrorKind::Timeout);
  EXPECT_EQ(one->error().message, "the message queue has not answered for 2000 ms");
  EXPECT_FALSE(two);
  EXPECT_EQ(circuit->report().state, State::closed) << "it may only be slow";
  answers->notify();
  timer.settle();
  ASSERT_TRUE(two);
  EXPECT_TRUE(*two) << "both asked the same question";
  EXPECT_EQ(probes, 1);
}

TEST_F(CircuitWorld, Log_OpensAndCloses_OneLineEach) {
  open();
  timer.advance(30s);
  away.reset();
  timer.advance(2s);
  EXPECT_THAT(lines->lines, ElementsAre("circuit breaker open", "circuit breaker closed"));
}

TEST_F(CircuitWorld, Log_ServerThatComesAndGoes_IsToldEveryTenSeconds) {
  for (int i = 0; i < 100; ++i) {
    open();
    away.reset();
    timer.advance(200ms);
  }
  EXPECT_EQ(openings, 100);
  EXPECT_THAT(lines->lines, SizeIs(4)) << "twenty seconds of it";
}

TEST_F(CircuitWorld, Disconnect_WhileOpen_NobodyIsAskedAnyMore) {
  open();
  circuit->disconnect();
  const auto before = calls;
  timer.advance(1min);
  EXPECT_EQ(calls, before);
  EXPECT_FALSE(ask());
}
