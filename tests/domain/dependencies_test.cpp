#include "domain/dependencies.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <ctime>
#include <set>
#include <string>
#include <string_view>

using namespace scheduler;
using namespace scheduler::domain;

namespace {

TaskId id(std::int64_t value) { return TaskId{value}; }

std::string path(const std::optional<std::vector<TaskId>>& cycle) {
  if (!cycle) return "none";
  std::string text;
  for (const auto task : *cycle) text += (text.empty() ? "" : " ") + std::to_string(task.value);
  return text;
}

}  // namespace

TEST(FindCycle, Graphs_NameTheCycleThroughTheStart) {
  const struct {
    std::string_view name;
    DependencyGraph graph;
    std::int64_t start;
    std::string_view expected;
  } rows[] = {
      {"an unknown task", {}, 1, "none"},
      {"no dependencies", {{id(1), {}}}, 1, "none"},
      {"itself", {{id(1), {id(1)}}}, 1, "1 1"},
      {"each other", {{id(1), {id(2)}}, {id(2), {id(1)}}}, 1, "1 2 1"},
      {"the other way round", {{id(1), {id(2)}}, {id(2), {id(1)}}}, 2, "2 1 2"},
      {"a ring of three", {{id(1), {id(2)}}, {id(2), {id(3)}}, {id(3), {id(1)}}}, 1, "1 2 3 1"},
      {"a diamond is no cycle", {{id(1), {id(2), id(3)}}, {id(2), {id(4)}}, {id(3), {id(4)}}}, 1, "none"},
      {"a dead end before the way back", {{id(1), {id(5), id(2)}}, {id(5), {id(6)}}, {id(2), {id(1)}}}, 1, "1 2 1"},
      {"a cycle elsewhere is not ours", {{id(1), {id(2)}}, {id(2), {id(3)}}, {id(3), {id(2)}}}, 1, "none"},
      {"upstreams that nobody described", {{id(1), {id(7), id(8)}}}, 1, "none"},
  };
  for (const auto& row : rows) EXPECT_EQ(path(find_cycle(row.graph, id(row.start))), row.expected) << row.name;
}

TEST(FindCycle, ChainOfFiveThousand_NeedsNoStack) {
  DependencyGraph graph;
  for (std::int64_t i = 1; i < 5000; ++i) graph[id(i)] = {id(i + 1)};
  EXPECT_FALSE(find_cycle(graph, id(1)));
  graph[id(5000)] = {id(1)};
  const auto cycle = find_cycle(graph, id(1));
  ASSERT_TRUE(cycle);
  EXPECT_EQ(cycle->size(), 5001u);
  EXPECT_EQ(cycle->front(), cycle->back());
}

// Each layer doubles the paths: a search that walks paths instead of tasks would never return.
TEST(FindCycle, LadderOfDiamonds_IsWalkedOnce) {
  DependencyGraph graph;
  for (std::int64_t i = 0; i < 2500; ++i) {
    graph[id(2 * i)] = {id(2 * i + 2), id(2 * i + 3)};
    graph[id(2 * i + 1)] = {id(2 * i + 2), id(2 * i + 3)};
  }
  EXPECT_FALSE(find_cycle(graph, id(0)));
}

TEST(FindCycle, AnyAnswer_IsARealPath) {
  std::uint64_t dice = 1;
  for (int round = 0; round < 300; ++round) {
    DependencyGraph graph;
    for (std::int64_t i = 0; i < 12; ++i)
      for (int k = 0; k < 2; ++k) {
        dice = dice * 6364136223846793005u + 1442695040888963407u;
        graph[id(i)].push_back(id(static_cast<std::int64_t>((dice >> 33) % 12)));
      }
    // The oracle: what can be reached from the upstreams of 0, by repeated widening.
    std::set<TaskId> reached(graph[id(0)].begin(), graph[id(0)].end());
    for (std::size_t before = 0; before != reached.size();) {
      before = reached.size();
      for (const auto task : std::set(reached)) reached.insert(graph[task].begin(), graph[task].end());
    }
    const auto cycle = find_cycle(graph, id(0));
    ASSERT_EQ(cycle.has_value(), reached.contains(id(0))) << "round " << round;
    if (!cycle) continue;
    EXPECT_EQ(cycle->front(), id(0));
    EXPECT_EQ(cycle->back(), id(0));
    for (std::size_t i = 0; i + 1 < cycle->size(); ++i)
      EXPECT_TRUE(std::ranges::count(graph[(*cycle)[i]], (*cycle)[i + 1]) > 0) << "round " << round;
  }
}

