#include "database/postgres/database.hpp"
#include "database/postgres/migrations.hpp"
#include "support/postgres_schema.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <csignal>
#include <limits>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>

namespace scheduler::database::postgres {
namespace {

using namespace std::chrono_literals;
using testing::ElementsAre;
using testing::HasSubstr;
using testing_support::PostgresSchema;
using testing_support::run_all;
using testing_support::run_async;

class PostgresTest : public testing::Test {
 protected:
  void SetUp() override {
    SCHEDULER_REQUIRE_SERVICE(url, "POSTGRES");
    schema.emplace(url);
    options.connection.url = schema->url();
    options.connections_max = 2;
  }

  template <class T>
  static T ok(SchedulerResult<T> result) {
    if (!result) throw std::runtime_error(result.error().message);
    if constexpr (!std::is_void_v<T>) return *std::move(result);
  }
  template <class T>
  static T ok(Async<T> work) {
    return ok(run_async(std::move(work)));
  }
  template <class T>
  static SchedulerError error(Async<T> work) {
    const auto result = run_async(std::move(work));
    if (result) throw std::runtime_error("expected an error and got a value");
    return result.error();
  }
  template <class T>
  static Async<T> value(Database& database, std::string sql) {
    CO_TRY(auto rows, database.query(sql));
    CO_UNWRAP(const auto found, rows.template value<T>());
    co_return found.value();
  }

