#include "config/broker_url.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::config;

namespace {

std::string shown(const SchedulerResult<BrokerUrl>& url) {
  if (!url) return "error: " + url.error().message;
  return url->user + "|" + url->password + "|" + url->host + "|" + std::to_string(url->port) + "|" + url->path;
}

}  // namespace

TEST(ParseRedisUrl, EveryForm_IsRead) {
  EXPECT_EQ(shown(parse_redis_url("redis://localhost")), "||localhost|6379|");
  EXPECT_EQ(shown(parse_redis_url("redis://10.0.0.1:7000/")), "||10.0.0.1|7000|");
  EXPECT_EQ(shown(parse_redis_url("redis://:pw@h:1/12")), "|pw|h|1|12");
  EXPECT_EQ(shown(parse_redis_url("redis://me:p%40%2F%3a:x@h")), "me|p@/::x|h|6379|");
  EXPECT_EQ(shown(parse_redis_url("redis://me:p@ss@h")), "me|p@ss|h|6379|");
  EXPECT_EQ(shown(parse_redis_url("redis://me:pw@[fe80::1]:7000/0")), "me|pw|fe80::1|7000|0");
  EXPECT_EQ(shown(parse_redis_url("redis://[::1]")), "||::1|6379|");
}

TEST(ParseAmqpUrl, EveryForm_IsRead) {
  EXPECT_EQ(shown(parse_amqp_url("amqp://localhost")), "guest|guest|localhost|5672|/");
  EXPECT_EQ(shown(parse_amqp_url("amqp://u:p@h:5673/")), "u|p|h|5673|/");
  EXPECT_EQ(shown(parse_amqp_url("amqp://u:p@h/%2fa%2Fb")), "u|p|h|5672|/a/b");
  EXPECT_EQ(shown(parse_amqp_url("amqp://u:p@h/jobs")), "u|p|h|5672|jobs");
}

TEST(ParseBrokerUrl, Wrong_SaysWhatAndNeverThePassword) {
  const struct {
    SchedulerResult<BrokerUrl> url;
    std::string_view why;
  } rows[] = {
      {parse_redis_url(""), "is empty"},
      {parse_redis_url("localhost:6379"), "must begin with redis://"},
      {parse_redis_url("amqp://u:hunter2@h"), "must begin with redis://"},
      {parse_redis_url("rediss://:hunter2@h"), "asks for TLS"},
      {parse_redis_url("redis://"), "names no host"},
      {parse_redis_url("redis://:hunter2@"), "names no host"},
      {parse_redis_url("redis://:hunter2@:6379"), "names no host"},
      {parse_redis_url("redis://h:hunter2"), "has a port that is no number"},
      {parse_redis_url("redis://h:0"), "has a port that is no number"},
      {parse_redis_url("redis://h:65536"), "has a port that is no number"},
      {parse_redis_url("redis://h:"), "has a port that is no number"},
      {parse_redis_url("redis://:hunter2%4@h"), "holds a '%'"},
      {parse_redis_url("redis://:hunter2%zz@h"), "holds a '%'"},
      {parse_redis_url("redis://[::1"), "has a '[' without"},
      {parse_redis_url("redis://[::1]7000"), "something other than a port"},
      {parse_redis_url("redis://h/hunter2"), "must end with the number of a database"},
      {parse_redis_url("redis://h/99999"), "must end with the number of a database"},
      {parse_amqp_url("amqps://u:hunter2@h"), "asks for TLS"},
      {parse_amqp_url("redis://u:hunter2@h"), "must begin with amqp://"},
  };
  for (const auto& row : rows) {
    ASSERT_FALSE(row.url) << row.why;
    EXPECT_EQ(row.url.error().kind, ErrorKind::Config);
    EXPECT_THAT(row.url.error().message, ::testing::HasSubstr(row.why));
    EXPECT_THAT(row.url.error().message, ::testing::Not(::testing::HasSubstr("hunter2")));
  }
}
