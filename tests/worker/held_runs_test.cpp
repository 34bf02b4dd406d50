#include "worker/held_runs.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

using namespace scheduler;
using namespace scheduler::worker;
using namespace std::chrono_literals;
using Accepted = HeldRuns::Accepted;

namespace {

application::TaskExecution work(std::int64_t run, Token token) { return {.run = RunId{run}, .token = token}; }

// "1/2 3/1": run/token, in order.
std::string inventory(const HeldRuns& held) {
  std::string text;
  for (const auto& it : held.inventory())
    text += (text.empty() ? "" : " ") + std::to_string(it.run.value) + "/" + std::to_string(it.token);
  return text;
}

}  // namespace

TEST(Accept, NewWork_IsReadyInOrderOfArrival) {
  HeldRuns held;
  EXPECT_EQ(held.accept(work(9, 1)), Accepted::yes);
  EXPECT_EQ(held.accept(work(3, 7)), Accepted::yes);
  EXPECT_EQ(held.ready(), 2u);
  EXPECT_EQ(inventory(held), "3/7 9/1");
  EXPECT_EQ(held.begin_next(5s)->execution.run, RunId{9});
  const auto second = held.begin_next(6s);
  EXPECT_EQ(second->execution.run, RunId{3});
  EXPECT_EQ(second->began, 6s);
  EXPECT_EQ(second->place, HeldRun::Place::running);
  EXPECT_EQ(held.begin_next(7s), nullptr);
  EXPECT_EQ(held.running(), 2u);
  EXPECT_EQ(inventory(held), "3/7 9/1") << "what runs is held";
}

TEST(Accept, DoubledMessage_IsStaleWhereverTheRunIs) {
  HeldRuns held;
  ASSERT_EQ(held.accept(work(1, 4)), Accepted::yes);
  EXPECT_EQ(held.accept(work(1, 4)), Accepted::stale) << "ready";
  const auto run = held.begin_next(0s);
  EXPECT_EQ(held.accept(work(1, 4)), Accepted::stale) << "running";
  held.ended(*run);
  EXPECT_EQ(held.accept(work(1, 4)), Accepted::stale) << "ended";
  held.forget(RunId{1}, 4);
  EXPECT_EQ(held.accept(work(1, 4)), Accepted::stale) << "gone";
  EXPECT_EQ(held.accept(work(1, 3)), Accepted::stale) << "older still";
  EXPECT_EQ(held.accept(work(1, 5)), Accepted::yes) << "a retry";
  EXPECT_FALSE(run->stop.requested());
}

TEST(Accept, LargerToken_ReplacesWhatWasNotBegun) {
  HeldRuns held;
  (void)held.accept(work(1, 4));
  EXPECT_EQ(held.accept(work(1, 6)), Accepted::yes);
  EXPECT_EQ(held.ready(), 1u);
  EXPECT_EQ(held.size(), 1u);
  EXPECT_EQ(held.begin_next(0s)->execution.token, 6);
}

TEST(Accept, LargerToken_SupersedesWhatRuns) {
  HeldRuns held;
  (void)held.accept(work(1, 4));
  const auto old = held.begin_next(0s);
  EXPECT_EQ(held.accept(work(1, 6)), Accepted::yes);
  EXPECT_EQ(old->stop.reason(), StopReason::superseded);
  EXPECT_EQ(inventory(held), "1/6") << "of two tokens the larger counts";
  held.ended(*old);
  held.forget(RunId{1}, 4);
  EXPECT_EQ(inventory(held), "1/6");
  EXPECT_EQ(held.begin_next(0s)->execution.token, 6);
  EXPECT_EQ(held.running(), 1u);
}

TEST(TakeReady, WhatHasNotBegun_LeavesForGood) {
  HeldRuns held;
  for (std::int64_t i = 1; i <= 3; ++i) (void)held.accept(work(i, 1));
  (void)held.begin_next(0s);
  std::vector<RunId> taken;
  for (const auto& it : held.take_ready()) taken.push_back(it.run);
  EXPECT_THAT(taken, ::testing::ElementsAre(RunId{2}, RunId{3}));
  EXPECT_EQ(inventory(held), "1/1");
  EXPECT_TRUE(held.take_ready().empty());
  EXPECT_EQ(held.begin_next(0s), nullptr);
  EXPECT_EQ(held.accept(work(2, 1)), Accepted::stale) << "it was given back under this token";
}

