#include "database/sqlite_fixture.hpp"

#include <charconv>
#include <csignal>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

extern char** environ;

namespace scheduler::database::sqlite {
namespace {

// The child of sqlite_writer_child.cpp and the reading end of its output.
class WriterChild {
 public:
  explicit WriterChild(std::string path) {
    int ends[2];
    if (::pipe(ends) != 0) throw std::runtime_error("pipe");
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    ::posix_spawn_file_actions_addclose(&actions, ends[0]);
    std::string program = WRITER_CHILD;
    char* arguments[] = {program.data(), path.data(), nullptr};
    if (::posix_spawn(&pid_, program.c_str(), &actions, nullptr, arguments, environ) != 0)
      throw std::runtime_error("posix_spawn");
    ::posix_spawn_file_actions_destroy(&actions);
    ::close(ends[1]);
    output_ = ends[0];
  }
  ~WriterChild() { ::close(output_); }

  // Reads until that many numbers were acknowledged.
  void wait_for(std::size_t acknowledged) {
    while (lines() < acknowledged && read_some()) {
    }
  }
  void kill() {
    ::kill(pid_, SIGKILL);
    while (read_some()) {  // what it said before it died counts
    }
    ::waitpid(pid_, nullptr, 0);
  }
  [[nodiscard]] std::vector<std::int64_t> acknowledged() const {
    std::vector<std::int64_t> numbers;
    const char* at = text_.data();
    const char* end = at + text_.rfind('\n') + 1;
    while (at < end) {
      at = std::from_chars(at, end, numbers.emplace_back()).ptr + 1;
    }
    return numbers;
  }

 private:
  [[nodiscard]] std::size_t lines() const { return static_cast<std::size_t>(std::ranges::count(text_, '\n')); }
  bool read_some() {
    char buffer[4096];
    const auto got = ::read(output_, buffer, sizeof buffer);
    if (got > 0) text_.append(buffer, static_cast<std::size_t>(got));
    return got > 0;
  }

  pid_t pid_ = 0;
  int output_ = -1;
  std::string text_;
};

TEST(Durability, KillOfTheWriter_LosesNothingThatWasAcknowledged) {
  const TempDir directory;
  for (int round = 0; round < 3; ++round) {
    const auto path = directory.file(fmt::format("{}.db", round));
    WriterChild child(path);
    child.wait_for(static_cast<std::size_t>(100 * (round + 1)));
    child.kill();
    const auto acknowledged = child.acknowledged();
    ASSERT_GE(acknowledged.size(), 100u);
    const auto connection = must(Connection::open(path, Connection::Access::read_write));
    for (const auto n : acknowledged)
      EXPECT_TRUE(must(connection->query("SELECT 1 FROM numbers WHERE n = ?", n).value<int>())) << n;
    EXPECT_EQ(must(connection->query("PRAGMA integrity_check").value<std::string>()), "ok");
  }
}

}  // namespace
}  // namespace scheduler::database::sqlite
