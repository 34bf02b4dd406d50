#include "database/sqlite_fixture.hpp"

#include <future>
#include <thread>

namespace scheduler::database::sqlite {
namespace {

// Keeps the writer busy with a job of its own from construction on until it is let go: what comes meanwhile waits.
class BusyWriter {
 public:
  explicit BusyWriter(Database& database)
      : caller_([this, &database] { must(run_async(database.write([this](Connection&) { return hold(); }))); }) {
    reached_.get_future().wait();
  }
  // As the last of several works: by then the others wait.
  Async<std::int64_t> let_go() {
    opened_.set_value();
    co_return 0;
  }

 private:
  SchedulerResult<void> hold() {
    reached_.set_value();
    opened_.get_future().wait();
    return {};
  }

  std::promise<void> reached_, opened_;
  std::jthread caller_;
};

class DatabaseTest : public testing::Test {
 protected:
  std::unique_ptr<Database> open(Options options = {}) {
    options.path = options.mode == Mode::inline_ ? ":memory:" : directory.file("a.db");
    options.prepare = create_numbers;
    return must(Database::open(std::move(options)));
  }

  TempDir directory;
};

TEST_F(DatabaseTest, Write_AnyMode_IsThereForTheNextRead) {
  for (const auto mode : {Mode::threaded, Mode::inline_}) {
    const auto database = open({.mode = mode});
    for (int n = 0; n < 20; ++n) {
      EXPECT_EQ(must(run_async(insert(*database, n))), 1);
      EXPECT_EQ(must(run_async(count(*database))), n + 1);
    }
  }
}

TEST_F(DatabaseTest, Write_ManyCallers_ShareCommits) {
  const auto database = open();
  constexpr int kCallers = 300;
  BusyWriter busy(*database);
  std::vector<Async<std::int64_t>> works;
  for (int n = 0; n < kCallers; ++n) works.push_back(insert(*database, n));
  works.push_back(busy.let_go());
  for (const auto& result : run_all(std::move(works))) EXPECT_TRUE(result.has_value());
  EXPECT_EQ(must(run_async(count(*database))), kCallers);
  EXPECT_EQ(database->commits(), 2u) << "the one that kept it busy, and one for all that waited";
}

TEST_F(DatabaseTest, Write_OneCaller_PaysOneCommitEach) {
  const auto database = open();
  for (int n = 0; n < 5; ++n) must(run_async(insert(*database, n)));
  EXPECT_EQ(database->commits(), 5u);
}

// Which of two waiting jobs is done first, when the patient one came first.
std::vector<std::string> order_of_jobs(Database& database) {
  std::vector<std::string> order;  // the writer's alone while it works
  const auto note = [&order](std::string who) {
    return [&order, who = std::move(who)](Connection&) -> SchedulerResult<std::int64_t> {
      order.push_back(who);
      return 0;
    };
  };
  BusyWriter busy(database);
  std::vector<Async<std::int64_t>> works;
  works.push_back(database.write(note("patient"), Urgency::patient));
  works.push_back(database.write(note("urgent")));
  works.push_back(busy.let_go());
  for (const auto& result : run_all(std::move(works))) EXPECT_TRUE(result.has_value());
  return order;
}

TEST_F(DatabaseTest, Write_PatientJob_IsOvertakenUntilItsPatienceEnds) {
  using testing::ElementsAre;
  EXPECT_THAT(order_of_jobs(*open({.patience = std::chrono::hours{1}})), ElementsAre("urgent", "patient"));
  EXPECT_THAT(order_of_jobs(*open({.patience = Millis{0}})), ElementsAre("patient", "urgent"));
}

TEST_F(DatabaseTest, Write_OneBadJob_DoesNotSinkItsGroup) {
  for (const auto mode : {Mode::threaded, Mode::inline_}) {
    const auto database = open({.mode = mode});
    must(run_async(insert(*database, 13)));
    std::vector<Async<std::int64_t>> works;
    for (int n = 0; n < 30; ++n) {
      works.push_back(insert(*database, n));  // 13 is there already
      works.push_back(database->write([n](Connection& connection) -> SchedulerResult<std::int64_t> {
        TRY(const auto done, connection.execute("INSERT INTO numbers (n) VALUES (?)", 1000 + n));
        if (n % 2 == 0) return fail(ErrorKind::Conflict, "changed its mind");
        return done;
      }));
    }
    const auto results = run_all(std::move(works));
    for (std::size_t n = 0; n < 30; ++n) {
      EXPECT_EQ(results[2 * n].has_value(), n != 13);
      EXPECT_EQ(results[2 * n + 1].has_value(), n % 2 == 1);
    }
    EXPECT_EQ(results[0 + 1].error().kind, ErrorKind::Conflict);
    EXPECT_EQ(must(run_async(count(*database))), 30 + 15);
  }
}

TEST_F(DatabaseTest, Write_TransactionLostInAJob_FailsTheGroupAndLeavesNothingOfIt) {
  const auto database = open();
  BusyWriter busy(*database);
  std::vector<Async<std::int64_t>> works;
  works.push_back(insert(*database, 1));
  // What a full disk does in the middle of a transaction.
  works.push_back(database->write([](Connection& connection) { return connection.execute("ROLLBACK"); }));
  works.push_back(insert(*database, 2));
  works.push_back(busy.let_go());
  const auto results = run_all(std::move(works));
  for (std::size_t i = 0; i < 3; ++i) {
    ASSERT_FALSE(results[i].has_value());
    EXPECT_EQ(results[i].error().kind, ErrorKind::Database);
  }
  EXPECT_EQ(must(run_async(count(*database))), 0);
  must(run_async(insert(*database, 3)));
}

TEST_F(DatabaseTest, Write_CommitThatFails_FailsTheJob) {
  const auto database = open();
  const auto result = run_async(database->write([](Connection& connection) -> SchedulerResult<void> {
    return connection.execute_script(
        "CREATE TABLE a (n INTEGER PRIMARY KEY);"
        "CREATE TABLE b (n REFERENCES a (n) DEFERRABLE INITIALLY DEFERRED);"
        "INSERT INTO b VALUES (404)");
  }));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().kind, ErrorKind::Database);
  must(run_async(insert(*database, 1)));
}

TEST_F(DatabaseTest, Read_WhileOthersWrite_SeesOneSnapshot) {
  const auto database = open({.readers = 1});
  must(run_async(insert(*database, 0)));
  std::promise<void> counted, written;
  std::jthread writer([&] {
    counted.get_future().wait();
    for (int n = 1; n < 10; ++n) must(run_async(insert(*database, n)));
    written.set_value();
  });
  const auto twice = run_async(database->read([&](Connection& connection) -> SchedulerResult<bool> {
    TRY(const auto before, count_numbers(connection));
    counted.set_value();
    written.get_future().wait();
    TRY(const auto after, count_numbers(connection));
    return before == after;
  }));
  EXPECT_TRUE(must(twice));
  EXPECT_EQ(must(run_async(count(*database))), 10);
}

TEST_F(DatabaseTest, Read_ThatWrites_Fails) {
  for (const auto mode : {Mode::threaded, Mode::inline_}) {
    const auto database = open({.mode = mode});
    EXPECT_FALSE(run_async(database->read(
        [](Connection& connection) { return connection.execute("INSERT INTO numbers (n) VALUES (1)"); })));
    must(run_async(insert(*database, 1)));
    EXPECT_EQ(must(run_async(count(*database))), 1);
  }
}

TEST_F(DatabaseTest, Write_FullQueue_IsUnavailableAndWhatWasAcceptedIsDone) {
  const auto database = open({.queue_max = 3});
  BusyWriter busy(*database);
  std::vector<Async<std::int64_t>> works;
  for (int n = 0; n < 5; ++n) works.push_back(insert(*database, n));
  works.push_back(busy.let_go());
  const auto results = run_all(std::move(works));
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(results[i].has_value(), i < 3) << i;
    if (i >= 3) EXPECT_EQ(results[i].error().kind, ErrorKind::Unavailable);
  }
  EXPECT_EQ(must(run_async(count(*database))), 3);
}