TEST(Stop, RunUpToAToken_MeetsWhatIsMeant) {
  HeldRuns held;
  (void)held.accept(work(1, 4));
  const auto running = held.begin_next(0s);
  (void)held.accept(work(2, 4));
  EXPECT_EQ(held.stop(RunId{1}, 3, StopReason::cancelled), nullptr);
  EXPECT_FALSE(running->stop.requested()) << "an older attempt was meant";
  EXPECT_EQ(held.stop(RunId{2}, 3, StopReason::cancelled), nullptr);
  EXPECT_EQ(held.stop(RunId{7}, 99, StopReason::cancelled), nullptr) << "unknown";
  EXPECT_EQ(held.stop(RunId{1}, 9, StopReason::cancelled), nullptr);
  EXPECT_EQ(running->stop.reason(), StopReason::cancelled);
  const auto ready = held.stop(RunId{2}, 4, StopReason::cancelled);
  ASSERT_NE(ready, nullptr);
  EXPECT_EQ(ready->execution.run, RunId{2});
  EXPECT_EQ(held.ready(), 0u);
  EXPECT_EQ(inventory(held), "1/4");
}

TEST(Stop, EndedRun_IsLeftAlone) {
  HeldRuns held;
  (void)held.accept(work(1, 4));
  const auto run = held.begin_next(0s);
  held.ended(*run);
  EXPECT_EQ(held.stop(RunId{1}, 4, StopReason::cancelled), nullptr);
  EXPECT_FALSE(run->stop.requested());
  EXPECT_EQ(inventory(held), "1/4") << "its report is not sent yet";
}

TEST(StopAll, OnlyWhatRuns_IsAsked) {
  HeldRuns held;
  for (std::int64_t i = 1; i <= 3; ++i) (void)held.accept(work(i, 1));
  const auto ended = held.begin_next(0s), running = held.begin_next(0s);
  held.ended(*ended);
  held.stop_all(StopReason::shutdown);
  EXPECT_FALSE(ended->stop.requested());
  EXPECT_EQ(running->stop.reason(), StopReason::shutdown);
  EXPECT_EQ(held.ready(), 1u);
}

// An executor may end inside the request: the map changes under whoever walks it.
TEST(Stop, AttemptEndsInsideTheRequest_IsFine) {
  for (const bool all : {false, true}) {
    HeldRuns held;
    std::vector<std::shared_ptr<HeldRun>> runs;
    for (Token token = 1; token <= 5; ++token) {
      (void)held.accept(work(1, token));
      runs.push_back(held.begin_next(0s));
      runs.back()->stop.on_request([&held, run = runs.back().get()] {
        held.ended(*run);
        held.forget(run->execution.run, run->execution.token);
      });
    }
    if (all)
      held.stop_all(StopReason::shutdown);
    else
      EXPECT_EQ(held.stop(RunId{1}, 99, StopReason::cancelled), nullptr);
    EXPECT_EQ(held.size(), 0u);
    EXPECT_EQ(held.running(), 0u);
  }
}

TEST(Accept, ManyRuns_AreRememberedWithinBounds) {
  HeldRuns held;
  for (std::int64_t i = 1; i <= 200'000; ++i) {
    ASSERT_EQ(held.accept(work(i, 1)), Accepted::yes);
    const auto run = held.begin_next(0s);
    held.ended(*run);
    held.forget(RunId{i}, 1);
    ASSERT_EQ(held.accept(work(i, 1)), Accepted::stale);
  }
  EXPECT_EQ(held.size(), 0u);
  EXPECT_EQ(held.accept(work(150'000, 1)), Accepted::stale);
  EXPECT_EQ(held.accept(work(1, 1)), Accepted::yes) << "doubles come soon or never";
}
