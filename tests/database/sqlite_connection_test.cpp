#include "database/sqlite_fixture.hpp"

#include <fstream>
#include <limits>

namespace scheduler::database::sqlite {
namespace {

enum class Colour { red, green };
constexpr auto enum_names(Colour) { return std::to_array<std::string_view>({"red", "green"}); }

std::unique_ptr<Connection> in_memory() { return must(Connection::open(":memory:", Connection::Access::read_write)); }

TEST(Statement, EveryType_ComesBackAsItWasBound) {
  const auto connection = in_memory();
  constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
  const std::string text = "it's \"☃\" \xff";
  auto row = connection->query("SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10", kLeast, 0.1, text, std::string_view(),
                               std::optional<int>(), std::optional<std::string>("x"), from_micros(5), TaskId{7}, true,
                               Colour::green);
  ASSERT_TRUE(must(row.step()));
  std::int64_t number = 0;
  double real = 0;
  std::string same, empty = "not empty";
  std::optional<int> nothing = 1;
  std::optional<std::string> something;
  TimePoint at{};
  TaskId id;
  bool flag = false;
  Colour colour{};
  EXPECT_EQ(row.read(number, real, same, empty, nothing, something, at, id, flag, colour), 10);
  EXPECT_EQ(number, kLeast);
  EXPECT_EQ(real, 0.1);
  EXPECT_EQ(same, text);
  EXPECT_EQ(empty, "");
  EXPECT_FALSE(nothing);
  EXPECT_EQ(something, "x");
  EXPECT_EQ(at, from_micros(5));
  EXPECT_EQ(id, TaskId{7});
  EXPECT_TRUE(flag);
  EXPECT_EQ(colour, Colour::green);
  EXPECT_FALSE(must(row.step()));
}

TEST(Statement, EmptyText_IsNotNull) {
  const auto connection = in_memory();
  EXPECT_EQ(must(connection->query("SELECT ? IS NULL", std::string_view()).value<int>()), 0);
}

TEST(Statement, UnknownWord_IsAnErrorOfTheRow) {
  const auto connection = in_memory();
  const auto read = connection->query("SELECT 'blue'").value<Colour>();
  ASSERT_FALSE(read);
  EXPECT_THAT(read.error().message, HasSubstr("'blue'"));
  EXPECT_THAT(read.error().message, HasSubstr("red or green"));
  EXPECT_FALSE(connection->query("SELECT 'blue'").values<Colour>());
}

TEST(Statement, SameTextTwiceAtOnce_AreTwoStatements) {
  const auto connection = in_memory();
  const auto* sql = "SELECT value FROM json_each('[1,2]')";
  auto outer = connection->query(sql);
  int rows = 0;
  while (must(outer.step())) rows += static_cast<int>(must(connection->query(sql).values<int>()).size());
  EXPECT_EQ(rows, 4);
}

TEST(Statement, BadSql_IsAnErrorOfTheStep) {
  const auto connection = in_memory();
  const auto refused = connection->execute("SELEC 1", 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Database);
  EXPECT_THAT(refused.error().message, HasSubstr("SELEC"));
}

TEST(Statement, TooFewPlaces_IsAnErrorOfTheStep) { EXPECT_FALSE(in_memory()->execute("SELECT ?1", 1, 2)); }

TEST(Transaction, OutOfScopeWithoutCommit_IsUndone) {
  const auto connection = in_memory();
  must(create_numbers(*connection));
  {
    auto transaction = must(Transaction::begin(*connection, Transaction::Kind::write));
    must(connection->execute("INSERT INTO numbers (n) VALUES (1)"));
  }
  EXPECT_EQ(must(count_numbers(*connection)), 0);
  auto transaction = must(Transaction::begin(*connection, Transaction::Kind::write));
  must(connection->execute("INSERT INTO numbers (n) VALUES (1)"));
  must(transaction.commit());
  EXPECT_EQ(must(count_numbers(*connection)), 1);
}

TEST(Connection, ForeignKeys_AreChecked) {
  const auto connection = in_memory();
  must(connection->execute_script("CREATE TABLE a (n INTEGER PRIMARY KEY); CREATE TABLE b (n REFERENCES a (n))"));
  EXPECT_FALSE(connection->execute("INSERT INTO b VALUES (1)"));
}

TEST(Connection, File_HasALogAndFullSync) {
  const TempDir directory;
  const auto connection = must(Connection::open(directory.file("a.db"), Connection::Access::read_write));
  EXPECT_EQ(must(connection->query("PRAGMA journal_mode").value<std::string>()), "wal");
  EXPECT_EQ(must(connection->query("PRAGMA synchronous").value<int>()), 2);
}

TEST(ConnectionOpen, MissingDirectory_SaysPathAndRemedy) {
  const auto refused = Connection::open("/nowhere/at/all.db", Connection::Access::read_write);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("/nowhere/at/all.db"));
  EXPECT_THAT(refused.error().message, HasSubstr("directory exists"));
}

TEST(ConnectionOpen, FileOfAnotherKind_SaysSo) {
  const TempDir directory;
  std::ofstream(directory.file("a.db")) << std::string(4096, 'x');
  const auto refused = Connection::open(directory.file("a.db"), Connection::Access::read_write);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("not a SQLite database"));
}

TEST(Connection, DamagedFile_SaysThatABackupHelps) {
  const TempDir directory;
  const auto path = directory.file("a.db");
  {
    const auto connection = must(Connection::open(path, Connection::Access::read_write));
    must(create_numbers(*connection));
  }
  {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(4096, '\x7f');  // the page of the table
  }
  const auto connection = must(Connection::open(path, Connection::Access::read_write));
  const auto refused = count_numbers(*connection);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("backup"));
}

TEST(Connection, ReadOnly_WriteSaysSo) {
  const TempDir directory;
  const auto writer = must(Connection::open(directory.file("a.db"), Connection::Access::read_write));
  must(create_numbers(*writer));
  const auto reader = must(Connection::open(directory.file("a.db"), Connection::Access::read_only));
  EXPECT_EQ(must(count_numbers(*reader)), 0);
  const auto refused = reader->execute("INSERT INTO numbers (n) VALUES (1)");
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("read-only"));
}

TEST(Connection, FullDatabase_SaysThatTheDiskIsFull) {
  const auto connection = in_memory();
  must(create_numbers(*connection));
  must(connection->execute_script("PRAGMA max_page_count = 3"));
  const auto refused = connection->execute("INSERT INTO numbers (n, text) VALUES (1, ?)", std::string(1 << 16, 'x'));
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("disk is full"));
}

TEST(Connection, LockedDatabase_SaysThatAnotherProcessHasIt) {
  const TempDir directory;
  const auto one = must(Connection::open(directory.file("a.db"), Connection::Access::read_write));
  const auto two = must(Connection::open(directory.file("a.db"), Connection::Access::read_write));
  must(two->execute_script("PRAGMA busy_timeout = 1"));
  const auto held = must(Transaction::begin(*one, Transaction::Kind::write));
  const auto refused = Transaction::begin(*two, Transaction::Kind::write);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("another process"));
}

}  // namespace
}  // namespace scheduler::database::sqlite
