// The simulator itself: its worlds repeat, the seeds that once found something stay whole, and every mutant is noticed.
// The thousands of seeds are the ctest entry simulation_seeds (simulate.cpp).
#include "simulation/runner.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <sstream>

namespace scheduler::simulation {

void PrintTo(const Mutant& mutant, std::ostream* out) { *out << mutant.name; }

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
  EXPECT_GT(world.ends().at("slots"), 5);
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

// The simulator notices each of them, within a few worlds.
class Mutants : public testing::TestWithParam<Mutant> {};

TEST_P(Mutants, LivedUntilNoticed_APromiseIsBroken) {
  constexpr std::uint64_t kSeedsMax = 150;
  const auto caught = catch_mutant(GetParam(), kSeedsMax);
  ASSERT_TRUE(caught) << "nobody notices in " << kSeedsMax << " worlds that " << GetParam().breaks;
  std::printf("%s: %s\n  seed %llu: %s\n", std::string(GetParam().name).c_str(), std::string(GetParam().breaks).c_str(),
              static_cast<unsigned long long>(caught->by.seed), caught->what.c_str());
}

INSTANTIATE_TEST_SUITE_P(Each, Mutants, testing::ValuesIn(mutants().begin(), mutants().end()), [](const auto& info) {
  std::string name(info.param.name);
  std::ranges::replace(name, '-', '_');
  return name;
});

}  // namespace

}  // namespace scheduler::simulation
