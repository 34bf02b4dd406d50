#include "infrastructure/postgres/postgres_store.hpp"

#include "contract/store_contract.hpp"
#include "infrastructure/postgres/postgres_claim.hpp"
#include "infrastructure/postgres/postgres_schema_admin.hpp"
#include "support/postgres_schema.hpp"

#include <thread>

namespace scheduler::contract {
namespace {

namespace postgres = database::postgres;
using infrastructure::PostgresStore;
using testing_support::PostgresSchema;

class PostgresUnderTest final : public StoreUnderTest {
 public:
  PostgresUnderTest(const Clock& clock, const std::string& server)
      : schema_(server),
        store_(must(PostgresStore::open({.connection = {.url = schema_.url()}, .connections_max = 6}, &clock))) {}
  Store& store() override { return *store_; }

 private:
  PostgresSchema schema_;
  std::unique_ptr<PostgresStore> store_;
};

const StoreMaker kServer{"server", [](const Clock& clock) -> std::unique_ptr<StoreUnderTest> {
                           const auto url = testing_support::service_url("POSTGRES");
                           if (!url) return nullptr;
                           return std::make_unique<PostgresUnderTest>(clock, *url);
                         }};

SCHEDULER_STORE_CONTRACT(Postgres, testing::Values(kServer));

// ---- what only PostgreSQL promises: many processes at once ----------------------------------------------------------

// The words of the contracts, over one store whose calls may overlap.
class PostgresStoreTest : public StoreContract {
 protected:
  template <class T>
  static std::vector<T> all_of(std::vector<Async<T>> works) {
    std::vector<T> values;
    for (auto& it : run_all(std::move(works))) values.push_back(must(std::move(it)));
    return values;
  }
};
INSTANTIATE_TEST_SUITE_P(Postgres, PostgresStoreTest, testing::Values(kServer), name_of_maker);

// Two that both saw the other's run still active once left what waited there for ever.
TEST_P(PostgresStoreTest, Apply_LastTwoActiveRunsEndAtOnce_WhatWaitsGoesOn) {
  const auto task = create_scheduled("a", OverlapPolicy::queue_one, 4);
  fire(task.id);
  for (int round = 0; round < 5; ++round) {
    fire(task.id);
    std::vector<Async<std::vector<Applied>>> works;
    for (const auto& it : runs_of(task.id)) {
      if (it.state != RunState::pending) continue;
      send(it.id);
      works.push_back(dispatch().apply({ended(it.id, RunState::succeeded)}));
    }
    ASSERT_EQ(works.size(), 4u) << "round " << round;
    all_of(std::move(works));
  }
  EXPECT_EQ(ok(store().stats()).active_runs.at("waiting"), 0);
  EXPECT_EQ(ok(store().stats()).active_runs.at("pending"), 4);
}

TEST_P(PostgresStoreTest, Apply_FireWhileTheActiveRunEnds_NothingIsLeftWaitingAlone) {
  for (int round = 0; round < 10; ++round) {
    const auto task = create_scheduled(fmt::format("t{}", round), OverlapPolicy::queue_one);
    const auto id = trigger(task.id);
    send(id);
    const auto slot = clock.now() + 1min;
    const auto end = ended(id, RunState::succeeded);
    std::vector<Async<std::size_t>> works;
    works.push_back([](DispatchRepository& to, Ended it) -> Async<std::size_t> {
      CO_TRY(const auto won, to.apply({it}));
      co_return won.size();
    }(dispatch(), end));
    works.push_back([](SlotRepository& to, Fire it) -> Async<std::size_t> {
      CO_TRY(const auto report, to.commit({it}));
      co_return report.runs;
    }(slots(), Fire{task, {{fired(slot)}, slot, slot + 1min}}));
    all_of(std::move(works));
    EXPECT_THAT(states_of(task.id), ElementsAre(RunState::succeeded, RunState::pending)) << "round " << round;
  }
}

// Several dispatchers decide a slot of the same task while its runs end: whoever is first, the policy holds.
TEST_P(PostgresStoreTest, Commit_ManyAtOnceWhileRunsEnd_TheOverlapPolicyHolds) {
  struct Row {
    OverlapPolicy policy;
    std::size_t active_max, waiting_max;
  };
  for (const auto& row :
       {Row{OverlapPolicy::forbid, 1, 0}, Row{OverlapPolicy::queue_one, 1, 1}, Row{OverlapPolicy::replace, 1, 1}}) {
    const auto task = create_scheduled(std::string(name_of(row.policy)), row.policy);
    std::vector<TimePoint> times;
    std::size_t made = 0, skipped = 0;
    for (int round = 0; round < 20; ++round) {
      const auto label = fmt::format("{}, round {}", name_of(row.policy), round);
      clock.advance(1min);
      times.push_back(clock.now());
      const auto seen = ok(tasks().get(task.id));
      std::vector<Async<FireReport>> works;
      for (int i = 0; i < 4; ++i)
        works.push_back(slots().commit({{seen, {{fired(clock.now())}, clock.now(), clock.now() + 1min}}}));
      // In every other round what goes ends meanwhile; else the slot finds it there.
      for (const auto& it : runs_of(task.id)) {
        if (domain::is_terminal(it.state) || it.state == RunState::waiting || round % 2 == 0) continue;
        if (it.state == RunState::pending) send(it.id);
        works.push_back([](DispatchRepository& to, Ended end) -> Async<FireReport> {
          CO_TRY(const auto won, to.apply({end}));
          co_return FireReport{.lost_races = 1};
        }(dispatch(), ended(it.id, RunState::succeeded)));
      }
      for (const auto& report : all_of(std::move(works))) {
        made += report.runs;
        skipped += report.skipped;
      }
      std::size_t active = 0, waiting = 0;
      for (const auto state : states_of(task.id)) {
        active += state == RunState::pending || state == RunState::dispatched;
        waiting += state == RunState::waiting;
      }
      EXPECT_EQ(made + skipped, times.size()) << label;
      EXPECT_LE(active, row.active_max) << label;
      EXPECT_LE(waiting, row.waiting_max) << label;
      EXPECT_GE(active, std::min<std::size_t>(waiting, 1)) << label << ": nothing waits for nobody";
    }
    EXPECT_GT(made, 5u) << name_of(row.policy);
    domain::SlotAudit audit;
    audit.add(times, ok(slots().recorded(task.id, times)));
    EXPECT_EQ(audit.counts().missing + audit.counts().doubled, 0) << name_of(row.policy);
    EXPECT_EQ(audit.counts().fired, static_cast<std::int64_t>(made)) << name_of(row.policy);
  }
}

TEST_P(PostgresStoreTest, Round_UpstreamsEndAtOnce_MakeOneRun) {
  std::vector<TaskId> upstreams;
  for (const auto* name : {"a", "b", "c", "d"}) upstreams.push_back(create(name).id);
  const auto after = create_after("after", upstreams);
  for (std::size_t round = 1; round <= 5; ++round) {
    std::vector<Async<std::vector<Applied>>> works;
    for (const auto task : upstreams) {
      const auto id = trigger(task);
      send(id);
      works.push_back(dispatch().apply({ended(id, RunState::succeeded)}));
    }
    all_of(std::move(works));
    EXPECT_EQ(runs_of(after.id).size(), round);
  }
}

TEST_P(PostgresStoreTest, Insert_SameKeyAtOnce_MakesTheRunsOnce) {
  auto it = spec("a");
  it.shard_count = 3;
  const auto task = create(it);
  std::vector<Async<NewRuns>> works;
  for (int i = 0; i < 12; ++i) works.push_back(runs().insert({.task = task.id, .idempotency_key = "k"}));
  int made = 0;
  for (const auto& result : all_of(std::move(works))) {
    made += !result.existed;
    EXPECT_EQ(result.runs.size(), 3u);
  }
  EXPECT_EQ(made, 1);
  EXPECT_EQ(runs_of(task.id).size(), 3u);
}

TEST_P(PostgresStoreTest, Update_TwoThatCloseACycleTogether_OneIsRefused) {
  for (int round = 0; round < 5; ++round) {
    auto a = create(fmt::format("a{}", round)), b = create(fmt::format("b{}", round));
    a.spec.dependencies = {b.id};
    b.spec.dependencies = {a.id};
    std::vector<Async<Task>> works;
    works.push_back(tasks().update(a, {}));
    works.push_back(tasks().update(b, {}));
    int refused = 0;
    for (const auto& result : run_all(std::move(works))) {
      refused += !result;
      if (!result) EXPECT_EQ(result.error().kind, ErrorKind::DependencyCycle) << result.error().message;
    }
    EXPECT_EQ(refused, 1);
  }
}

TEST_P(PostgresStoreTest, Create_SameNameAtOnce_OneIsRefused) {
  std::vector<Async<Task>> works;
  for (int i = 0; i < 6; ++i) works.push_back(tasks().create({.spec = spec("a")}));
  int made = 0;
  for (const auto& result : run_all(std::move(works))) {
    made += result.has_value();
    if (!result) EXPECT_EQ(result.error().kind, ErrorKind::DuplicateTaskName) << result.error().message;
  }
  EXPECT_EQ(made, 1);
}

TEST_P(PostgresStoreTest, Archive_WhileRunsAreMade_LeavesNoneThatCouldStart) {
  for (int round = 0; round < 5; ++round) {
    const auto task = create(fmt::format("t{}", round));
    std::vector<Async<void>> works;
    for (int i = 0; i < 4; ++i)
      works.push_back([](RunRepository& to, TaskId id) -> Async<void> {
        CO_TRY(const auto made, to.insert({.task = id}));
        co_return SchedulerResult<void>{};
      }(runs(), task.id));
    works.push_back(tasks().archive(task.id));
    run_all(std::move(works));
    EXPECT_EQ(ok(store().stats()).active_runs.at("pending"), 0);
  }
}

TEST_P(PostgresStoreTest, Heartbeat_FirstOneHeardTwiceAtOnce_RegistersOnce) {
  std::vector<Async<HeartbeatReply>> works;
  for (int i = 0; i < 6; ++i) works.push_back(workers().heartbeat(beat("w1", kWorker), 30s));
  int registered = 0;
  for (const auto& reply : all_of(std::move(works))) registered += reply.registered;
  EXPECT_EQ(registered, 1);
}

// ---- guards, room, claim --------------------------------------------------------------------------------------------

class PostgresSchemaTest : public testing::Test {
 protected:
  void SetUp() override {
    SCHEDULER_REQUIRE_SERVICE(server, "POSTGRES");
    schema.emplace(server);
    options.connection.url = schema->url();
  }
  std::optional<PostgresSchema> schema;
  postgres::Options options{.connection = {}, .connections_max = 2};
};

TEST_F(PostgresSchemaTest, RawSql_ChangingThePast_IsRefused) {
  const auto store = must(PostgresStore::open(options));
  const auto query = [&](std::string sql) { return run_async(store->database().query(sql)); };
  must(query(
      "INSERT INTO task_runs (task_id, shard_index, shard_total, priority, triggered_by, state, route, created_at,"
      " due_at, ended_at, token) VALUES (1, 0, 1, 5, 'manual', 'failed', '', now(), now(), now(), 7),"
      " (1, 0, 1, 5, 'manual', 'pending', '', now(), now(), NULL, 7)"));
  for (const auto* sql : {"UPDATE task_runs SET state = 'succeeded' WHERE state = 'failed'",
                          "UPDATE task_runs SET state = 'pending', ended_at = NULL WHERE state = 'failed'",
                          "UPDATE task_runs SET token = token + 1 WHERE state = 'failed'",
                          "UPDATE task_runs SET token = token - 1 WHERE state = 'pending'"}) {
    const auto refused = query(sql);
    ASSERT_FALSE(refused) << sql;
    EXPECT_THAT(refused.error().message, HasSubstr("no token goes back")) << sql;
  }
  EXPECT_FALSE(query("UPDATE task_runs SET state = 'done' WHERE state = 'pending'"));
  EXPECT_TRUE(query("UPDATE task_runs SET token = token + 1 WHERE state = 'pending'"));
}

// Asked whether something is due, the server once read all that was pending, at each tick.
TEST_F(PostgresSchemaTest, View_ManyPendingRuns_ReadsAFewOfThem) {
  options.connections_max = 1;  // what a session has read it tells others when it is asked to
  const auto store = must(PostgresStore::open(options));
  const auto ask = [&](std::string sql) { return must(run_async(store->database().query(std::move(sql)))); };
  // Servers from 15 on tell when they are asked to; older ones by themselves, a second after a session has become idle.
  const bool on_request = ask("SELECT 1 FROM pg_proc WHERE proname = 'pg_stat_force_next_flush'").size() > 0;
  const auto rows_read = [&] {
    if (on_request)
      ask("SELECT pg_stat_force_next_flush()");
    else
      std::this_thread::sleep_for(2s);
    ask("SELECT 1");
    auto rows =
        ask("SELECT (SELECT sum(idx_tup_read) FROM pg_stat_user_indexes WHERE schemaname = current_schema())::bigint"
            " + (SELECT sum(seq_tup_read) FROM pg_stat_user_tables WHERE schemaname = current_schema())::bigint");
    return must(rows.value<std::int64_t>()).value();
  };
  ask("INSERT INTO task_runs (task_id, shard_index, shard_total, priority, triggered_by, state, route, created_at, "
      "due_at)"
      " SELECT 1, 0, 1, 5, 'manual', 'pending', 'noop', now(), now() FROM generate_series(1, 20000)");
  const auto before = rows_read();
  for (int i = 0; i < 10; ++i) must(run_async(store->dispatch().view()));
  EXPECT_LT(rows_read() - before, 5000) << "ten views";
}

TEST_F(PostgresSchemaTest, Now_WithoutAClockOfItsOwn_IsTheServers) {
  const auto store = must(PostgresStore::open(options));
  const auto before = std::chrono::time_point_cast<Micros>(std::chrono::system_clock::now());
  const auto now = must(run_async(store->now()));
  EXPECT_LT(std::chrono::abs(now - before), 5s) << "the same machine";
}

TEST_F(PostgresSchemaTest, Open_PoolsThatDoNotFitTheServer_AreRefused) {
  options.connections_max = 20;
  const auto first = must(PostgresStore::open(options));
  must(run_async(first->now()));
  options.connections_max = 1'000'000;  // never fits, whatever other tests hold just now
  const auto second = PostgresStore::open(options);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::Config);
  EXPECT_THAT(second.error().message, HasSubstr("lower database.max_connections"));
  const std::string before = "others may need ";
  const auto at = second.error().message.find(before);
  ASSERT_NE(at, std::string::npos) << second.error().message;
  EXPECT_GE(std::stoi(second.error().message.substr(at + before.size())), 20) << "the whole pool of the first counts";
}

TEST_F(PostgresSchemaTest, Claim_TheSameSchemaTwice_IsRefusedUntilItIsGivenBack) {
  auto claim = must(infrastructure::PostgresClaim::take(options.connection.url));
  const auto second = infrastructure::PostgresClaim::take(options.connection.url);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().kind, ErrorKind::Unavailable);
  claim.reset();
  EXPECT_TRUE(infrastructure::PostgresClaim::take(options.connection.url));
}

TEST_F(PostgresSchemaTest, SchemaAdmin_RunStatusReset_LeaveAnEmptySchema) {
  const auto admin = must(infrastructure::open_postgres_schema(options.connection.url));
  EXPECT_FALSE(must(admin->status()).at(0).applied_at);
  EXPECT_EQ(must(admin->run()), 1);
  EXPECT_EQ(must(admin->run()), 0);
  EXPECT_TRUE(must(admin->status()).at(0).applied_at);
  must(admin->reset());
  EXPECT_FALSE(must(admin->status()).at(0).applied_at);
}

TEST_F(PostgresSchemaTest, SchemaAdmin_ResetOfASchemaInUse_IsRefused) {
  const auto admin = must(infrastructure::open_postgres_schema(options.connection.url));
  const auto store = must(infrastructure::PostgresStore::open(options));
  must(run_async(store->check_writable()));  // it has a connection now
  const auto refused = admin->reset();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Conflict);
}

}  // namespace
}  // namespace scheduler::contract
