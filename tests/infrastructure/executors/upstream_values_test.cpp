#include "infrastructure/executors/upstream_values.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::infrastructure;

namespace {

const std::string kUpstream = R"({
  "extract": {"run_id": 12, "state": "succeeded", "slot": null, "output":
    {"rows": 1200, "file": "/a b", "ok": true, "ratio": 0.5, "big": 12345678901234567890, "list": [{"n": "x"}], "none": null,
     "a.b": "dotted", "nul": "a\u0000b", "": "empty"}},
  "quiet": {"run_id": 13, "state": "succeeded", "slot": null, "output": null},
  "failed": {"run_id": 14, "state": "failed", "slot": null, "output": null},
  "hourly": {"runs": [{"run_id": 15, "state": "succeeded", "output": {"rows": 1}},
                      {"run_id": 16, "state": "succeeded", "output": {"rows": 2}}]}})";

// The argument, or "! " and why not.
std::string argument(std::string text, const std::optional<std::string>& upstream = kUpstream) {
  ShellParameters parameters{.command = "c", .args = std::vector{std::move(text)}};
  const auto inserted = insert_upstream_values(parameters, upstream);
  return inserted ? parameters.args->at(0) : "! " + inserted.error().message;
}

}  // namespace

TEST(InsertUpstreamValues, EveryReference_BecomesItsTextOrASentence) {
  const struct {
    std::string_view text, expected;
  } rows[] = {
      {"plain $HOME", "plain $HOME"},
      {"--rows=${upstream.extract.rows}", "--rows=1200"},
      {"${upstream.extract.file}|${upstream.extract.ok}|${upstream.extract.ratio}", "/a b|true|0.5"},
      {"${upstream.extract.big}", "12345678901234567890"},
      {"${upstream.extract.list.0.n}", "x"},
      {"${upstream.extract.\"a.b\"}", "dotted"},
      {"$${upstream.extract.rows}", "${upstream.extract.rows}"},
      {"${upstream.extract.row}", "! ${upstream.extract.row}: the output has no 'row' there"},
      {"${upstream.extract.rows.x}", "! ${upstream.extract.rows.x}: the output has no 'x' there"},
      {"${upstream.extract.list.1.n}", "! ${upstream.extract.list.1.n}: the output has no '1' there"},
      {"${upstream.extract.list.-1}", "! ${upstream.extract.list.-1}: the output has no '-1' there"},
      {"${upstream.extract.list.0x}", "! ${upstream.extract.list.0x}: the output has no '0x' there"},
      {"${upstream.extract.list}",
       "! ${upstream.extract.list}: it is a list, and only texts, numbers and booleans can be inserted"},
      {"${upstream.extract.list.0}",
       "! ${upstream.extract.list.0}: it is an object, and only texts, numbers and booleans can be inserted"},
      {"${upstream.extract.none}",
       "! ${upstream.extract.none}: it is null, and only texts, numbers and booleans can be inserted"},
      {"${upstream.extract.nul}", "! with the upstream's output in it, a text must not contain a NUL character"},
      {"${upstream.quiet.rows}", "! ${upstream.quiet.rows}: run 13 left no output; it ended succeeded"},
      {"${upstream.failed.rows}", "! ${upstream.failed.rows}: run 14 left no output; it ended failed"},
      {"${upstream.hourly.rows}",
       "! ${upstream.hourly.rows}: this run waited for 2 runs of that task, and it does not say which; "
       "SCHEDULER_UPSTREAM_FILE holds them all"},
      {"${upstream.other.rows}",
       "! ${upstream.other.rows}: this run waited for no run of that task, but for 'extract', 'quiet', 'failed', "
       "'hourly'"},
  };
  for (const auto& row : rows) EXPECT_EQ(argument(std::string(row.text)), row.expected) << row.text;
}

TEST(InsertUpstreamValues, NoUpstreamOrNonsense_IsASentence) {
  EXPECT_EQ(argument("${upstream.a.x}", std::nullopt), "! ${upstream.a.x}: this run waited for no upstream run");
  for (const auto* text : {"[]", "{", ""})
    EXPECT_EQ(argument("${upstream.a.x}", text), "! what the upstream runs left cannot be read: it is no JSON object");
  for (const auto* text : {R"({"a":1})", R"({"a":{}})", R"({"a":{"output":1}})", R"({"a":{"runs":1}})"})
    EXPECT_EQ(argument("${upstream.a.x}", text), "! ${upstream.a.x}: run ? left no output; it ended ?") << text;
}

// A small text can ask for much.
TEST(InsertUpstreamValues, Expansion_IsBounded) {
  const auto upstream = fmt::format(R"({{"a":{{"output":{{"x":"{}"}}}}}})", std::string(60'000, 'x'));
  std::string many;
  for (int i = 0; i < 3; ++i) many += "${upstream.a.x}";
  EXPECT_EQ(argument(many, upstream),
            "! with the upstream's output in it, a text is 180000 bytes long; the system takes at "
            "most 131071 in one piece: put it into a file");
  HttpParameters http{.body = HttpBody{}};
  for (int i = 0; i < 1000; ++i) http.body->text += "${upstream.a.x}";
  const auto inserted = insert_upstream_values(http, upstream);
  ASSERT_FALSE(inserted);
  EXPECT_EQ(inserted.error().message,
            "${upstream.a.x}: with it, more than 4194304 bytes would be inserted; hand over the data elsewhere");
}

TEST(InsertUpstreamValues, Environment_CountsItsNameAsWell) {
  const auto upstream = fmt::format(R"({{"a":{{"output":{{"x":"{}"}}}}}})", std::string(65'000, 'x'));
  PythonParameters parameters{.arguments = {"${upstream.a.x}"}, .environment = {{"A", "${upstream.a.x}"}}};
  ASSERT_TRUE(insert_upstream_values(parameters, upstream));
  EXPECT_EQ(parameters.environment.at("A").size(), 65'000u);
  EXPECT_EQ(parameters.arguments[0].size(), 65'000u);
  PythonParameters too_long{.environment = {{"A", "${upstream.a.x}${upstream.a.x}" + std::string(1'071, 'y')}}};
  EXPECT_FALSE(insert_upstream_values(too_long, upstream));
}

// A text of a JSON body stays one text, and a body that is a text takes the value as it is.
TEST(InsertUpstreamValues, Body_KeepsItsStructure) {
  const std::string upstream = R"({"a":{"output":{"x":"\"},\"admin\":true,\n{","n":7}}})";
  HttpParameters http{.body = HttpBody{R"({"k":["<${upstream.a.x}>",{"n":"${upstream.a.n}"},1.50,null]})", true}};
  ASSERT_TRUE(insert_upstream_values(http, upstream));
  EXPECT_EQ(http.body->text, R"({"k":["<\"},\"admin\":true,\n{>",{"n":"7"},1.5E0,null]})");
  http.body = HttpBody{"x=${upstream.a.x}", false};
  ASSERT_TRUE(insert_upstream_values(http, upstream));
  EXPECT_EQ(http.body->text, "x=\"},\"admin\":true,\n{");
}
