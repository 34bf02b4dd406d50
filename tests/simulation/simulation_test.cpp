// The simulator itself: its worlds repeat, the seeds that once found something stay whole, and every mutant is noticed.
// The thousands of seeds are the ctest entry simulation_seeds (simulate.cpp).
#include "simulation/runner.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <sstream>

namespace scheduler::simulation {
namespace {

const bool kSilent = [] {
  keep_logs_quiet();
  return true;
}();

std::string all_of(const std::vector<std::string>& broken) {
  std::string text;
  for (const auto& line : broken) text += "\n  " + line;
  return text;
}

TEST(World, NothingGoesWrong_EverythingSucceedsOrFailsOnItsOwn) {
  World world({.seed = 7, .rates = {}, .trouble = false});
  EXPECT_EQ(all_of(world.run()), "");
  EXPECT_GT(world.ends().at("succeeded"), 20);
  EXPECT_GT(world.ends().at("slots"), 20);
}

TEST(World, EqualSeeds_GiveEqualHistories) {
  const auto first = live({.seed = 11}, 100'000);
  const auto second = live({.seed = 11}, 100'000);
  EXPECT_EQ(first.trace, second.trace);
  EXPECT_EQ(first.hash, second.hash);
  EXPECT_NE(first.hash, live({.seed = 12}).hash);
}

TEST(World, SeedsThatOnceFoundSomething_EveryPromiseIsKept) {
  std::ifstream file(SIMULATION_REGRESSIONS);
  ASSERT_TRUE(file) << "cannot be read: " SIMULATION_REGRESSIONS;
  for (std::string line; std::getline(file, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    std::istringstream words(line);
    Case it;
    std::string mode;
    words >> mode >> it.seed;
    it.mode = parse_enum<Mode>(mode);
    ASSERT_TRUE(it.mode && it.seed > 0) << "not a mode and a seed: " << line;
    if (!live(it).broken.empty()) ADD_FAILURE() << line << '\n' << report(it);
  }
}

}  // namespace
}  // namespace scheduler::simulation
