#include "domain/login_throttle.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace scheduler::domain {
namespace {

using namespace std::chrono_literals;

TEST(LoginThrottle, OneAddressOneAccount_HasFiveTriesThenOneInHalfAMinute) {
  LoginThrottle throttle;
  for (int i = 0; i < 5; ++i) EXPECT_FALSE(throttle.begin("ada", "10.0.0.1", 0s));
  EXPECT_EQ(throttle.begin("ada", "10.0.0.1", 0s), 30s);
  EXPECT_EQ(throttle.begin("ada", "10.0.0.1", 29s), 1s);
  EXPECT_FALSE(throttle.begin("ada", "10.0.0.1", 30s));
  EXPECT_TRUE(throttle.begin("ada", "10.0.0.1", 30s));
  EXPECT_FALSE(throttle.begin("ada", "10.0.0.2", 30s));  // the owner, elsewhere, is not locked out
  EXPECT_FALSE(throttle.begin("bob", "10.0.0.1", 30s));
}

TEST(LoginThrottle, OneAddressManyAccounts_HasTwentyTries) {
  LoginThrottle throttle;
  int let_through = 0;
  for (int i = 0; i < 1000; ++i) let_through += !throttle.begin(fmt::format("user{}", i), "10.0.0.1", 0s);
  EXPECT_EQ(let_through, 20);
  EXPECT_EQ(throttle.begin("ada", "10.0.0.1", 0s), 3s);
  EXPECT_FALSE(throttle.begin("ada", "10.0.0.2", 0s));
}

TEST(LoginThrottle, ManyAddressesOneAccount_AreSlowAndItsOwnerIsNotLockedOut) {
  LoginThrottle throttle;
  EXPECT_FALSE(throttle.begin("ada", "home", 0s));
  throttle.succeeded("ada", "home");
  int let_through = 0;
  for (int second = 0; second < 100; ++second)
    for (int i = 0; i < 50; ++i)
      let_through += !throttle.begin("ada", fmt::format("bot{}", 50 * second + i), Seconds{second});
  EXPECT_LE(let_through, 30 + 100);
  EXPECT_FALSE(throttle.begin("ada", "home", 99s));   // known: at once
  EXPECT_EQ(throttle.begin("ada", "cafe", 99s), 1s);  // unknown: a second
}

TEST(LoginThrottle, Success_CostsNothing) {
  LoginThrottle throttle;
  for (int i = 0; i < 1000; ++i) {
    ASSERT_FALSE(throttle.begin("ada", "10.0.0.1", 0s)) << i;
    throttle.succeeded("ada", "10.0.0.1");
  }
}

TEST(Buckets, FloodOfNames_StaysBounded) {
  Buckets buckets({.per_second = 1, .burst = 2}, 100);
  for (int i = 0; i < 10'000; ++i) EXPECT_TRUE(buckets.of(std::to_string(i), 0s).take(buckets.rate(), 0s));
  EXPECT_LE(buckets.size(), 100u);
}

TEST(TokenBucket, RestThatIsLongEnough_FillsItUpAndNoMore) {
  const Rate rate{.per_second = 2, .burst = 3};
  TokenBucket bucket(rate, 0s);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(rate, 0s));
  EXPECT_FALSE(bucket.take(rate, 0s));
  EXPECT_EQ(bucket.wait(rate), 1s);
  EXPECT_TRUE(bucket.take(rate, 500ms));
  EXPECT_FALSE(bucket.take(rate, 400ms));  // a caller that is late takes nothing twice
  EXPECT_TRUE(bucket.is_full(rate, 1h));
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(bucket.take(rate, 1h));
  EXPECT_FALSE(bucket.take(rate, 1h));
}

}  // namespace
}  // namespace scheduler::domain
