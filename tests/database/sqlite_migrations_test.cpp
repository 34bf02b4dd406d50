#include "database/sqlite/migrations.hpp"
#include "database/sqlite_fixture.hpp"

namespace scheduler::database::sqlite {
namespace {

constexpr Migration kFirst{1, "create_a", "CREATE TABLE a (n INTEGER PRIMARY KEY); INSERT INTO a VALUES (1);"};
constexpr Migration kSecond{2, "create_b", "CREATE TABLE b (n REFERENCES a (n)); INSERT INTO b VALUES (1);"};
constexpr Migration kBoth[] = {kFirst, kSecond};
constexpr TimePoint kNow = from_micros(1'000'000);

std::unique_ptr<Connection> in_memory() { return must(Connection::open(":memory:", Connection::Access::read_write)); }

std::vector<std::string> tables(Connection& connection) {
  return must(connection
                  .query("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'"
                         " ORDER BY name")
                  .values<std::string>());
}

TEST(ApplyMigrations, EmptyFile_GetsAllInOrder) {
  const auto connection = in_memory();
  EXPECT_EQ(must(apply_migrations(*connection, kBoth, kNow)), 2);
  EXPECT_THAT(tables(*connection), ElementsAre("a", "b", "schema_migrations"));
}

TEST(ApplyMigrations, Twice_IsHarmless) {
  const auto connection = in_memory();
  must(apply_migrations(*connection, kBoth, kNow));
  EXPECT_EQ(must(apply_migrations(*connection, kBoth, kNow)), 0);
}

TEST(ApplyMigrations, OlderFile_GetsWhatIsMissing) {
  const auto connection = in_memory();
  must(apply_migrations(*connection, {&kFirst, 1}, kNow));
  EXPECT_EQ(must(apply_migrations(*connection, kBoth, kNow)), 1);
}

TEST(ApplyMigrations, NewerFile_IsRefusedUntouched) {
  const auto connection = in_memory();
  must(apply_migrations(*connection, kBoth, kNow));
  const auto refused = apply_migrations(*connection, {&kFirst, 1}, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Config);
  EXPECT_THAT(refused.error().message, HasSubstr("version 2"));
  EXPECT_THAT(refused.error().message, HasSubstr("newer program"));
}

TEST(ApplyMigrations, EditedMigration_IsRefused) {
  const auto connection = in_memory();
  must(apply_migrations(*connection, {&kFirst, 1}, kNow));
  const Migration edited[] = {{1, "create_a", "CREATE TABLE a (m INTEGER PRIMARY KEY)"}, kSecond};
  const auto refused = apply_migrations(*connection, edited, kNow);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Config);
  EXPECT_THAT(refused.error().message, HasSubstr("0001_create_a"));
  EXPECT_THAT(tables(*connection), ElementsAre("a", "schema_migrations"));
}

TEST(ApplyMigrations, FaultInTheMiddle_UndoesThatMigrationAlone) {
  const auto connection = in_memory();
  const Migration broken[] = {kFirst, {2, "break", "CREATE TABLE c (n); INSERT INTO nowhere VALUES (1);"}};
  const auto refused = apply_migrations(*connection, broken, kNow);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().message, HasSubstr("0002_break"));
  EXPECT_THAT(tables(*connection), ElementsAre("a", "schema_migrations"));
  EXPECT_EQ(must(apply_migrations(*connection, kBoth, kNow)), 1) << "and the right one can follow";
}

TEST(MigrationStatus, PartlyMigratedFile_ShowsWhatIsMissing) {
  const auto connection = in_memory();
  EXPECT_EQ(must(migration_status(*connection, kBoth)).size(), 2u);
  must(apply_migrations(*connection, {&kFirst, 1}, kNow));
  const auto status = must(migration_status(*connection, kBoth));
  ASSERT_EQ(status.size(), 2u);
  EXPECT_EQ(status[0].name, "create_a");
  EXPECT_EQ(status[0].applied_at, kNow);
  EXPECT_FALSE(status[1].applied_at);
}

TEST(MigrationStatus, NewerFile_ShowsWhatWeDoNotKnow) {
  const auto connection = in_memory();
  must(apply_migrations(*connection, kBoth, kNow));
  const auto status = must(migration_status(*connection, {&kFirst, 1}));
  ASSERT_EQ(status.size(), 2u);
  EXPECT_EQ(status[1].version, 2);
  EXPECT_EQ(status[1].name, "create_b");
}

TEST(ResetDatabase, FullFile_IsEmptyAndCanBeMigratedAgain) {
  const auto connection = in_memory();
  must(apply_migrations(*connection, kBoth, kNow));
  must(reset_database(*connection));
  EXPECT_THAT(tables(*connection), testing::IsEmpty());
  EXPECT_EQ(must(apply_migrations(*connection, kBoth, kNow)), 2);
  EXPECT_FALSE(connection->execute("INSERT INTO b VALUES (404)")) << "foreign keys are checked again";
}

TEST(EmbeddedMigrations, AllOfThem_AreNumberedFromOneAndApply) {
  const auto known = embedded_migrations();
  ASSERT_FALSE(known.empty());
  for (std::size_t i = 0; i < known.size(); ++i) EXPECT_EQ(known[i].version, static_cast<int>(i) + 1);
  const auto connection = in_memory();
  EXPECT_EQ(must(apply_migrations(*connection, known, kNow)), static_cast<int>(known.size()));
  EXPECT_EQ(must(apply_migrations(*connection, known, kNow)), 0);
  must(reset_database(*connection));
}

TEST(EmbeddedMigrations, TwoProcessesAtOnce_BothFindThemApplied) {
  const TempDir directory;
  const auto one = must(Connection::open(directory.file("a.db"), Connection::Access::read_write));
  const auto two = must(Connection::open(directory.file("a.db"), Connection::Access::read_write));
  EXPECT_EQ(must(apply_migrations(*one, kBoth, kNow)), 2);
  EXPECT_EQ(must(apply_migrations(*two, kBoth, kNow)), 0);
}

}  // namespace
}  // namespace scheduler::database::sqlite
