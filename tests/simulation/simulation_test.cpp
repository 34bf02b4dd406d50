// The promises of the system, on a few hundred seeded histories. SIMULATION_SEEDS=N runs N of them, SIMULATION_SEED=K
// only that one, with its history.
#include "core/log.hpp"
#include "simulation/world.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

namespace scheduler::simulation {
namespace {

// What the parts say about simulated faults is no news.
class Silence final : public log::Sink {
 public:
  void write(log::Level, std::string_view, std::span<const log::Field>) override {}
};

const bool kSilent = [] {
  if (!std::getenv("SIMULATION_SEED")) log::set_sink(std::make_shared<Silence>(), log::Level::error);
  return true;
}();

constexpr FaultRates kRough{.store_error_before = 2,
                            .store_error_after = 2,
                            .message_lost = 3,
                            .message_doubled = 5,
                            .message_delayed = 5,
                            .publish_error = 3};

std::uint64_t number_from(const char* variable, std::uint64_t otherwise) {
  const char* text = std::getenv(variable);
  return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

std::string all_of(const std::vector<std::string>& broken) {
  std::string text;
  for (const auto& line : broken) text += "\n  " + line;
  return text;
}

TEST(Simulation, PerfectWorld_EverythingSucceedsOrFailsOnItsOwn) {
  World world({.seed = 7, .kill_and_pause = false});
  EXPECT_EQ(all_of(world.run()), "");
  EXPECT_GT(world.ends()["succeeded"], 20);
  EXPECT_GT(world.ends()["slots"], 20);
}

TEST(Simulation, EqualSeeds_GiveEqualHistories) {
  World first({.seed = 11, .rates = kRough});
  World second({.seed = 11, .rates = kRough});
  first.run();
  second.run();
  EXPECT_EQ(first.history(), second.history());
  EXPECT_FALSE(first.history().empty());
}

TEST(Simulation, RoughWorld_EveryPromiseIsKept) {
  const auto only = number_from("SIMULATION_SEED", 0);
  const auto first = only ? only : 1;
  const auto last = only ? only : number_from("SIMULATION_SEEDS", 300);
  std::map<std::string, std::int64_t> met, ends;
  for (auto seed = first; seed <= last; ++seed) {
    World world({.seed = seed, .rates = kRough});
    const auto broken = world.run();
    ASSERT_EQ(all_of(broken), "") << "seed " << seed << "; run it alone with SIMULATION_SEED=" << seed
                                  << (only ? "\n" + world.history() : "");
    for (const auto& [fault, n] : world.faults_met()) met[fault] += n;
    for (const auto& [state, n] : world.ends()) ends[state] += n;
  }
  for (const auto& [what, n] : met) std::printf("  met %s: %lld\n", what.c_str(), static_cast<long long>(n));
  for (const auto& [what, n] : ends) std::printf("  ended %s: %lld\n", what.c_str(), static_cast<long long>(n));
  for (const auto* fault : {"store_error_before", "store_error_after", "message_lost", "message_doubled",
                            "message_delayed", "publish_error", "broker_away", "killed", "paused"})
    EXPECT_GT(met[fault], 0) << fault << " never happened: the simulation proves nothing about it";
}

}  // namespace
}  // namespace scheduler::simulation
