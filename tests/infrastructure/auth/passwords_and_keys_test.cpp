#include "infrastructure/auth/argon2_hasher.hpp"
#include "infrastructure/auth/key_file.hpp"
#include "infrastructure/auth/sodium_secrets.hpp"
#include "support/run_async.hpp"
#include "support/temp_dir.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sys/stat.h>

namespace scheduler::infrastructure {
namespace {

using testing::HasSubstr;
using testing::StartsWith;
using testing_support::run_all;
using testing_support::run_async;
using testing_support::TempDir;

TEST(Argon2Hasher, Verify_OwnHash_TellsTheRightPassword) {
  Argon2Hasher hasher({});
  const auto hash = run_async(hasher.hash("correct horse")).value();
  EXPECT_THAT(hash, StartsWith("$argon2id$v=19$m=19456,t=2,p=1$"));
  EXPECT_NE(run_async(hasher.hash("correct horse")).value(), hash);  // salted
  EXPECT_TRUE(run_async(hasher.verify("correct horse", hash)).value());
  EXPECT_FALSE(run_async(hasher.verify("correct hors", hash)).value());
  EXPECT_FALSE(run_async(hasher.verify("", hash)).value());
  EXPECT_FALSE(run_async(hasher.verify("correct horse", "")).value());
}

TEST(Argon2Hasher, Verify_Flood_IsRefusedBeyondTheQueue) {
  Argon2Hasher hasher({.threads = 1, .waiting_max = 3});
  const auto hash = run_async(hasher.hash("x")).value();
  std::vector<Async<bool>> flood;
  for (int i = 0; i < 100; ++i) flood.push_back(hasher.verify("x", hash));
  int answered = 0, refused = 0;
  for (const auto& it : run_all(std::move(flood))) {
    answered += it.has_value();
    refused += !it && it.error().kind == ErrorKind::Unavailable;
  }
  EXPECT_EQ(answered, 4);
  EXPECT_EQ(refused, 96);
  EXPECT_TRUE(run_async(hasher.verify("x", hash)).value());
}

TEST(SodiumSecrets, Draw_IsLongAndNeverTheSame) {
  SodiumSecrets secrets;
  EXPECT_EQ(secrets.draw().size(), 43u);
  EXPECT_EQ(secrets.draw_id().size(), 16u);
  EXPECT_NE(secrets.draw(), secrets.draw());
  EXPECT_EQ(secrets.digest("a"), secrets.digest("a"));
  EXPECT_NE(secrets.digest("a"), secrets.digest("b"));
  EXPECT_EQ(secrets.digest("a").size(), 64u);
  EXPECT_TRUE(secrets.same("abc", "abc"));
  EXPECT_FALSE(secrets.same("abc", "abd"));
  EXPECT_FALSE(secrets.same("abc", "ab"));
}

void write(const std::string& path, std::string_view text, mode_t mode) {
  std::ofstream(path) << text;
  ASSERT_EQ(::chmod(path.c_str(), mode), 0);
}

TEST(LoadOrMakeKey, FirstTime_MakesAFileForItsOwnerAlone) {
  const TempDir directory;
  const auto path = directory.file("keys/signing.key");
  const auto made = load_or_make_key(path);
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->size(), 32u);
  struct stat status{};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat(directory.file("keys").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0700u);
  EXPECT_EQ(load_or_make_key(path), *made);
}

TEST(LoadOrMakeKey, KeyThatOthersKnowOrGuess_StopsTheStart) {
  const TempDir directory;
  const auto path = directory.file("signing.key");
  const auto good = load_or_make_key(path).value();
  write(path, to_hex(good), 0644);
  EXPECT_THAT(load_or_make_key(path).error().message, HasSubstr("can be read by others"));
  for (const auto& [text, why] : {std::pair{std::string(), "holds no key"},
                                  {"changeme", "holds no key"},
                                  {to_hex(good) + "00", "holds no key"},
                                  {std::string(64, '0'), "can be guessed"},
                                  {fmt::format("{}{}", std::string(60, 'f'), "0123"), "can be guessed"}}) {
    write(path, text, 0600);
    const auto refused = load_or_make_key(path);
    ASSERT_FALSE(refused) << text;
    EXPECT_EQ(refused.error().kind, ErrorKind::Config);
    EXPECT_THAT(refused.error().message, HasSubstr(why));
    EXPECT_THAT(refused.error().message, HasSubstr(path));
  }
}

}  // namespace
}  // namespace scheduler::infrastructure
