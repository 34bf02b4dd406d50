// contract/store_contract.hpp — everything a store must do. One short file per adapter runs it:
//
//   SCHEDULER_STORE_CONTRACT(Sqlite, testing::Values(StoreMaker{"memory", make_in_memory}, …));
#pragma once

#include "contract/account_store_contract.hpp"
#include "contract/dispatch_repository_contract.hpp"
#include "contract/limits_contract.hpp"
#include "contract/run_repository_contract.hpp"
#include "contract/slot_repository_contract.hpp"
#include "contract/task_repository_contract.hpp"
#include "contract/upstream_runs_contract.hpp"
#include "contract/worker_repository_contract.hpp"

namespace scheduler::contract {

class WholeStoreContract : public StoreContract {};

TEST_P(WholeStoreContract, Now_IsTheStoresClock) {
  EXPECT_EQ(ok(store().now()), clock.now());
  clock.jump(-5min);
  EXPECT_EQ(ok(store().now()), clock.now());
}

TEST_P(WholeStoreContract, Stats_EmptyStore_SaysZeroOfEverything) {
  const auto stats = ok(store().stats());
  EXPECT_EQ(stats.tasks_active, 0);
  EXPECT_EQ(stats.tasks_paused, 0);
  EXPECT_THAT(stats.active_runs, ElementsAre(std::pair("dispatched", 0), std::pair("pending", 0),
                                             std::pair("running", 0), std::pair("waiting", 0)));
  EXPECT_FALSE(stats.oldest_due);
}

TEST_P(WholeStoreContract, Stats_TasksAndRuns_AreCountedByState) {
  const auto task = create_scheduled("a", OverlapPolicy::queue_one);
  auto it = spec("paused");
  it.status = domain::TaskStatus::paused;
  create(it);
  ok(tasks().archive(create("archived").id));
  const auto running = trigger(task.id), dispatched = trigger(task.id);
  send(running);
  start(running);
  send(dispatched);
  const auto due_at = clock.now();
  trigger(task.id);
  fire(task.id);
  run_to(create("b").id, RunState::succeeded);
  const auto stats = ok(store().stats());
  EXPECT_EQ(stats.tasks_active, 2);
  EXPECT_EQ(stats.tasks_paused, 1);
  EXPECT_THAT(stats.active_runs, ElementsAre(std::pair("dispatched", 1), std::pair("pending", 1),
                                             std::pair("running", 1), std::pair("waiting", 1)));
  EXPECT_EQ(stats.oldest_due, due_at);
}

TEST_P(WholeStoreContract, CheckWritable_Twice_IsFine) {
  ok(store().check_writable());
  ok(store().check_writable());
}

TEST_P(WholeStoreContract, Dispatchers_Living_AreCountedUntilTheyAreSilentOrLeave) {
  EXPECT_EQ(ok(store().dispatchers()).alive, 0);
  EXPECT_FALSE(ok(store().dispatchers()).last_seen);
  const IncarnationId a{7}, b{8};
  ok(store().note_dispatcher(a, 20s));
  ok(store().note_dispatcher(b, 20s));
  ok(store().note_dispatcher(a, 20s));
  EXPECT_EQ(ok(store().dispatchers()).alive, 2) << "the same one twice is one";
  ok(store().note_dispatcher(b, 0s));
  EXPECT_EQ(ok(store().dispatchers()).alive, 1) << "it left";
  const auto last = clock.now();
  clock.advance(20s);
  EXPECT_EQ(ok(store().dispatchers()).alive, 0) << "silent";
  EXPECT_EQ(ok(store().dispatchers()).last_seen, last);
  clock.advance(24h + 1s);
  ok(store().note_dispatcher(IncarnationId{9}, 0s));
  EXPECT_EQ(ok(store().dispatchers()).last_seen, clock.now());
}

TEST_P(WholeStoreContract, Describe_NamesTheEngine) { EXPECT_NE(store().describe(), ""); }

inline std::string name_of_maker(const testing::TestParamInfo<StoreMaker>& info) { return info.param.name; }

}  // namespace scheduler::contract

#define SCHEDULER_STORE_CONTRACT(adapter, makers)                                       \
  INSTANTIATE_TEST_SUITE_P(adapter, TaskRepositoryContract, makers, name_of_maker);     \
  INSTANTIATE_TEST_SUITE_P(adapter, SlotRepositoryContract, makers, name_of_maker);     \
  INSTANTIATE_TEST_SUITE_P(adapter, DispatchRepositoryContract, makers, name_of_maker); \
  INSTANTIATE_TEST_SUITE_P(adapter, LimitsContract, makers, name_of_maker);             \
  INSTANTIATE_TEST_SUITE_P(adapter, RunRepositoryContract, makers, name_of_maker);      \
  INSTANTIATE_TEST_SUITE_P(adapter, RunLogRepositoryContract, makers, name_of_maker);   \
  INSTANTIATE_TEST_SUITE_P(adapter, UpstreamRunsContract, makers, name_of_maker);       \
  INSTANTIATE_TEST_SUITE_P(adapter, WorkerRepositoryContract, makers, name_of_maker);   \
  INSTANTIATE_TEST_SUITE_P(adapter, AccountStoreContract, makers, name_of_maker);       \
  INSTANTIATE_TEST_SUITE_P(adapter, WholeStoreContract, makers, name_of_maker)