// While some are open: a skip is certain where no end of the open ones lets the rule accept; a run waits for all.
TEST(VerdictOf, SomeOfUpToFourStillOpen_SkipsOnlyWhatNoEndCouldSave) {
  constexpr RunState kEnds[] = {RunState::succeeded, RunState::failed, RunState::timed_out, RunState::cancelled,
                                RunState::skipped};
  constexpr std::size_t kOpen = std::size(kEnds), kKinds = kOpen + 1;
  const auto states_of = [&](std::size_t code, std::size_t upstreams, std::size_t kinds) {
    std::vector<std::size_t> all;
    for (std::size_t i = 0; i < upstreams; ++i, code /= kinds) all.push_back(code % kinds);
    return all;
  };
  const auto power = [](std::size_t base, std::size_t exponent) {
    std::size_t result = 1;
    while (exponent-- > 0) result *= base;
    return result;
  };
  int cases = 0;
  for (const auto rule :
       {TriggerRule::all_success, TriggerRule::all_done, TriggerRule::any_success, TriggerRule::none_failed}) {
    for (std::size_t upstreams = 1; upstreams <= 4; ++upstreams) {
      for (std::size_t code = 0; code < power(kKinds, upstreams); ++code, ++cases) {
        const auto now = states_of(code, upstreams, kKinds);
        UpstreamTally tally;
        for (const auto it : now) tally.add(it == kOpen ? std::nullopt : std::optional(kEnds[it]));
        // Every way in which the open ones could still end.
        bool any_way = false;
        for (std::size_t way = 0; way < power(kOpen, tally.open); ++way) {
          const auto rest = states_of(way, tally.open, kOpen);
          std::vector<RunState> ends;
          std::size_t next = 0;
          for (const auto it : now) ends.push_back(kEnds[it == kOpen ? rest[next++] : it]);
          any_way |= runs_after(rule, ends);
        }
        const auto expected = !any_way ? Verdict::skip : tally.open > 0 ? Verdict::wait : Verdict::run;
        ASSERT_EQ(verdict_of(rule, tally), expected) << name_of(rule) << " of " << upstreams << ", case " << code;
      }
    }
  }
  EXPECT_EQ(cases, 4 * (6 + 36 + 216 + 1296));
  EXPECT_EQ(verdict_of(TriggerRule::any_success, {}), Verdict::run) << "nothing is left to wait for";
}

TEST(WhyRefused, EachKindOfUpstream_IsNamed) {
  EXPECT_EQ(why_refused({id(1), "extract", {}, RunId{7}, RunState::timed_out}),
            "run 7 of upstream task 'extract' ended timed_out");
  EXPECT_EQ(why_refused({id(1), "extract", TimePoint{}, {}, RunState::skipped}),
            "upstream task 'extract' made no run at 1970-01-01T00:00:00Z");
  EXPECT_EQ(why_refused({id(1), "extract", {}, {}, RunState::skipped}), "upstream task 'extract' had no fire time yet");
}

// The steps are tasks + edges and no more, so the clock has room: a search over paths would take 2^2500 of them.
TEST(FindCycle, FiveThousandTasksWithTwentyUpstreamsEach_TakesUnder200Milliseconds) {
  DependencyGraph graph;
  for (std::int64_t i = 1; i <= 5000; ++i)
    for (std::int64_t up = std::max<std::int64_t>(1, i - 20); up < i; ++up) graph[id(i)].push_back(id(up));
  const auto seconds_of = [&](bool expected) {
    const auto began = std::clock();  // of this process: whoever else is busy does not count
    EXPECT_EQ(find_cycle(graph, id(5000)).has_value(), expected);
    return static_cast<double>(std::clock() - began) / CLOCKS_PER_SEC;
  };
  EXPECT_LT(seconds_of(false), 0.2);
  graph[id(1)] = {id(5000)};
  EXPECT_LT(seconds_of(true), 0.2);
}

// The rules in other words than the code's: counts of how the upstreams ended.
TEST(RunsAfter, EveryRoundOfUpToFourUpstreams_FollowsTheRule) {
  constexpr RunState kEnds[] = {RunState::succeeded, RunState::failed, RunState::timed_out, RunState::cancelled,
                                RunState::skipped};
  int rounds = 0;
  for (std::size_t upstreams = 1; upstreams <= 4; ++upstreams) {
    std::size_t combinations = 1;
    for (std::size_t i = 0; i < upstreams; ++i) combinations *= std::size(kEnds);
    for (std::size_t c = 0; c < combinations; ++c, ++rounds) {
      std::vector<RunState> ends;
      std::size_t good = 0, left_out = 0, rest = c;
      for (std::size_t i = 0; i < upstreams; ++i, rest /= std::size(kEnds)) {
        ends.push_back(kEnds[rest % std::size(kEnds)]);
        good += rest % std::size(kEnds) == 0 ? 1 : 0;
        left_out += rest % std::size(kEnds) == 4 ? 1 : 0;
      }
      EXPECT_EQ(runs_after(TriggerRule::all_success, ends), good == upstreams);
      EXPECT_TRUE(runs_after(TriggerRule::all_done, ends));
      EXPECT_EQ(runs_after(TriggerRule::any_success, ends), good > 0);
      EXPECT_EQ(runs_after(TriggerRule::none_failed, ends), good + left_out == upstreams);
    }
  }
  EXPECT_EQ(rounds, 5 + 25 + 125 + 625);
}
