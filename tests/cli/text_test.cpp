#include "cli/text.hpp"

#include "cli/http_client.hpp"
#include "cli/json_text.hpp"
#include "cli/sse.hpp"

#include <boost/json.hpp>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::cli;
using namespace std::chrono_literals;

TEST(ParseDuration, EveryForm_IsReadOrRefused) {
  const struct {
    std::string_view text;
    std::optional<Seconds> expected;
  } rows[] = {
      {"30s", 30s},
      {"5m", 5min},
      {"1h30m", 90min},
      {"2d", 48h},
      {"90", 90s},
      {"1h", 1h},
      {"", std::nullopt},
      {"s", std::nullopt},
      {"5x", std::nullopt},
      {"1h30", std::nullopt},
      {"0", std::nullopt},
      {"-5s", std::nullopt},
      {"1.5h", std::nullopt},
      {"5 m", std::nullopt},
      {"99999999999999d", std::nullopt},
      {"9999d", std::nullopt},
  };
  for (const auto& row : rows) {
    const auto parsed = parse_duration(row.text, "--timeout");
    EXPECT_EQ(parsed ? std::optional(*parsed) : std::nullopt, row.expected) << row.text;
    if (!parsed) EXPECT_EQ(parsed.error().exit, Exit::usage);
  }
}

TEST(DurationText, EveryMagnitude_ReadsWell) {
  EXPECT_EQ(duration_text(0ms), "0 ms");
  EXPECT_EQ(duration_text(999ms), "999 ms");
  EXPECT_EQ(duration_text(1250ms), "1.2 s");
  EXPECT_EQ(duration_text(200s), "3 m 20 s");
  EXPECT_EQ(duration_text(2h + 5min + 59s), "2 h 5 m");
}

TEST(OneLine, HiddenCharacters_AreShownAsEscapes) {
  EXPECT_EQ(one_line("a\nb\x1b[31m\xC2\x9B"
                     "c\x7fü\u202Ed\xff"),
            R"(a\nb\u001b[31m\u009bc\u007fü\u202ed)"
            "\uFFFD");
}

TEST(OutputLine, TabsAndJoiners_Stay) {
  EXPECT_EQ(output_line("a\tb\u200Dc\x1b[2J\u2066"), "a\tb\u200Dc\\u001b[2J\\u2066");
}

TEST(UrlEncoded, AnythingUnusual_IsEscaped) {
  EXPECT_EQ(url_encoded("a b/ü?&=~-._Z9"), "a%20b%2F%C3%BC%3F%26%3D~-._Z9");
}

namespace {

std::string events_of(const std::vector<std::string>& chunks) {
  SseParser parser;
  std::string seen;
  for (const auto& chunk : chunks)
    parser.feed(chunk, [&](const SseEvent& event) {
      seen += "[" + event.name + "|" + event.id + "|" + event.data + "]";
      return true;
    });
  return seen;
}

}  // namespace

TEST(SseParser, EveryShape_GivesItsEvents) {
  EXPECT_EQ(events_of({"event: log\nid: 1:2\ndata: {}\n\n"}), "[log|1:2|{}]");
  EXPECT_EQ(events_of({"data:a\ndata: b\n\ndata: c\n\n"}), "[message||a\nb][message||c]");
  EXPECT_EQ(events_of({": comment\n\n", "event: x\n\n", "data: y\n\n"}), "[message||y]");  // no data, no event
  EXPECT_EQ(events_of({"id: 7\ndata: a\n\ndata: b\n\n"}), "[message|7|a][message|7|b]");
  EXPECT_EQ(events_of({"data: a\r\n\r\ndata: b\r\rdata: c\n\n"}), "[message||a][message||b][message||c]");
  EXPECT_EQ(events_of({"data: unfinished\n"}), "");
}

