#include "infrastructure/sqlite/sqlite_store.hpp"

#include "contract/store_contract.hpp"
#include "support/temp_dir.hpp"

namespace scheduler::contract {
namespace {

namespace sqlite = database::sqlite;
using infrastructure::SqliteStore;
using testing_support::TempDir;

class SqliteUnderTest final : public StoreUnderTest {
 public:
  SqliteUnderTest(const Clock& clock, sqlite::Mode mode)
      : path(mode == sqlite::Mode::threaded ? directory_.file("scheduler.db") : ":memory:"),
        store_(must(SqliteStore::open(clock, {.path = path, .mode = mode}))) {}
  Store& store() override { return *store_; }

 private:
  TempDir directory_;

 public:
  const std::string path;

 private:
  std::unique_ptr<SqliteStore> store_;
};

const StoreMaker kThreaded{"file", [](const Clock& clock) -> std::unique_ptr<StoreUnderTest> {
                             return std::make_unique<SqliteUnderTest>(clock, sqlite::Mode::threaded);
                           }};
const StoreMaker kInline{"memory", [](const Clock& clock) -> std::unique_ptr<StoreUnderTest> {
                           return std::make_unique<SqliteUnderTest>(clock, sqlite::Mode::inline_);
                         }};

SCHEDULER_STORE_CONTRACT(Sqlite, testing::Values(kThreaded, kInline));

// ---- what only SQLite promises --------------------------------------------------------------------------------------

// A store in a file, and a second connection for SQL of our own.
class SqliteStoreTest : public testing::Test {
 protected:
  SqliteStoreTest()
      : store(clock, sqlite::Mode::threaded),
        connection(must(sqlite::Connection::open(store.path, sqlite::Connection::Access::read_write))) {}

  RunId ended_run() {
    const auto task = must(run_async(store.store().tasks().create({.spec = {.name = "a", .task_type = "shell"}})));
    const auto id = must(run_async(store.store().runs().insert({.task = task.id}))).runs.at(0).id;
    must(run_async(store.store().dispatch().mark_dispatched({{id, 0, WorkerId{"w1"}, IncarnationId{1}}})));
    must(run_async(store.store().dispatch().apply(
        {Ended{.run = id, .token = 1, .ended_at = clock.now(), .next = domain::End{RunState::succeeded}}})));
    return id;
  }

