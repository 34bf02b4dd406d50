#include "domain/dispatch_plan.hpp"

#include "support/fixed_random.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <map>
#include <set>
#include <string>

using namespace scheduler;
using namespace scheduler::domain;
using testing_support::FixedRandom;

namespace {

constexpr Strategy kStrategies[] = {Strategy::round_robin, Strategy::least_loaded, Strategy::task_type_affinity,
                                    Strategy::random, Strategy::composite};

WorkerLoad worker(int slots, int in_flight = 0, std::vector<std::string> types = {"shell"}) {
  WorkerLoad it;
  it.worker.slots = it.worker.capacity = slots;
  it.worker.task_types = std::move(types);
  it.in_flight = in_flight;
  return it;
}

std::vector<Candidate> runs(std::int64_t n, std::string route = "shell") {
  std::vector<Candidate> all;
  for (std::int64_t i = 1; i <= n; ++i) all.push_back({RunId{i}, i, route});
  return all;
}

// Who got the runs, in the order of the plan: "0 1 1".
std::string who(const std::vector<Assignment>& plan) {
  std::string text;
  for (const auto& it : plan) text += (text.empty() ? "" : " ") + std::to_string(it.worker);
  return text;
}

std::string plan(std::vector<Candidate> due, std::vector<WorkerLoad> workers, Strategy strategy,
                 std::uint64_t dice = 0) {
  return who(plan_dispatch(due, workers, strategy, dice));
}

}  // namespace

TEST(PlanDispatch, RoundRobin_GoesRoundFromTheDice) {
  const std::vector three{worker(9), worker(9), worker(9)};
  EXPECT_EQ(plan(runs(5), three, Strategy::round_robin, 0), "0 1 2 0 1");
  EXPECT_EQ(plan(runs(5), three, Strategy::round_robin, 2), "2 0 1 2 0");
}

TEST(PlanDispatch, LeastLoaded_FillsTheSmallestShare) {
  EXPECT_EQ(plan(runs(3), {worker(4, 2), worker(4, 0)}, Strategy::least_loaded), "1 1 0");
  EXPECT_EQ(plan(runs(3), {worker(1), worker(10)}, Strategy::least_loaded), "0 1 1") << "shares count, not numbers";
}

TEST(PlanDispatch, Affinity_PrefersTheSpecialist) {
  const std::vector two{worker(2, 0, {"http", "python", "shell"}), worker(2, 0, {"shell"})};
  EXPECT_EQ(plan(runs(4), two, Strategy::task_type_affinity), "1 1 0 0");
  EXPECT_EQ(plan(runs(2, "http"), two, Strategy::task_type_affinity), "0 0");
}

TEST(PlanDispatch, Composite_SeesTheLoadOfTheHost) {
  auto busy = worker(4);
  busy.worker.load = 4;  // as much as half of its slots
  EXPECT_EQ(plan(runs(4), {busy, worker(4)}, Strategy::composite), "1 1 0 1");
}

// A plan of one run is the common case of a quiet cluster: its first throw must not always fall on the same side.
TEST(PlanDispatch, RandomPlansOfOneRun_ReachEveryWorker) {
  const std::vector workers(8, worker(4));
  std::vector<int> hits(8);
  for (std::uint64_t tick = 0; tick < 800; ++tick)
    ++hits[plan_dispatch(runs(1), workers, Strategy::random, 0x1234567890abcdef + tick).at(0).worker];
  for (const auto n : hits) EXPECT_THAT(n, ::testing::AllOf(::testing::Gt(50), ::testing::Lt(150)));
}

TEST(PlanDispatch, RandomPlanOfManyRuns_SpreadsThem) {
  const std::vector workers(8, worker(1000));
  std::vector<int> hits(8);
  for (const auto& it : plan_dispatch(runs(1000), workers, Strategy::random, 42)) ++hits[it.worker];
  for (const auto n : hits) EXPECT_THAT(n, ::testing::AllOf(::testing::Gt(80), ::testing::Lt(170)));
}

TEST(PlanDispatch, UnfitWorkers_AreLeftOut) {
  auto draining = worker(4), dead = worker(4), other_type = worker(4, 0, {"http"}), full = worker(4, 4);
  draining.worker.state = WorkerState::draining;
  dead.worker.state = WorkerState::dead;
  const std::vector all{draining, dead, other_type, full, worker(2, 1)};
  for (const auto strategy : kStrategies) {
    EXPECT_EQ(plan(runs(3), all, strategy), "4") << name_of(strategy);
    EXPECT_EQ(plan(runs(3), {draining, dead, other_type, full}, strategy), "") << name_of(strategy);
    EXPECT_EQ(plan(runs(3), {}, strategy), "") << name_of(strategy);
    EXPECT_EQ(plan({}, all, strategy), "") << name_of(strategy);
  }
}

TEST(PlanDispatch, Labels_MustAllBeBorne) {
  auto eu = worker(9), gpu = worker(9);
  eu.worker.labels = {{"region", "eu"}};
  gpu.worker.labels = {{"gpu", "yes"}, {"region", "eu"}};
  const auto due = std::vector<Candidate>{
      {RunId{1}, 0, "shell|region=eu"}, {RunId{2}, 0, "shell|gpu=yes,region=eu"}, {RunId{3}, 0, "shell|region=us"}};
  const auto result = plan_dispatch(due, std::vector{eu, gpu}, Strategy::least_loaded, 0);
  EXPECT_THAT(result, ::testing::ElementsAre(Assignment{RunId{1}, 0, 0}, Assignment{RunId{2}, 0, 1}));
}