TEST_F(DatabaseTest, Close_WithJobsWaiting_DoesThemFirst) {
  constexpr int kJobs = 50;
  auto database = open();
  asio::io_context io(1);
  std::vector<std::optional<SchedulerResult<std::int64_t>>> kept(kJobs);
  {
    BusyWriter busy(*database);
    for (int n = 0; n < kJobs; ++n)
      spawn(io, "insert", testing_support::keep_result(insert(*database, n), kept[static_cast<std::size_t>(n)]));
    io.poll();  // all of them wait now
    must(run_async(busy.let_go()));
  }
  database.reset();
  io.restart();
  io.run();
  for (const auto& it : kept) EXPECT_TRUE(it && it->has_value());
  EXPECT_EQ(must(run_async(count(*open()))), kJobs);
}

TEST_F(DatabaseTest, Write_ManyLoopsAtOnce_EachGoesOnOnItsOwnThread) {
  const auto database = open({.readers = 2});
  std::vector<std::jthread> threads;
  std::atomic<int> wrong = 0;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&database, &wrong, t] {
      const auto work = [](Database& into, int first, std::atomic<int>& bad) -> Async<void> {
        const auto own = std::this_thread::get_id();
        for (int n = first; n < first + 50; ++n) {
          CO_CHECK(insert(into, n));
          CO_CHECK(count(into));
          bad += std::this_thread::get_id() != own;
        }
        co_return SchedulerResult<void>{};
      };
      must(run_async(work(*database, t * 1000, wrong)));
    });
  threads.clear();
  EXPECT_EQ(wrong, 0);
  EXPECT_EQ(must(run_async(count(*database))), 200);
}

TEST(DatabaseOpen, MemoryWithThreads_IsRefused) {
  const auto refused = Database::open({.path = ":memory:"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Config);
}

TEST(DatabaseOpen, PrepareThatFails_IsTheError) {
  const auto refused =
      Database::open({.path = ":memory:", .mode = Mode::inline_, .prepare = [](Connection&) -> SchedulerResult<void> {
                        return fail(ErrorKind::Config, "too new");
                      }});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message, "too new");
}

}  // namespace
}  // namespace scheduler::database::sqlite
