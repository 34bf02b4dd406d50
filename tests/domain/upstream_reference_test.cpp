#include "domain/upstream_reference.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

using namespace scheduler;
using namespace scheduler::domain;

namespace {

using Parts = std::vector<TextPart>;
UpstreamReference ref(std::string task, std::vector<std::string> path) { return {std::move(task), std::move(path)}; }

}  // namespace

TEST(ParseReferences, EveryText_HasTheseParts) {
  const struct {
    std::string_view text;
    Parts parts;
  } rows[] = {
      {"", {}},
      {"plain", {"plain"}},
      {"${upstream.extract.rows}", {ref("extract", {"rows"})}},
      {"a=${upstream.extract.rows}, b", {"a=", ref("extract", {"rows"}), ", b"}},
      {"${upstream.a.x}${upstream.b.y}", {ref("a", {"x"}), ref("b", {"y"})}},
      {"${upstream.a.list.0.name}", {ref("a", {"list", "0", "name"})}},
      {"${upstream.every second.a key}", {ref("every second", {"a key"})}},
      {"${upstream.\"my.task\".key}", {ref("my.task", {"key"})}},
      {R"(${upstream."a\"b\\c"."}"."{"})", {ref("a\"b\\c", {"}", "{"})}},
      {"${upstream.ü.größe}", {ref("ü", {"größe"})}},
      {"${upstream.a.b-c_d/e:f}", {ref("a", {"b-c_d/e:f"})}},
      {"$${upstream.a.x}", {"${upstream.a.x}"}},
      {"x$${upstream.a.x}y", {"x${upstream.a.x}y"}},
      {"$$${upstream.a.x}", {"$${upstream.a.x}"}},
      {"$${upstream.${upstream.a.x}", {"${upstream.", ref("a", {"x"})}},
      {"${upstream.a.x}$${upstream.", {ref("a", {"x"}), "${upstream."}},
      {"${HOME} $$ $ ${} ${upstream} ${upstreams.a.b} upstream.a.b}",
       {"${HOME} $$ $ ${} ${upstream} ${upstreams.a.b} upstream.a.b}"}},
  };
  for (const auto& row : rows) {
    const auto parts = parse_references(row.text);
    ASSERT_TRUE(parts) << row.text << ": " << parts.error().message;
    EXPECT_EQ(*parts, row.parts) << row.text;
    const bool refers =
        std::ranges::any_of(*parts, [](const TextPart& it) { return std::holds_alternative<UpstreamReference>(it); });
    EXPECT_EQ(has_reference(row.text), refers) << row.text;
  }
}

TEST(ParseReferences, FaultyReference_SaysWhereAndWhat) {
  const struct {
    std::string_view text, message;
  } rows[] = {
      {"a ${upstream.", "the reference at character 3 lacks the name of a task"},
      {"${upstream.}", "the reference at character 1 lacks the name of a task"},
      {"${upstream.a}", "the reference at character 1 names a task and no key of its output"},
      {"${upstream.a", "the reference at character 1 is not closed"},
      {"${upstream.a.}", "the reference at character 1 lacks a key"},
      {"${upstream.a..b}", "the reference at character 1 lacks a key"},
      {"${upstream.a.b", "the reference at character 1 is not closed"},
      {"${upstream.a.b${upstream.c.d}}", "the reference at character 1 goes on with something else than '.' or '}'"},
      {"${upstream.a.\nb}", "the reference at character 1 lacks a key"},
      {"${upstream.\"a\"b.c}", "the reference at character 1 goes on with something else than '.' or '}'"},
      {"${upstream.\"\".c}", "the reference at character 1 lacks the name of a task"},
      {"${upstream.\"a", "the reference at character 1 has a quote that is not closed"},
      {"${upstream.\"a\\", "the reference at character 1 has a \\ in quotes that stands before neither \" nor \\"},
      {"${upstream.\"a\\n\".b}",
       "the reference at character 1 has a \\ in quotes that stands before neither \" nor \\"},
  };
  for (const auto& row : rows) {
    const auto parts = parse_references(row.text);
    ASSERT_FALSE(parts) << row.text;
    EXPECT_EQ(parts.error().kind, ErrorKind::Validation);
    EXPECT_EQ(parts.error().message, std::string(row.message) +
                                         "; write it like ${upstream.NAME.key}, or $${upstream. "
                                         "where no reference is meant");
    EXPECT_TRUE(has_reference(row.text)) << row.text;
  }
}

// Texts of the pieces that matter, in any order: parsing ends, and what it gives says the same text again.
TEST(ParseReferences, AnyMixOfPieces_IsRefusedOrMeansItself) {
  constexpr std::string_view kPieces[] = {"${upstream.", "$", "{", "}",  ".", "\"",  "\\",
                                          "a",           "0", " ", "\n", "ü", "\xff"};
  std::mt19937 dice(7);
  int good = 0;
  for (int round = 0; round < 200'000; ++round) {
    std::string text;
    for (auto n = dice() % 12; n > 0; --n) text += kPieces[dice() % std::size(kPieces)];
    const auto parts = parse_references(text);
    if (!parts) {
      EXPECT_TRUE(has_reference(text)) << text;
      continue;
    }
    ++good;
    std::string again;
    for (const auto& part : *parts) {
      if (const auto* reference = std::get_if<UpstreamReference>(&part)) {
        again += to_text(*reference);
        continue;
      }
      auto literal = std::get<std::string>(part);
      for (std::size_t at = 0; (at = literal.find("${upstream.", at)) != std::string::npos; at += 12)
        literal.insert(at, "$");
      again += literal;
    }
    const auto reread = parse_references(again);
    ASSERT_TRUE(reread) << text << " became " << again;
    EXPECT_EQ(*reread, *parts) << text << " became " << again;
  }
  EXPECT_GT(good, 10'000);
}