  std::optional<PostgresSchema> schema;
  Options options;
};

// ---- values -----------------------------------------------------------------------------------------------------

TEST_F(PostgresTest, Query_EveryKindOfValue_ComesBackAsItWas) {
  Database database(options);
  const auto at = from_micros(1'767'225'600'123'456);
  const auto early = from_micros(-62'135'596'800'000'000);  // the year 1
  auto rows =
      ok(database.query("SELECT $1::bool, $2::bigint, $3::float8, $4::text, $5::timestamptz, $6::timestamptz,"
                        " $7::bigint, $8::text, $9::bigint, $10::smallint, $11::integer",
                        true, std::numeric_limits<std::int64_t>::min(), 0.1, "ä\"\\{},", at, early, TaskId{7},
                        WorkerId{"w"}, std::optional<int>{}, -3, -70'000));
  bool flag = false;
  std::int64_t least = 0;
  double tenth = 0;
  std::string text;
  TimePoint at_read{}, early_read{};
  TaskId task;
  WorkerId worker;
  std::optional<int> nothing = 1;
  int small = 0, integer = 0;
  ok(rows.all([&](Row& row) {
    return row.read(flag, least, tenth, text, at_read, early_read, task, worker, nothing, small, integer);
  }));
  EXPECT_TRUE(flag);
  EXPECT_EQ(least, std::numeric_limits<std::int64_t>::min());
  EXPECT_EQ(tenth, 0.1);
  EXPECT_EQ(text, "ä\"\\{},");
  EXPECT_EQ(at_read, at);
  EXPECT_EQ(early_read, early);
  EXPECT_EQ(task, TaskId{7});
  EXPECT_EQ(worker, WorkerId{"w"});
  EXPECT_FALSE(nothing);
  EXPECT_EQ(small, -3);
  EXPECT_EQ(integer, -70'000);
}

TEST_F(PostgresTest, Query_Arrays_KeepOrderAndNothing) {
  Database database(options);
  const std::vector<std::optional<std::string>> texts = {"a,b", std::nullopt, "", "{\"}"};
  auto rows =
      ok(database.query("SELECT t, n FROM unnest($1::text[], $2::bigint[]) WITH ORDINALITY u(t, n, o) ORDER BY o",
                        texts, std::vector<std::int64_t>{4, 3, 2, 1}));
  std::vector<std::optional<std::string>> read;
  ok(rows.all([&](Row& row) { return row.read(read.emplace_back()); }));
  EXPECT_EQ(read, texts);
  auto none = ok(database.query("SELECT * FROM unnest($1::text[])", std::vector<std::string>{}));
  EXPECT_EQ(none.size(), 0);
}

// One byte that is no UTF-8 once would have sunk a batch of a thousand reports.
TEST_F(PostgresTest, Query_BytesThatAreNoText_BecomeReplacementCharacters) {
  Database database(options);
  const std::string bytes("a\0b\xff\xc3(\xed\xa0\x80ä", 11);
  auto rows = ok(database.query("SELECT $1::text", bytes));
  EXPECT_EQ(ok(rows.value<std::string>()),
            "a\xef\xbf\xbd"
            "b\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdä");
}

TEST_F(PostgresTest, Rows_ColumnOfAnotherType_IsAnError) {
  Database database(options);
  auto rows = ok(database.query("SELECT 'seven'::text"));
  EXPECT_EQ(rows.value<std::int64_t>().error().kind, ErrorKind::Database);
}

// ---- groups and transactions ------------------------------------------------------------------------------------

class PostgresTableTest : public PostgresTest {
 protected:
  void SetUp() override {
    PostgresTest::SetUp();
    if (IsSkipped()) return;
    database.emplace(options);
    ok(database->query("CREATE TABLE t (id BIGINT PRIMARY KEY, name TEXT)"));
  }
  std::int64_t count() { return ok(value<std::int64_t>(*database, "SELECT count(*) FROM t")); }

  std::optional<Database> database;
};

Async<void> insert(Database& database, std::vector<std::int64_t> ids, bool commit) {
  CO_TRY(auto tx, database.begin(Access::write));
  for (const auto id : ids) tx.send("INSERT INTO t (id) VALUES ($1)", id);
  CO_TRY(const auto rows, tx.flush());
  if (rows.size() != ids.size()) co_return fail(ErrorKind::Internal, "another number of answers than statements");
  if (commit) CO_CHECK(tx.commit());
  co_return SchedulerResult<void>{};
}

TEST_F(PostgresTableTest, Transaction_Committed_IsThere) {
  ok(insert(*database, {1, 2, 3}, true));
  EXPECT_EQ(count(), 3);
}

TEST_F(PostgresTableTest, Transaction_NotCommitted_IsUndoneAndTheConnectionIsUsedAgain) {
  ok(insert(*database, {1}, false));
  EXPECT_EQ(count(), 0);
  EXPECT_EQ(database->open_connections(), 1u);
}

TEST_F(PostgresTableTest, Transaction_NothingWasSent_LeavesNothingBehind) {
  ok([](Database& it) -> Async<void> {
    CO_TRY(const auto tx, it.begin(Access::write));
    co_return SchedulerResult<void>{};
  }(*database));
  EXPECT_EQ(count(), 0);
}

TEST_F(PostgresTableTest, Transaction_QueuedAndNeverFlushed_DoesNothing) {
  ok([](Database& it) -> Async<void> {
    CO_TRY(auto tx, it.begin(Access::write));
    tx.send("INSERT INTO t (id) VALUES (1)");
    co_return SchedulerResult<void>{};
  }(*database));
  EXPECT_EQ(count(), 0);
}

TEST_F(PostgresTableTest, Group_ErrorInTheMiddle_UndoesAllAndNamesTheFirst) {
  const auto why = error(insert(*database, {1, 2, 1, 3}, true));
  EXPECT_EQ(why.kind, ErrorKind::Conflict);
  EXPECT_THAT(why.message, HasSubstr("duplicate key"));
  EXPECT_EQ(count(), 0);
}

// A statement whose first use came behind an error was once taken for prepared.
TEST_F(PostgresTableTest, Group_NewStatementBehindAnError_CanBeUsedLater) {
  options.connections_max = 1;
  Database one(options);
  const auto group = [](Database& it, bool with_error) -> Async<void> {
    CO_TRY(const auto lease, it.acquire());
    if (with_error) lease->send("SELECT 1 / 0");
    lease->send("INSERT INTO t (id, name) VALUES ($1, $2)", 1, "new");
    CO_TRY(const auto rows, lease->flush());
    co_return SchedulerResult<void>{};
  };
  EXPECT_EQ(error(group(one, true)).kind, ErrorKind::Database);
  ok(group(one, false));
  EXPECT_EQ(count(), 1);
}

TEST_F(PostgresTableTest, ReadTransaction_SeesOneSnapshotAndCannotWrite) {
  ok(insert(*database, {1}, true));
  ok([](Database& it) -> Async<void> {
    CO_TRY(auto tx, it.begin(Access::read));
    CO_TRY(auto before, tx.query("SELECT count(*) FROM t"));
    CO_CHECK(insert(it, {2}, true));
    CO_TRY(auto after, tx.query("SELECT count(*) FROM t"));
    EXPECT_EQ(*before.value<int>(), *after.value<int>());
    auto write = co_await tx.query("INSERT INTO t (id) VALUES (9)");
    EXPECT_FALSE(write);
    co_return SchedulerResult<void>{};
  }(*database));
  EXPECT_EQ(count(), 2);
}

TEST_F(PostgresTableTest, Group_LargerThanEverySocketBuffer_Arrives) {
  const std::string large(1 << 20, 'x');
  ok([](Database& it, std::string text) -> Async<void> {
    CO_TRY(auto tx, it.begin(Access::write));
    for (int i = 0; i < 32; ++i) tx.send("INSERT INTO t (id, name) VALUES ($1, $2) RETURNING name", i, text);
    co_return co_await tx.commit();
  }(*database, large));
  EXPECT_EQ(count(), 32);
}

// ---- pool -------------------------------------------------------------------------------------------------------

TEST_F(PostgresTest, Pool_MoreCallersThanConnections_WaitInLine) {
  Database database(options);
  std::vector<Async<int>> works;
  for (int i = 0; i < 40; ++i) works.push_back(value<int>(database, "SELECT 1 FROM pg_sleep(0.001)"));
  for (const auto& it : run_all(std::move(works))) EXPECT_EQ(it, 1);
  EXPECT_EQ(database.open_connections(), 2u);
}

TEST_F(PostgresTest, Pool_AllLentTooLong_SaysSo) {
  options.connections_max = 1;
  options.acquire_timeout = 20ms;
  Database database(options);
  const auto why = error([](Database& it) -> Async<void> {
    CO_TRY(const auto held, it.acquire());
    CO_TRY(const auto second, it.acquire());
    co_return SchedulerResult<void>{};
  }(database));
  EXPECT_EQ(why.kind, ErrorKind::Unavailable);
  EXPECT_THAT(why.message, HasSubstr("database.max_connections"));
  EXPECT_EQ(ok(value<int>(database, "SELECT 1")), 1);
}

TEST_F(PostgresTest, Pool_BackendKilledWhileIdle_NobodyNotices) {
  Database database(options), other(options);
  const auto pid = ok(value<int>(database, "SELECT pg_backend_pid()"));
  ok(other.query("SELECT pg_terminate_backend($1::int, 5000)", pid));
  EXPECT_NE(ok(value<int>(database, "SELECT pg_backend_pid()")), pid);
}

TEST_F(PostgresTest, Call_BackendKilledMeanwhile_FailsAndTheNextOneWorks) {
  Database database(options), other(options);
  const auto pid = ok(value<int>(database, "SELECT pg_backend_pid()"));
  std::vector<Async<int>> works;
  works.push_back(value<int>(database, "SELECT 1 FROM pg_sleep(30)"));
  works.push_back([](Database& it, int victim) -> Async<int> {
    for (;;) {  // until the victim is at work
      CO_TRY(auto rows, it.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1::int"
                                 " AND query LIKE '%pg_sleep%' AND state = 'active'",
                                 victim));
      if (rows.size() == 1) co_return 0;
    }
  }(other, pid));
  const auto results = run_all(std::move(works));
  ASSERT_FALSE(results[0]);
  EXPECT_EQ(results[0].error().kind, ErrorKind::Unavailable);
  EXPECT_EQ(ok(value<int>(database, "SELECT 1")), 1);
}

TEST_F(PostgresTest, Call_LongerThanItsLimit_IsGivenUpAndTheConnectionLives) {
  options.connection.call_timeout = 50ms;
  Database database(options);
  const auto pid = ok(value<int>(database, "SELECT pg_backend_pid()"));
  EXPECT_EQ(error(database.query("SELECT pg_sleep(30)")).kind, ErrorKind::Timeout);
  EXPECT_EQ(ok(value<int>(database, "SELECT pg_backend_pid()")), pid);
}

TEST_F(PostgresTest, Call_ServerBecameReadOnly_DropsTheConnection) {
  Database database(options);
  const auto pid = ok(value<int>(database, "SELECT pg_backend_pid()"));
  ok(database.query("SET default_transaction_read_only = on"));
  EXPECT_NE(ok(value<int>(database, "SELECT pg_backend_pid()")), pid);
}

// A peer that is there and says nothing: its host hangs, or a firewall forgot the connection.
TEST_F(PostgresTest, Call_ServerSaysNothing_IsGivenUpAndTheNextOneHasAnotherConnection) {
  options.connection.call_timeout = 50ms;
  Database database(options);
  const auto pid = ok(value<int>(database, "SELECT pg_backend_pid()"));
  ASSERT_EQ(::kill(pid, SIGSTOP), 0) << "the backend runs as another user";
  const auto why = error(database.query("SELECT 1"));
  ::kill(pid, SIGCONT);
  EXPECT_EQ(why.kind, ErrorKind::Timeout);
  EXPECT_NE(ok(value<int>(database, "SELECT pg_backend_pid()")), pid);
}

TEST(PostgresConnect, ListenerThatNeverAnswers_IsGivenUp) {
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
  socklen_t size = sizeof address;
  ASSERT_EQ(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), 0);
  ASSERT_EQ(::listen(listener, 1), 0);
  ASSERT_EQ(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), 0);
  Options options;
  options.connection.url = fmt::format("postgresql://u:p@127.0.0.1:{}/d", ntohs(address.sin_port));
  options.connection.connect_timeout = 50ms;
  Database database(options);
  const auto refused = run_async(database.query("SELECT 1"));
  ::close(listener);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable);
  EXPECT_THAT(refused.error().message, HasSubstr("did not answer within 50 ms"));
}

TEST_F(PostgresTest, Connect_WrongPassword_IsRefusedWithoutTellingIt) {
  auto url = options.connection.url;
  const auto at = url.find('@'), colon = url.rfind(':', at);
  options.connection.url = url.replace(colon + 1, at - colon - 1, "wrong-secret");
  Database database(options);
  const auto why = error(database.query("SELECT 1"));
  EXPECT_EQ(why.kind, ErrorKind::Database);
  EXPECT_THAT(why.message, testing::Not(HasSubstr("wrong-secret")));
}

TEST(PostgresConnect, NobodyListens_IsUnavailableAndThenFailsAtOnce) {
  Options options;
  options.connection.url = "postgresql://u:p@127.0.0.1:1/d";
  Database database(options);
  for (int i = 0; i < 2; ++i) {
    const auto refused = run_async(database.query("SELECT 1"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind, ErrorKind::Unavailable);
    EXPECT_THAT(refused.error().message, HasSubstr("127.0.0.1:1/d"));
    EXPECT_THAT(refused.error().message, HasSubstr("Connection refused; Is the server running on that host"));
    EXPECT_EQ(refused.error().message.find_first_of("\t\n"), std::string::npos) << refused.error().message;
  }
  EXPECT_EQ(database.open_connections(), 0u);
}

// ---- migrations -------------------------------------------------------------------------------------------------

Async<int> migrate(ConnectionOptions options, std::span<const Migration> known) {
  CO_TRY(const auto connection, Connection::open(options));
  co_return co_await apply_migrations(*connection, known);
}

constexpr Migration kTwo[] = {{1, "create_a", "CREATE TABLE a (id INT); INSERT INTO a VALUES (1);"},
                              {2, "create_b", "CREATE TABLE b (id INT)"}};

TEST_F(PostgresTest, Migrations_Twice_ApplyOnce) {
  EXPECT_EQ(ok(migrate(options.connection, kTwo)), 2);
  EXPECT_EQ(ok(migrate(options.connection, kTwo)), 0);
}

TEST_F(PostgresTest, Migrations_ManyAtOnce_WaitForEachOther) {
  std::vector<Async<int>> works;
  for (int i = 0; i < 6; ++i) works.push_back(migrate(options.connection, kTwo));
  int applied = 0;
  for (auto& it : run_all(std::move(works))) applied += ok(std::move(it));
  EXPECT_EQ(applied, 2);
}

TEST_F(PostgresTest, Migrations_FaultInOne_UndoesItAndNamesIt) {
  const Migration broken[] = {kTwo[0], {2, "break_it", "CREATE TABLE b (id INT); SELECT nonsense"}};
  EXPECT_THAT(error(migrate(options.connection, broken)).message, HasSubstr("0002_break_it"));
  EXPECT_EQ(ok(migrate(options.connection, kTwo)), 1) << "the first is there, of the second nothing";
}

TEST_F(PostgresTest, Migrations_NewerOrEditedSchema_IsRefused) {
  ok(migrate(options.connection, kTwo));
  EXPECT_EQ(error(migrate(options.connection, std::span(kTwo).first(1))).kind, ErrorKind::Config);
  const Migration edited[] = {{1, "create_a", "CREATE TABLE a (id BIGINT)"}, kTwo[1]};
  EXPECT_THAT(error(migrate(options.connection, edited)).message, HasSubstr("0001_create_a"));
}

TEST_F(PostgresTest, Reset_OurSchema_IsEmptyAndOthersStay) {
  ok(migrate(options.connection, embedded_migrations()));
  const auto reset = [](ConnectionOptions it) -> Async<void> {
    CO_TRY(const auto connection, Connection::open(it));
    co_return co_await reset_schema(*connection);
  };
  ok(reset(options.connection));
  EXPECT_EQ(ok(migrate(options.connection, embedded_migrations())), static_cast<int>(embedded_migrations().size()));
  ok(reset(options.connection));
  Database database(options);
  ok(database.query("CREATE TABLE theirs (id INT)"));
  EXPECT_EQ(error(reset(options.connection)).kind, ErrorKind::Config);
}

}  // namespace
}  // namespace scheduler::database::postgres
