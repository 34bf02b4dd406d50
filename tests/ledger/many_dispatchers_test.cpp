// Eight dispatchers that never heard of each other, and a hundred thousand fire times: none is doubled, none is
// missing.
#include "ledger/ledger_world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <thread>

namespace scheduler::ledger {
namespace {

constexpr int kDispatchers = 8, kTasks = 400, kSlots = 250;  // 100,000 fire times
constexpr auto kBatch = static_cast<int>(domain::kCatchUpMax);

// All of them have the same fire times, so that every dispatcher wants every task; the clock stands behind the last.
std::vector<TaskId> make_tasks(Store& store, FakeClock& clock, const domain::TimeZones& zones) {
  People people(store, clock, zones);
  const auto service = people.tasks();
  std::vector<TaskId> tasks;
  for (int i = 0; i < kTasks; ++i)
    tasks.push_back(ok(service->create({.spec = {.name = "task-" + std::to_string(i),
                                                 .task_type = "noop",
                                                 .schedule = "* * * * * *",
                                                 .overlap_policy = OverlapPolicy::allow,
                                                 .misfire_policy = MisfirePolicy::all,
                                                 .misfire_grace = 1h}}))
                        .id);
  clock.advance(std::chrono::seconds(kSlots));
  return tasks;
}

// By the audit, and by rows that no code of ours has looked at.
void expect_each_slot_once(Ground& ground, FakeClock& clock, const domain::TimeZones& zones,
                           const std::vector<TaskId>& tasks) {
  People people(ground.store(), clock, zones);
  const auto service = people.tasks();
  std::int64_t fired = 0;
  for (const auto id : tasks) {
    const auto report = ok(service->slots(id, {.limit = 1}));
    EXPECT_TRUE(report.verdict->complete) << "task " << id.value << ": " << report.verdict->sentence;
    EXPECT_EQ(report.undecided, 0) << id.value;
    fired += report.counts.fired;
  }
  constexpr std::int64_t kAll = std::int64_t{kTasks} * kSlots;
  EXPECT_EQ(fired, kAll);
  EXPECT_EQ(ground.count("SELECT count(*) FROM task_runs"), kAll);
  EXPECT_EQ(ground.count("SELECT count(*) FROM (SELECT DISTINCT task_id, slot FROM task_runs) AS slots"), kAll);
  EXPECT_EQ(ground.count("SELECT count(*) FROM schedule_slots s JOIN task_runs r ON r.id = s.run_id"
                         " AND r.task_id = s.task_id AND r.slot = s.slot"),
            kAll);
}

// Ticks until nothing is due; how many of the decisions were its own.
Async<int> dispatch(Dispatcher& dispatcher) {
  int runs = 0;
  for (;;) {
    CO_TRY(const auto tick, dispatcher.tick());
    runs += static_cast<int>(tick.done);
    if (tick.rest > Micros{0}) co_return runs;
  }
}

TEST(ManyDispatchers, EightProcessesOnPostgres_NoSlotIsDoubledOrMissing) {
  SCHEDULER_REQUIRE_SERVICE(server, "POSTGRES");
  FakeClock clock;
  const Zones zones;
  PostgresGround ground(clock, server);
  const auto tasks = make_tasks(ground.store(), clock, zones);
  std::vector<int> made(kDispatchers);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kDispatchers; ++i)
      threads.emplace_back([&, i] {
        const auto store = ground.open();
        Dispatcher dispatcher(store->slots(), clock, zones);
        made[static_cast<std::size_t>(i)] = ok(dispatch(dispatcher));
      });
  }
  EXPECT_EQ(std::accumulate(made.begin(), made.end(), 0), kTasks * kSlots);
  EXPECT_GT(std::ranges::count_if(made, [](int n) { return n >= kBatch; }), 1) << "one alone did everything";
  expect_each_slot_once(ground, clock, zones, tasks);
}

TEST(ManyDispatchers, EightLoopsOnSqlite_NoSlotIsDoubledOrMissing) {
  FakeClock clock;
  const Zones zones;
  SqliteGround ground(clock);
  const auto tasks = make_tasks(ground.store(), clock, zones);
  std::vector<std::unique_ptr<Dispatcher>> dispatchers;
  std::vector<Async<int>> works;
  for (int i = 0; i < kDispatchers; ++i) {
    dispatchers.push_back(std::make_unique<Dispatcher>(ground.store().slots(), clock, zones));
    works.push_back(dispatch(*dispatchers.back()));
  }
  int made = 0;
  for (auto& it : testing_support::run_all(std::move(works))) made += must(std::move(it));
  EXPECT_EQ(made, kTasks * kSlots);
  expect_each_slot_once(ground, clock, zones, tasks);
}

}  // namespace
}  // namespace scheduler::ledger