  FakeClock clock;
  SqliteUnderTest store;
  std::unique_ptr<sqlite::Connection> connection;
};

TEST_F(SqliteStoreTest, RawSql_ChangingAnEndedRun_IsRefused) {
  const auto id = ended_run();
  for (const auto* sql : {"UPDATE task_runs SET state = 'failed' WHERE id = ?",
                          "UPDATE task_runs SET state = 'pending', ended_at = NULL WHERE id = ?",
                          "UPDATE task_runs SET token = token + 1 WHERE id = ?"}) {
    const auto refused = connection->execute(sql, id);
    ASSERT_FALSE(refused) << sql;
    EXPECT_EQ(refused.error().kind, ErrorKind::Database);
    EXPECT_THAT(refused.error().message, HasSubstr("ended never changes"));
  }
}

TEST_F(SqliteStoreTest, RawSql_TokenGoingBack_IsRefused) {
  const auto id = ended_run();
  must(
      connection->execute("INSERT INTO task_runs (task_id, triggered_by, shard_index, shard_total, state, route,"
                          " priority, created_at, due_at, token)"
                          " SELECT task_id, 'manual', 0, 1, 'pending', route, 5, 0, 0, 7 FROM task_runs WHERE id = ?",
                          id));
  const auto refused = connection->execute("UPDATE task_runs SET token = 6 WHERE token = 7");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("no token goes back"));
  EXPECT_EQ(connection->execute("UPDATE task_runs SET token = 8 WHERE token = 7"), 1);
}

TEST_F(SqliteStoreTest, RawSql_WordOutsideTheStateMachine_IsRefused) {
  const auto id = ended_run();
  EXPECT_FALSE(connection->execute("UPDATE task_runs SET state = 'done' WHERE id = ?", id));
}

// A query that lost its index would make every dispatch as slow as history is long.
TEST_F(SqliteStoreTest, HotQueries_AreAnsweredByTheirIndexes) {
  const struct {
    std::string_view sql, plan;
  } rows[] = {
      {"SELECT route, priority FROM task_runs WHERE state = 'pending' AND route > '' ORDER BY route, priority LIMIT 1",
       "COVERING INDEX task_runs_pending (route>?)"},
      {"SELECT due_at, id FROM task_runs WHERE state = 'pending' AND route = '' AND priority = 5 AND due_at <= 0"
       " ORDER BY due_at, id LIMIT 9",
       "COVERING INDEX task_runs_pending (route=? AND priority=? AND due_at<?)"},
      {"SELECT count(*) FROM task_runs WHERE incarnation = 1 AND state IN ('dispatched', 'running')",
       "COVERING INDEX task_runs_held (incarnation=?"},
      {"SELECT count(*) FROM task_runs WHERE task_id = 1 AND ended_at IS NULL", "COVERING INDEX task_runs_active"},
      {"SELECT id FROM task_runs WHERE task_id = 1 AND state = 'waiting' AND waits_for = 'limit' ORDER BY due_at, id"
       " LIMIT 1",
       "INDEX task_runs_waiting (task_id=? AND waits_for=?)"},
      {"SELECT count(*) FROM task_runs WHERE task_id = 1 AND ended_at IS NULL AND holds_room = 1",
       "COVERING INDEX task_runs_room (task_id=?"},
      {"SELECT min(due_at) FROM task_runs WHERE state = 'waiting' AND waits_for = 'time'", "INDEX task_runs_timely"},
      {"SELECT id FROM task_runs INDEXED BY task_runs_active WHERE task_id = 1 AND ended_at IS NULL ORDER BY id DESC"
       " LIMIT 1",
       "INDEX task_runs_active (task_id=? AND ended_at=?)"},
      {"UPDATE task_runs SET state = 'dispatched' WHERE id = 1 AND token = 0 AND state = 'pending'",
       "INTEGER PRIMARY KEY (rowid=?)"},
      {"SELECT id FROM tasks WHERE status = 'active' AND archived_at IS NULL AND next_fire_at <= 0"
       " ORDER BY next_fire_at, id LIMIT 9",
       "INDEX tasks_next_fire_at (next_fire_at<?)"},
      {"SELECT reason FROM schedule_slots WHERE task_id = 1 AND disposition = 'skipped' AND slot BETWEEN 1 AND 2",
       "INDEX schedule_slots_skipped (task_id=? AND slot>? AND slot<?)"},
      {"SELECT run_id FROM schedule_slots WHERE slot = 1 AND task_id = 1 AND disposition = 'fired'",
       "PRIMARY KEY (slot=? AND task_id=?)"},
  };
  for (const auto& row : rows) {
    auto plan = connection->query("EXPLAIN QUERY PLAN " + std::string(row.sql));
    ASSERT_TRUE(must(plan.step()));
    int ignored = 0;
    std::string detail;
    plan.read(ignored, ignored, ignored, detail);
    EXPECT_THAT(detail, HasSubstr(row.plan)) << row.sql;
    EXPECT_FALSE(must(plan.step())) << "one step, no sorting: " << row.sql;
  }
}

TEST(SqliteStoreOpen, FileThatExists_KeepsWhatIsInIt) {
  const TempDir directory;
  const FakeClock clock;
  const sqlite::Options options{.path = directory.file("scheduler.db")};
  TaskId id;
  {
    const auto store = must(SqliteStore::open(clock, options));
    id = must(run_async(store->tasks().create({.spec = {.name = "a", .task_type = "shell"}}))).id;
  }
  const auto store = must(SqliteStore::open(clock, options));
  EXPECT_EQ(must(run_async(store->tasks().find("a"))).id, id);
  EXPECT_THAT(store->describe(), HasSubstr(options.path));
}

}  // namespace
}  // namespace scheduler::contract
