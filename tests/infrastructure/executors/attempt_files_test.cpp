#include "infrastructure/executors/attempt_files.hpp"

#include "domain/retry.hpp"
#include "executors/fixture.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <filesystem>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

using namespace scheduler;
using namespace scheduler::executor_test;
using namespace scheduler::infrastructure;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

namespace {

class AttemptFilesTest : public testing::Test {
 public:
  AttemptFilesTest() { std::filesystem::create_directories(parent); }
  ~AttemptFilesTest() override { std::filesystem::remove_all(parent); }
  std::unique_ptr<AttemptFiles> create() { return std::move(AttemptFiles::create(parent).value()); }

  const std::string parent = "/tmp/scheduler-files-test-" + std::to_string(::getpid());
};

}  // namespace

TEST_F(AttemptFilesTest, Create_DirectoryThatCannotBeMade_SaysWhatToSet) {
  const auto made = AttemptFiles::create("/nonexistent/here");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind, ErrorKind::Config);
  EXPECT_EQ(made.error().message,
            "cannot make a directory in /nonexistent/here: No such file or directory; tasks of type shell and python "
            "leave their outputs there: set TMPDIR to a directory that this user may write to");
}

TEST_F(AttemptFilesTest, Create_LeftByADeadProcess_IsRemovedAndThatOfALivingOneKept) {
  const pid_t child = ::fork();
  if (child == 0) {
    const auto files = create();
    const auto attempt = files->make();
    ::_exit(attempt ? 0 : 1);  // as if killed: nothing is tidied up
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_EQ(status, 0);
  ASSERT_THAT(names_in(parent.c_str()), SizeIs(1));
  const auto living = create();
  EXPECT_THAT(names_in(parent.c_str()), SizeIs(1));
  const auto another = create();
  EXPECT_THAT(names_in(parent.c_str()), SizeIs(2));
  EXPECT_TRUE(living->make());
}

TEST_F(AttemptFilesTest, Create_SomebodysDirectoryOfAnotherName_IsLeftAlone) {
  std::filesystem::create_directories(parent + "/scheduler-other/deep");
  std::filesystem::create_directory_symlink(parent + "/scheduler-other", parent + "/scheduler-attempts-link");
  create().reset();
  EXPECT_TRUE(std::filesystem::exists(parent + "/scheduler-other/deep"));
}

TEST_F(AttemptFilesTest, Make_DirectoryWasTidiedUp_MakesANewOne) {
  const auto files = create();
  std::filesystem::remove_all(files->path());
  const auto attempt = files->make();
  ASSERT_TRUE(attempt) << attempt.error().message;
  EXPECT_EQ((*attempt)->read_output().value(), std::nullopt);
}

TEST_F(AttemptFilesTest, Destroy_WhateverIsThere_IsRemoved) {
  {
    const auto files = create();
    const auto attempt = std::move(files->make().value());
    const auto beside = attempt->write("upstream.json", "{}").value();
    EXPECT_EQ(read_file(beside), "{}");
    EXPECT_FALSE(attempt->write("upstream.json", "{}")) << "it is not ours any more";
    std::filesystem::create_directories(std::filesystem::path(beside).parent_path() / "a/b/c");
  }
  EXPECT_THAT(names_in(parent.c_str()), IsEmpty());
}

TEST_F(AttemptFilesTest, ReadOutput_Socket_IsRefused) {
  const auto files = create();
  const auto attempt = std::move(files->make().value());
  ::unlink(attempt->output_path().c_str());
  const UniqueFd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  attempt->output_path().copy(address.sun_path, sizeof address.sun_path - 1);
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(attempt->read_output().error().message, "the output is no regular file");
}

TEST_F(AttemptFilesTest, ReadOutput_ManyTimes_KeepsNoDescriptor) {
  const auto files = create();
  const auto before = open_descriptors();
  for (int i = 0; i < 50; ++i) EXPECT_TRUE(std::move(files->make().value())->read_output());
  EXPECT_EQ(open_descriptors(), before);
}

TEST(CheckedOutput, Sizes_UpToTheLimitAreKeptAsTheyWereWritten) {
  const auto of_size = [](std::size_t size) { return R"({"a":")" + std::string(size - 8, 'x') + R"("})"; };
  EXPECT_EQ(checked_output(of_size(domain::kOutputBytesMax)).value(), of_size(domain::kOutputBytesMax));
  EXPECT_THAT(checked_output(of_size(domain::kOutputBytesMax + 1)).error().message,
              HasSubstr("65536 bytes are the most"));
  EXPECT_EQ(checked_output(R"( {"n": 12345678901234567890, "f": 1.10} )").value(),
            R"( {"n": 12345678901234567890, "f": 1.10} )");
  EXPECT_EQ(checked_output("").value(), std::nullopt);
  EXPECT_EQ(checked_output(" \r\n\t").value(), std::nullopt);
}

TEST(CheckedOutput, NoObject_IsRefusedWithASentence) {
  for (const std::string text : {"[]", "null", "1", "\"{}\"", "{", "{} {}", "{'a':1}", "{\"a\":NaN}"})
    EXPECT_THAT(checked_output(text).error().message, HasSubstr("the output is ")) << text;
  std::string deep;
  for (int i = 0; i < 1000; ++i) deep += R"({"a":)";
  EXPECT_FALSE(checked_output(deep + "1" + std::string(1000, '}')));
}
