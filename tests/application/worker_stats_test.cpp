#include "application/worker_service.hpp"

#include <gtest/gtest.h>

using namespace scheduler;
using application::summarise;
using domain::WorkerState;

namespace {

domain::WorkerLoad worker(std::vector<std::string> types, WorkerState state, int in_flight) {
  domain::WorkerLoad it;
  it.worker.task_types = std::move(types);
  it.worker.state = state;
  it.worker.slots = 4;
  it.worker.busy = 1;
  it.in_flight = in_flight;
  return it;
}

}  // namespace

TEST(WorkerStats, LivingAndDead_OnlyTheLivingHaveRoom) {
  const auto stats = summarise({worker({"shell", "http"}, WorkerState::alive, 2),
                                worker({"shell"}, WorkerState::draining, 1), worker({"python"}, WorkerState::dead, 9)});
  EXPECT_EQ(stats.alive, 1);
  EXPECT_EQ(stats.draining, 1);
  EXPECT_EQ(stats.dead, 1);
  EXPECT_EQ(stats.all.workers, 2);
  EXPECT_EQ(stats.all.slots, 8);
  EXPECT_EQ(stats.all.busy, 2);
  EXPECT_EQ(stats.all.held, 3);
  ASSERT_EQ(stats.by_type.size(), 2u);
  EXPECT_EQ(stats.by_type.at("shell").workers, 2);
  EXPECT_EQ(stats.by_type.at("http").held, 2);
}

TEST(WorkerStats, Nobody_IsZero) { EXPECT_EQ(summarise({}).all.workers, 0); }