TEST(SseParser, CutAnywhere_GivesTheSameEvents) {
  const std::string text = "event: log\r\nid: 1\r\ndata: {\"a\":1}\r\n\r\n: hm\n\nevent: end\ndata: x\ndata: y\n\n";
  const auto whole = events_of({text});
  for (std::size_t at = 0; at <= text.size(); ++at)
    EXPECT_EQ(events_of({text.substr(0, at), text.substr(at)}), whole) << at;
  std::vector<std::string> bytes;
  for (const char c : text) bytes.emplace_back(1, c);
  EXPECT_EQ(events_of(bytes), whole);
}

TEST(SseParser, ListenerHasEnough_StopsAtOnce) {
  SseParser parser;
  int n = 0;
  EXPECT_FALSE(parser.feed("data: 1\n\ndata: 2\n\n", [&](const SseEvent&) { return ++n > 1; }));
  EXPECT_EQ(n, 1);
}

TEST(IndentedJson, AnyValue_KeepsItsContent) {
  const auto value = json::parse(R"({"a":[1,-2,3.5,1e20],"b":{},"c":[],"d":{"e":null,"f":true},"g":"x\"\n"})");
  EXPECT_EQ(indented_json(value), R"({
  "a": [
    1,
    -2,
    3.5,
    1.0e+20
  ],
  "b": {},
  "c": [],
  "d": {
    "e": null,
    "f": true
  },
  "g": "x\"\n"
})");
  EXPECT_EQ(json::parse(indented_json(value)), value);
  const auto hostile = json::parse(R"({"k\u009b":"\u007f\u202e"})");
  EXPECT_EQ(indented_json(hostile), "{\n  \"k\\u009b\": \"\\u007f\\u202e\"\n}");
}

TEST(YamlOf, AnyValue_IsBlockStyleWithQuotesWhereNeeded) {
  const auto value = json::parse(R"({
    "name":"nightly report","when":"2026-03-29T01:30:00Z","yes":"no","empty":"","number":"12","n":12,"f":1e20,"half":0.5,
    "cron":"0 2 * * *","text":"a: b","lines":"a\nb","none":null,"on":true,"list":[],"object":{},
    "items":[{"id":1,"tags":["a","b"]},{"id":2,"tags":[]}],"nested":[[1,2],[3]],"deep":{"a":{"b":"c"}},
    "odd key":"ü","control":"\u007f\u0085\u2028\ufeff\uffff "})");
  EXPECT_EQ(yaml_of(value), R"(name: nightly report
when: "2026-03-29T01:30:00Z"
"yes": "no"
empty: ""
number: "12"
"n": 12
f: 1.0e+20
half: 0.5
cron: "0 2 * * *"
text: "a: b"
lines: "a\nb"
none: null
"on": true
list: []
object: {}
items:
  - id: 1
    tags:
      - a
      - b
  - id: 2
    tags: []
nested:
  - - 1
    - 2
  - - 3
deep:
  a:
    b: c
odd key: "ü"
control: "\u007f\u0085\u2028\ufeff\uffff "
)");
}

TEST(YamlOf, ScalarOrEmpty_IsOneLine) {
  EXPECT_EQ(yaml_of(json::parse("[]")), "[]\n");
  EXPECT_EQ(yaml_of(json::parse("null")), "null\n");
  EXPECT_EQ(yaml_of(json::parse("[1]")), "- 1\n");
}

TEST(CellOf, EveryKind_IsShort) {
  EXPECT_EQ(cell_of(json::parse("null")), "-");
  EXPECT_EQ(cell_of(json::parse("\"\"")), "-");
  EXPECT_EQ(cell_of(json::parse("true")), "yes");
  EXPECT_EQ(cell_of(json::parse("[\"a\",\"b\"]")), "a, b");
  EXPECT_EQ(cell_of(json::parse(R"({"a":"b","c":1})")), "a=b c=1");
  EXPECT_EQ(cell_of(json::parse(R"({"a":{"b":1}})")), R"({"a":{"b":1}})");
  EXPECT_EQ(cell_of(json::parse("0.25")), "0.25");
  EXPECT_EQ(cell_of(json::parse("\"a\\nb\"")), "a\\nb");
}
