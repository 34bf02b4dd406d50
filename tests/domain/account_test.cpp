#include "domain/account.hpp"

#include <gtest/gtest.h>

namespace scheduler::domain {
namespace {

using namespace std::chrono_literals;
constexpr TimePoint kNow{Micros{1'774'742'400'000'000}};

TEST(PasswordFault, WhatIsEasyToGuess_IsRefused) {
  const struct {
    std::string_view name, password;
    bool good;
  } rows[] = {
      {"empty", "", false},
      {"short", "Xy7!qWz92pL", false},
      {"a placeholder", "please-change-me", false},
      {"a placeholder with digits and signs", "Change-Me-123456!", false},
      {"the peers' default", "default_token", false},
      {"a word that ships with images", "SuperSecret2024!", false},
      {"a placeholder twice", "changeme-changeme", false},
      {"one letter", "aaaaaaaaaaaaaaaa", false},
      {"four letters", "abcdabcdabcdabcd", false},
      {"digits in order", "123456789012", false},
      {"letters in order", "abcdefghijklmnop", false},
      {"backwards", "ponmlkjihgfedcba", false},
      {"the account and little else", "margarete-2026", false},
      {"words", "correct horse battery staple", true},
      {"drawn", "k7#Vn2!pQz9w", true},
  };
  for (const auto& row : rows)
    EXPECT_EQ(!password_fault(row.password, "margarete"), row.good) << row.name << ": " << row.password;
  EXPECT_TRUE(password_fault(std::string(257, 'x'), "ada"));
}

TEST(UserNameFault, Names_AreShortAndPlain) {
  for (const auto* name : {"ada", "a", "ada.lovelace@example.org", "ci-bot_2"})
    EXPECT_FALSE(user_name_fault(name)) << name;
  for (const auto* name : {"", "a b", "ada\n", "ad\xc3\xa4", "a/b", "<ada>"})
    EXPECT_TRUE(user_name_fault(name)) << name;
  EXPECT_TRUE(user_name_fault(std::string(65, 'a')));
}

TEST(ParseKeyText, OwnForm_IsTakenApart) {
  const std::string id = "0123456789abcdef", secret = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMN-_9";
  const auto text = "sch_" + id + "_" + secret;
  const auto parts = parse_key_text(text);
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->key_id, id);
  EXPECT_EQ(parts->secret, secret);
  for (const auto& bad : {std::string(), std::string("sch_"), text + "x", text.substr(1), "sch-" + text.substr(4),
                          text.substr(0, 20) + "-" + text.substr(21), text.substr(0, 62) + "\n" + text.substr(63),
                          text.substr(0, 62) + " " + text.substr(63)})
    EXPECT_FALSE(parse_key_text(bad)) << bad;
}

TEST(ClaimsFault, OnlyOurFreshTokens_Count) {
  const auto good = claims_for({7}, {12}, "jti", kNow);
  EXPECT_FALSE(claims_fault(good, kNow));
  EXPECT_FALSE(claims_fault(good, kNow + 599s));
  EXPECT_FALSE(claims_fault(good, kNow - 60s));
  EXPECT_EQ(claims_fault(good, kNow + 600s), "it has expired");
  EXPECT_EQ(claims_fault(good, kNow - 61s), "it comes from the future");
  auto bad = good;
  bad.issuer = "somebody";
  EXPECT_EQ(claims_fault(bad, kNow), "another program issued it");
  bad = good;
  bad.audience = "another-api";
  EXPECT_EQ(claims_fault(bad, kNow), "it is meant for another program");
  bad = good;
  bad.expires_at += 1;
  EXPECT_EQ(claims_fault(bad, kNow), "it lives longer than any of ours");
  bad.expires_at = std::numeric_limits<std::int64_t>::max();
  bad.issued_at = 0;
  EXPECT_TRUE(claims_fault(bad, kNow));
}

TEST(GrantOf, Table_IsThatOfTheDesign) {
  const auto row = [](Role role) {
    std::string text;
    for (std::size_t i = 0; i < kPermissionCount; ++i)
      text.append(text.empty() ? "" : " ").append(name_of(grant_of(role, static_cast<Permission>(i))));
    return text;
  };
  //                                none signed_in task_read task_write task_delete worker_read worker_write system_read
  //                                account admin
  EXPECT_EQ(row(Role::admin), "any any any any any any any any own any");
  EXPECT_EQ(row(Role::operator_), "any any any any any any any any own no");
  EXPECT_EQ(row(Role::user), "any any any own own any no any own no");
  EXPECT_EQ(row(Role::viewer), "any any any no no any no any own no");
  EXPECT_EQ(row(Role::worker), "any any no no no any any no no no");
  for (std::size_t i = 0; i < kAccess.size(); ++i) EXPECT_EQ(static_cast<std::size_t>(kAccess[i].role), i);
}

TEST(GrantOf, ApiKey_MayDoWhatBothItsListAndTheRoleAllow) {
  Principal who{.user = {1}, .name = "ada", .role = Role::user};
  EXPECT_EQ(grant_of(who, Permission::task_write), Grant::own);
  who.scope = PermissionSet{Permission::task_read, Permission::worker_write};
  EXPECT_EQ(grant_of(who, Permission::task_read), Grant::any);
  EXPECT_EQ(grant_of(who, Permission::task_write), Grant::no);    // not in its list
  EXPECT_EQ(grant_of(who, Permission::worker_write), Grant::no);  // not in the role
  EXPECT_EQ(grant_of(who, Permission::account), Grant::no);
  EXPECT_EQ(grant_of(who, Permission::signed_in), Grant::any);
}

}  // namespace
}  // namespace scheduler::domain
