// Inserts 1, 2, 3, … into the database file named on the command line, from several callers at once, and writes each
// number to standard output once its insert was acknowledged. It goes on until it is killed.
#include "database/sqlite_fixture.hpp"

#include <unistd.h>

namespace scheduler::database::sqlite {
namespace {

asio::awaitable<void> insert_for_ever(Database& database, std::int64_t& last) {
  for (;;) {
    const auto n = ++last;
    must(co_await insert(database, n));
    const auto line = fmt::format("{}\n", n);
    if (::write(STDOUT_FILENO, line.data(), line.size()) < 0) co_return;
  }
}

}  // namespace
}  // namespace scheduler::database::sqlite

int main(int, char** argv) {
  using namespace scheduler;
  using namespace scheduler::database::sqlite;
  const auto database = must(Database::open({.path = argv[1], .prepare = create_numbers}));
  asio::io_context io(1);
  std::int64_t last = 0;
  for (int i = 0; i < 16; ++i) spawn(io, "insert", insert_for_ever(*database, last));
  io.run();
}
