// Eight dispatchers that never heard of each other, and a hundred thousand fire times: none is doubled, none is
// missing.
#include "ledger/ledger_world.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

namespace scheduler::ledger {
namespace {

constexpr int kDispatchers = 8, kTasks = 400, kSlots = 250;
constexpr std::int64_t kAll = std::int64_t{kTasks} * kSlots;  // 100,000 fire times

// Few tasks at a time, so that there is something to decide many times; the earliest ones, which everybody wants.
class SmallBatches final : public SlotRepository {
 public:
  explicit SmallBatches(SlotRepository& real) : real_(real) {}
  Async<FireView> due(std::size_t limit) override { return real_.due(std::min<std::size_t>(limit, 20)); }
  Async<FireReport> commit(std::vector<Fire> fires) override {
    CO_TRY(auto report, real_.commit(std::move(fires)));
    lost_races += report.lost_races;
    co_return report;
  }
  Async<void> quarantine(TaskId task, std::int64_t version) override { return real_.quarantine(task, version); }
  Async<std::vector<domain::SlotRecord>> recorded(TaskId task, std::vector<TimePoint> slots) override {
    return real_.recorded(task, std::move(slots));
  }
  std::size_t lost_races = 0;

 private:
  SlotRepository& real_;
};

// Who has won gives way until somebody else has: else the one that is awake would win again and again.
class Turns {
 public:
  void won(int who) {
    last_ = who;
    while (last_ == who && running_ > 1) std::this_thread::yield();
  }
  void finished() { --running_; }

 private:
  std::atomic<int> last_ = -1, running_ = kDispatchers;
};

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
  EXPECT_EQ(fired, kAll);
  EXPECT_EQ(ground.count("SELECT count(*) FROM task_runs"), kAll);
  EXPECT_EQ(ground.count("SELECT count(*) FROM (SELECT DISTINCT task_id, slot FROM task_runs) AS slots"), kAll);
  EXPECT_EQ(ground.count("SELECT count(*) FROM schedule_slots s JOIN task_runs r ON r.id = s.run_id"
                         " AND r.task_id = s.task_id AND r.slot = s.slot"),
            kAll);
}

struct Share {
  std::int64_t runs = 0;
  std::size_t lost_races = 0;
};

// One process: its own connections, its own thread.
Share dispatch_alone(int who, const PostgresGround& ground, FakeClock& clock, const domain::TimeZones& zones,
                     Turns& turns) {
  const auto store = ground.open();
  SmallBatches slots(store->slots());
  Dispatcher dispatcher(slots, clock, zones);
  Share share;
  for (;;) {
    const auto tick = ok(dispatcher.tick());
    share.runs += static_cast<std::int64_t>(tick.done);
    if (tick.rest > Micros{0}) break;
    if (tick.done > 0) turns.won(who);
  }
  turns.finished();
  share.lost_races = slots.lost_races;
  return share;
}

Async<std::int64_t> dispatch_beside_others(Dispatcher& dispatcher) {
  std::int64_t runs = 0;
  for (;;) {
    CO_TRY(const auto tick, dispatcher.tick());
    runs += static_cast<std::int64_t>(tick.done);
    if (tick.rest > Micros{0}) co_return runs;
  }
}

TEST(ManyDispatchers, EightProcessesOnPostgres_NoSlotIsDoubledOrMissing) {
  SCHEDULER_REQUIRE_SERVICE(server, "POSTGRES");
  FakeClock clock;
  const Zones zones;
  PostgresGround ground(clock, server);
  const auto tasks = make_tasks(ground.store(), clock, zones);
  Turns turns;
  std::vector<Share> shares(kDispatchers);
  {
    std::vector<std::jthread> threads;
    for (int i = 0; i < kDispatchers; ++i)
      threads.emplace_back(
          [&, i] { shares[static_cast<std::size_t>(i)] = dispatch_alone(i, ground, clock, zones, turns); });
  }
  std::int64_t runs = 0;
  std::size_t lost_races = 0;
  for (const auto& it : shares) runs += it.runs, lost_races += it.lost_races;
  EXPECT_EQ(runs, kAll);
  EXPECT_GT(lost_races, 0u) << "nobody wanted the same";
  EXPECT_GT(std::ranges::count_if(shares, [](const Share& it) { return it.runs > 0; }), 1)
      << "one alone did everything";
  expect_each_slot_once(ground, clock, zones, tasks);
}

TEST(ManyDispatchers, EightLoopsOnSqlite_NoSlotIsDoubledOrMissing) {
  FakeClock clock;
  const Zones zones;
  SqliteGround ground(clock);
  const auto tasks = make_tasks(ground.store(), clock, zones);
  SmallBatches slots(ground.store().slots());
  std::vector<std::unique_ptr<Dispatcher>> dispatchers;
  std::vector<Async<std::int64_t>> works;
  for (int i = 0; i < kDispatchers; ++i) {
    dispatchers.push_back(std::make_unique<Dispatcher>(slots, clock, zones));
    works.push_back(dispatch_beside_others(*dispatchers.back()));
  }
  std::int64_t runs = 0;
  for (auto& it : testing_support::run_all(std::move(works))) runs += must(std::move(it));
  EXPECT_EQ(runs, kAll);
  EXPECT_GT(slots.lost_races, 0u) << "nobody wanted the same";
  expect_each_slot_once(ground, clock, zones, tasks);
}

}  // namespace
}  // namespace scheduler::ledger