TEST(PlanDispatch, PrefetchCapacity_IsUsedBeyondTheSlots) {
  auto it = worker(2, 2);
  it.worker.capacity = 5;
  EXPECT_EQ(plan(runs(9), {it}, Strategy::least_loaded), "0 0 0");
}

TEST(PlanDispatch, WorkerWithoutSlots_BreaksNothing) {
  auto strange = worker(0);
  strange.worker.capacity = 1;
  strange.worker.load = std::numeric_limits<double>::quiet_NaN();
  for (const auto strategy : kStrategies) EXPECT_EQ(plan(runs(2), {strange}, strategy), "0") << name_of(strategy);
}

TEST(PlanDispatch, RunsNobodyCanTake_DoNotStandInTheWay) {
  auto due = runs(3, "python");
  due.push_back({RunId{9}, 1, "shell"});
  EXPECT_THAT(plan_dispatch(due, std::vector{worker(1)}, Strategy::least_loaded, 0),
              ::testing::ElementsAre(Assignment{RunId{9}, 1, 0}));
}

// A thousand runs on fifty workers, for every strategy and many dice.
TEST(PlanDispatch, ManyRunsOnManyWorkers_KeepsEveryPromise) {
  FixedRandom random(7);
  const std::string types[] = {"http", "python", "shell"};
  for (int round = 0; round < 20; ++round) {
    std::vector<WorkerLoad> workers;
    for (int i = 0; i < 50; ++i) {
      std::vector<std::string> can;
      for (const auto& type : types)
        if (random.below(2) == 0) can.push_back(type);
      auto it = worker(1 + random.below(16), random.below(8), can);
      it.worker.capacity += random.below(20);
      it.worker.state = static_cast<WorkerState>(random.below(10) < 8 ? 0 : random.below(3));
      if (random.below(3) == 0) it.worker.labels = {{"gpu", "yes"}};
      workers.push_back(it);
    }
    std::vector<Candidate> due;
    for (std::int64_t i = 1; i <= 1000; ++i)
      due.push_back({RunId{i}, random.below(5), types[random.below(3)] + (random.below(10) == 0 ? "|gpu=yes" : "")});
    for (const auto strategy : kStrategies) {
      const auto dice = random.next();
      const auto result = plan_dispatch(due, workers, strategy, dice);
      EXPECT_EQ(result, plan_dispatch(due, workers, strategy, dice)) << "equal inputs, equal plans";
      std::map<std::size_t, int> in_flight;
      std::set<RunId> taken;
      for (std::size_t i = 0; i < result.size(); ++i) {
        const auto& it = result[i];
        const auto& target = workers.at(it.worker).worker;
        const auto& run = due.at(static_cast<std::size_t>(it.run.value - 1));
        EXPECT_TRUE(i == 0 || result[i - 1].run < it.run) << "the order of urgency is kept, and no run comes twice";
        EXPECT_EQ(it.token_seen, run.token);
        EXPECT_EQ(target.state, WorkerState::alive);
        EXPECT_TRUE(serves(target, run.route));
        ++in_flight[it.worker];
        taken.insert(it.run);
      }
      for (const auto& [i, n] : in_flight) EXPECT_LE(n + workers[i].in_flight, workers[i].worker.capacity);
      for (const auto& run : due) {
        if (taken.contains(run.run)) continue;
        for (std::size_t i = 0; i < workers.size(); ++i)
          EXPECT_FALSE(workers[i].worker.state == WorkerState::alive && serves(workers[i].worker, run.route) &&
                       in_flight[i] + workers[i].in_flight < workers[i].worker.capacity)
              << "run " << run.run.value << " was left out although worker " << i << " has room";
      }
    }
  }
}

TEST(Demand, RoutesAndRoom_AreWhatSomebodyCanTake) {
  auto draining = worker(100, 0, {"python"});
  draining.worker.state = WorkerState::draining;
  const std::vector workers{worker(4, 1), worker(2, 2, {"http"}), draining};
  const std::vector<std::string> routes{"http", "python", "shell", "shell|gpu=yes"};
  const auto wanted = demand(routes, workers, 1000);
  EXPECT_THAT(wanted.routes, ::testing::ElementsAre("shell"));
  EXPECT_EQ(wanted.runs_max, 3);
  EXPECT_EQ(demand(routes, workers, 2).runs_max, 2);
  EXPECT_EQ(demand({}, workers, 1000).runs_max, 0);
  EXPECT_EQ(demand(routes, {}, 1000).runs_max, 0);
  EXPECT_EQ(demand(std::vector<std::string>{"python"}, workers, 1000).runs_max, 0) << "room of others is no room";
}

// A worker says itself how much it can hold; what it says must not overflow the sum.
TEST(Demand, AbsurdCapacity_IsCutToTheBatch) {
  auto boastful = worker(1);
  boastful.worker.capacity = std::numeric_limits<int>::max();
  const std::vector workers{worker(4), boastful, boastful};
  EXPECT_EQ(demand(std::vector<std::string>{"shell"}, workers, 1000).runs_max, 1000);
}
