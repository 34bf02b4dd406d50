#include "core/circuit_breaker.hpp"

#include <gtest/gtest.h>

using namespace scheduler;
using namespace std::chrono_literals;
using State = CircuitBreaker::State;

namespace {

constexpr CircuitBreaker::Settings kSettings{.failures_max = 3, .pause_min = 100ms, .pause_max = 1s, .probe_max = 30s};
constexpr Micros kNow = 1h;

void fail_once(CircuitBreaker& breaker, Micros now = kNow) {
  const auto call = breaker.begin();
  ASSERT_TRUE(call);
  breaker.failed(*call, now);
}

CircuitBreaker opened(Micros at = kNow) {
  CircuitBreaker breaker(kSettings);
  for (int i = 0; i < kSettings.failures_max; ++i) fail_once(breaker, at);
  return breaker;
}

// The probe that is due fails at once; returns the pause that follows.
Micros pause_after_failed_probe(CircuitBreaker& breaker, Micros& now) {
  now += breaker.until_probe(now);
  const auto probe = breaker.begin_probe(now);
  EXPECT_TRUE(probe);
  if (probe) breaker.failed(*probe, now);
  return breaker.until_probe(now);
}

}  // namespace

TEST(CircuitBreaker, FailuresInARow_OpenIt) {
  CircuitBreaker breaker(kSettings);
  fail_once(breaker);
  fail_once(breaker);
  EXPECT_EQ(breaker.state(), State::closed);
  fail_once(breaker);
  EXPECT_EQ(breaker.state(), State::open);
  EXPECT_FALSE(breaker.begin());
}

TEST(CircuitBreaker, AnswerInBetween_FailuresAreCountedAnew) {
  CircuitBreaker breaker(kSettings);
  for (int round = 0; round < 5; ++round) {
    fail_once(breaker);
    fail_once(breaker);
    breaker.answered(*breaker.begin());
  }
  EXPECT_EQ(breaker.state(), State::closed);
}

TEST(CircuitBreaker, CallsAtTheSameTime_CountAsTheyEnd) {
  CircuitBreaker breaker(kSettings);
  const auto a = *breaker.begin(), b = *breaker.begin(), c = *breaker.begin();
  breaker.failed(a, kNow);
  breaker.failed(b, kNow);
  breaker.failed(c, kNow);
  EXPECT_EQ(breaker.state(), State::open);
}

TEST(BeginProbe, BeforeThePauseIsOver_IsNotGranted) {
  auto breaker = opened();
  EXPECT_EQ(breaker.until_probe(kNow), 100ms);
  EXPECT_FALSE(breaker.begin_probe(kNow + 99ms));
  EXPECT_EQ(breaker.until_probe(kNow + 60ms), 40ms);
  EXPECT_EQ(breaker.state(), State::open);
}

TEST(BeginProbe, PauseIsOver_OneAloneIsGrantedAndCallsStayRefused) {
  auto breaker = opened();
  EXPECT_TRUE(breaker.begin_probe(kNow + 100ms));
  EXPECT_EQ(breaker.state(), State::half_open);
  EXPECT_FALSE(breaker.begin_probe(kNow + 100ms));
  EXPECT_FALSE(breaker.begin_probe(kNow + 20s));
  EXPECT_FALSE(breaker.begin());
}

TEST(BeginProbe, ClosedCircuit_NeedsNone) {
  CircuitBreaker breaker(kSettings);
  EXPECT_FALSE(breaker.begin_probe(kNow));
}

TEST(Probe, Answered_ClosesTheCircuit) {
  auto breaker = opened();
  breaker.answered(*breaker.begin_probe(kNow + 100ms));
  EXPECT_EQ(breaker.state(), State::closed);
  EXPECT_TRUE(breaker.begin());
}

TEST(Probe, Failed_PauseDoublesUpToTheCap) {
  auto now = kNow;
  auto breaker = opened(now);
  for (const Micros expected : {200ms, 400ms, 800ms, 1000ms, 1000ms}) {
    EXPECT_EQ(pause_after_failed_probe(breaker, now), expected);
    EXPECT_EQ(breaker.state(), State::open);
  }
}

TEST(Probe, AnsweredAndOpenAgain_PauseBeginsAnew) {
  auto now = kNow;
  auto breaker = opened(now);
  for (int i = 0; i < 5; ++i) (void)pause_after_failed_probe(breaker, now);
  now += 1s;
  breaker.answered(*breaker.begin_probe(now));
  for (int i = 0; i < 3; ++i) fail_once(breaker, now);
  EXPECT_EQ(breaker.until_probe(now), 100ms);
}

TEST(Probe, NeverComesBack_IsGivenUpForAnother) {
  auto breaker = opened();
  const auto lost = *breaker.begin_probe(kNow + 1s);
  EXPECT_EQ(breaker.until_probe(kNow + 1s), 30s);
  EXPECT_FALSE(breaker.begin_probe(kNow + 30s));
  const auto second = breaker.begin_probe(kNow + 31s);
  ASSERT_TRUE(second);
  breaker.answered(lost);
  EXPECT_EQ(breaker.state(), State::half_open) << "the first one counts no more";
  breaker.failed(lost, kNow + 32s);
  EXPECT_EQ(breaker.state(), State::half_open);
  breaker.answered(*second);
  EXPECT_EQ(breaker.state(), State::closed);
}

TEST(LateResult, OfACallBeforeTheOpening_ChangesNothing) {
  CircuitBreaker breaker(kSettings);
  const auto before = *breaker.begin();
  for (int i = 0; i < 3; ++i) fail_once(breaker);
  breaker.answered(before);
  EXPECT_EQ(breaker.state(), State::open) << "it may have been answered before the server went away";
  breaker.failed(before, kNow + 90ms);
  EXPECT_EQ(breaker.until_probe(kNow + 100ms), 0ms) << "the pause is not longer";
  const auto probe = *breaker.begin_probe(kNow + 100ms);
  breaker.failed(before, kNow + 100ms);
  EXPECT_EQ(breaker.state(), State::half_open);
  breaker.answered(probe);
  breaker.failed(before, kNow + 1s);
  fail_once(breaker);
  fail_once(breaker);
  EXPECT_EQ(breaker.state(), State::closed) << "it is no failure of the new period";
}

TEST(Jump, Forward_GrantsOneProbe) {
  auto breaker = opened();
  EXPECT_EQ(breaker.until_probe(kNow + 24h), 0ms);
  EXPECT_TRUE(breaker.begin_probe(kNow + 24h));
  EXPECT_FALSE(breaker.begin_probe(kNow + 24h));
}

TEST(Jump, Back_LengthensNoWait) {
  auto breaker = opened();
  EXPECT_EQ(breaker.until_probe(kNow - 1h), 100ms);
  EXPECT_FALSE(breaker.begin_probe(kNow - 1h));
  EXPECT_TRUE(breaker.begin_probe(kNow - 1h + 100ms));
}
