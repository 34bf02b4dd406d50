#include "database/sqlite/row_set.hpp"
#include "database/sqlite_fixture.hpp"

namespace scheduler::database::sqlite {
namespace {

class RowSetTest : public testing::Test {
 protected:
  RowSetTest() : connection(must(Connection::open(":memory:", Connection::Access::read_write))) {
    must(create_numbers(*connection));
  }
  std::unique_ptr<Connection> connection;
};

TEST_F(RowSetTest, Rows_EveryKindOfValue_ComesBackInOrder) {
  RowSet rows;
  rows.add(1, 0.5, std::string_view{"a"}, std::optional<int>{}, true);
  rows.add(-2, 1e300, std::string_view{}, std::optional<int>{7}, false);
  auto query = connection->query("SELECT c1, c2, c3, c4, c5, c6 FROM rows(?1)", rows);
  int number = 0;
  double real = 0;
  std::string word = "?";
  std::optional<int> maybe = 0, absent = 0;
  bool flag = false;
  ASSERT_TRUE(must(query.step()));
  query.read(number, real, word, maybe, flag, absent);
  EXPECT_EQ(number, 1);
  EXPECT_EQ(real, 0.5);
  EXPECT_EQ(word, "a");
  EXPECT_EQ(maybe, std::nullopt);
  EXPECT_TRUE(flag);
  EXPECT_EQ(absent, std::nullopt) << "a column that the rows do not have";
  ASSERT_TRUE(must(query.step()));
  query.read(number, real, word, maybe, flag, absent);
  EXPECT_EQ(number, -2);
  EXPECT_EQ(real, 1e300);
  EXPECT_EQ(word, "") << "an empty text is not NULL";
  EXPECT_EQ(maybe, 7);
  EXPECT_FALSE(must(query.step()));
}

TEST_F(RowSetTest, Rows_OneStatement_InsertsUpdatesAndTellsWhichRowsItChanged) {
  RowSet rows;
  for (int n = 1; n <= 1000; ++n) rows.add(n, std::string_view{n % 2 == 0 ? "even" : "odd"});
  EXPECT_EQ(must(connection->execute("INSERT INTO numbers (n, text) SELECT c1, c2 FROM rows(?1)", rows)), 1000);
  RowSet changes;
  changes.add(10, std::string_view{"even"});
  changes.add(11, std::string_view{"even"});
  changes.add(5000, std::string_view{"even"});
  changes.add(12, std::string_view{"even"});
  const auto changed = must(connection
                                ->query("UPDATE numbers SET text = 'ten' FROM rows(?1) WHERE n = c1 AND text = c2"
                                        " RETURNING n",
                                        changes)
                                .values<int>());
  EXPECT_THAT(changed, testing::UnorderedElementsAre(10, 12));
}

TEST_F(RowSetTest, Rows_JoinThatIsToldItsOrder_KeepsTheOrderOfTheRows) {
  must(connection->execute_script("INSERT INTO numbers VALUES (1, 'a'), (2, 'b'), (3, 'c')"));
  const std::vector<int> wanted{3, 1, 2, 3};
  EXPECT_THAT(must(connection->query("SELECT text FROM rows(?1) CROSS JOIN numbers ON n = c1", column_of(wanted))
                       .values<std::string>()),
              testing::ElementsAre("c", "a", "b", "c"));
}

TEST_F(RowSetTest, Rows_EmptySetOrNothingBound_HoldNoRows) {
  EXPECT_EQ(must(connection->query("SELECT count(*) FROM rows(?1)", RowSet{}).value<int>()), 0);
  EXPECT_EQ(must(connection->query("SELECT count(*) FROM rows(?1)", 42).value<int>()), 0) << "a number is no set";
  EXPECT_FALSE(connection->query("SELECT count(*) FROM rows").value<int>()) << "there is no table without a set";
}

}  // namespace
}  // namespace scheduler::database::sqlite
