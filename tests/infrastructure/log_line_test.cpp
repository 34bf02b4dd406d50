#include "infrastructure/log_line.hpp"

#include "infrastructure/spdlog_sink.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::infrastructure;
using namespace std::string_literals;

namespace {

const TimePoint kAt = *parse_rfc3339("2026-03-29T01:30:00.250Z");

class FixedClock final : public Clock {
 public:
  TimePoint now() const override { return kAt; }
  Micros elapsed() const override { return {}; }
};

std::string json_line(std::string_view message, std::initializer_list<log::Field> fields = {}) {
  return json_log_line(kAt, log::Level::info, message, {fields.begin(), fields.size()});
}
std::string pretty_line(std::string_view message, std::initializer_list<log::Field> fields = {}, bool colour = false) {
  return pretty_log_line(kAt, log::Level::info, message, {fields.begin(), fields.size()}, colour);
}

}  // namespace

TEST(JsonLogLine, PlainEvent_IsOneObject) {
  EXPECT_EQ(json_line("run ended", {{"run", 7}, {"state", "succeeded"}}),
            R"({"ts":"2026-03-29T01:30:00.250000Z","level":"info","msg":"run ended","run":"7","state":"succeeded"})");
}

TEST(JsonLogLine, HostileText_StaysOneValidObject) {
  const auto hostile = "a\"b\\c\nd\re\tf\0g\x1b[31m\x7f\xff\xc3\x28 \xe2\x80\xa8 \xc2\x9b \xed\xa0\x80 ä€😀"s;
  const auto line = json_line(hostile, {{"value", hostile}});
  EXPECT_EQ(line.find('\n'), line.npos);
  for (const char c : line) EXPECT_TRUE(static_cast<unsigned char>(c) >= 0x20 && c != 0x7f);
  const auto parsed = boost::json::parse(line);
  EXPECT_EQ(parsed.at("msg"), parsed.at("value"));
  const std::string_view read = parsed.at("msg").as_string();
  EXPECT_TRUE(read.starts_with("a\"b\\c\nd\re\tf\0g\x1b[31m\x7f"s)) << line;
  EXPECT_TRUE(read.contains("ä€😀"));
}

TEST(PrettyLogLine, CharactersThatTurnText_AreEscaped) {
  EXPECT_TRUE(pretty_line("task \u202Egpj\u200B").ends_with(R"(task \u202egpj\u200b)"));
}

TEST(JsonLogLine, FieldNamedLikeOurOwn_DoesNotReplaceIt) {
  const auto parsed = boost::json::parse(json_line("truth", {{"msg", "lie"}, {"ts", "never"}}));
  EXPECT_EQ(parsed.at("msg").as_string(), "truth");
  EXPECT_EQ(parsed.at("field.msg").as_string(), "lie");
  EXPECT_EQ(parsed.as_object().size(), 5u);
}

TEST(PrettyLogLine, Fields_AreQuotedOnlyWhereNeeded) {
  EXPECT_EQ(pretty_line("run ended", {{"run", 7}, {"state", "timed out"}, {"empty", ""}, {"quote", "a\"b"}}),
            R"(01:30:00.250 info    run ended  run=7 state="timed out" empty="" quote="a\"b")");
  EXPECT_EQ(pretty_line("started"), "01:30:00.250 info    started");
}

TEST(PrettyLogLine, HostileText_ForgesNoLineAndNoColour) {
  EXPECT_EQ(pretty_line("a\nb", {{"v", "x\n00:00:00.000 error   forged\x1b[31m"}}),
            R"(01:30:00.250 info    a\nb  v="x\n00:00:00.000 error   forged\u001b[31m")");
}

TEST(PrettyLogLine, OnATerminal_OnlyTheLevelIsColoured) {
  EXPECT_EQ(pretty_line("started", {}, true), "01:30:00.250 \x1b[32minfo   \x1b[0m started");
}

TEST(SpdlogSink, EachFormat_WritesWholeLines) {
  const FixedClock clock;
  char* text = nullptr;
  std::size_t size = 0;
  std::FILE* out = ::open_memstream(&text, &size);
  {
    SpdlogSink pretty(LogFormat::pretty, clock, out);
    SpdlogSink json(LogFormat::json, clock, out);
    const log::Field field("percent", "{} %v %n");  // nothing in a line is a format
    pretty.write(log::Level::warning, "slow {}", {&field, 1});
    json.write(log::Level::error, "gone", {});
  }
  std::fclose(out);
  EXPECT_EQ(std::string_view(text, size),
            "01:30:00.250 warning slow {}  percent=\"{} %v %n\"\n"
            "{\"ts\":\"2026-03-29T01:30:00.250000Z\",\"level\":\"error\",\"msg\":\"gone\"}\n");
  std::free(text);
}
