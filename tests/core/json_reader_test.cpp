#include "core/json_reader.hpp"

#include <gtest/gtest.h>

using namespace scheduler;

namespace reader_test {

enum class Colour { red, green, dark_blue };
constexpr auto enum_names(Colour) { return std::to_array<std::string_view>({"red", "green", "dark_blue"}); }

struct Retry {
  int max = 3;
  double factor = 2;
  bool operator==(const Retry&) const = default;
};
BOOST_DESCRIBE_STRUCT(Retry, (), (max, factor))

// Either a number or a name: a type with a reading of its own.
struct Reference {
  std::int64_t id = 0;
  std::string name;
};
void read_json_value(const json::value& from, Reference& into, const JsonPlace& at, JsonFaults& faults) {
  if (from.is_string())
    read_json(from, into.name, at, faults);
  else if (from.is_int64())
    read_json(from, into.id, at, faults);
  else
    faults.add_wrong_type(at, "an id or a name", from);
}

struct Body {
  std::string name;
  bool enabled = true;
  std::int64_t big = 0;
  std::uint8_t small = 0;
  Colour colour = Colour::green;
  Retry retry;
  std::optional<std::string> schedule = "@daily";
  std::optional<std::optional<int>> patch;
  std::vector<std::string> tags;
  std::map<std::string, int> labels;
  std::vector<Retry> retries;
  std::vector<Reference> upstreams;
  json::value anything;
  json::object object;
};
BOOST_DESCRIBE_STRUCT(Body, (),
                      (name, enabled, big, small, colour, retry, schedule, patch, tags, labels, retries, upstreams,
                       anything, object))
constexpr auto required_fields(const Body*) { return std::to_array<std::string_view>({"name"}); }

struct Derived : Retry {
  int extra = 0;
};
BOOST_DESCRIBE_STRUCT(Derived, (Retry), (extra))

struct Empty {};
BOOST_DESCRIBE_STRUCT(Empty, (), ())

}  // namespace reader_test

using namespace reader_test;

namespace {

// "pointer: message" of the one fault that is expected.
std::string only_fault(std::string_view text, std::string_view prefix = "") {
  const auto body = parse_json_as<Body>(text, prefix);
  if (body) return "no fault";
  const auto& fields = body.error().fields;
  return fields.size() == 1 ? fields[0].pointer + ": " + fields[0].message
                            : std::to_string(fields.size()) + " faults: " + body.error().message;
}

}  // namespace

TEST(ParseJsonAs, EveryKindOfMember_IsRead) {
  const auto body = parse_json_as<Body>(R"({"name":"ä","enabled":false,"big":-9007199254740993,"small":255,
    "colour":"dark_blue","retry":{"max":9},"schedule":"@hourly","patch":4,"tags":["a","b"],"labels":{"x":1,"y":2},
    "retries":[{"factor":1},{}],"upstreams":[7,"seven"],"anything":[null],"object":{"k":1}})");
  ASSERT_TRUE(body) << body.error().message;
  EXPECT_EQ(body->name, "ä");
  EXPECT_FALSE(body->enabled);
  EXPECT_EQ(body->big, -9007199254740993);
  EXPECT_EQ(body->small, 255);
  EXPECT_EQ(body->colour, Colour::dark_blue);
  EXPECT_EQ(body->retry, (Retry{9, 2}));
  EXPECT_EQ(body->schedule, "@hourly");
  EXPECT_EQ(body->patch, std::optional(std::optional(4)));
  EXPECT_EQ(body->tags, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(body->labels, (std::map<std::string, int>{{"x", 1}, {"y", 2}}));
  EXPECT_EQ(body->retries, (std::vector<Retry>{{3, 1}, {3, 2}}));
  EXPECT_EQ(body->upstreams[0].id, 7);
  EXPECT_EQ(body->upstreams[1].name, "seven");
  EXPECT_TRUE(body->anything.is_array());
  EXPECT_EQ(body->object.at("k"), 1);
}

TEST(ParseJsonAs, AbsentMembers_KeepTheirDefaults) {
  const auto body = parse_json_as<Body>(R"({"name":""})");
  ASSERT_TRUE(body);
  EXPECT_TRUE(body->enabled);
  EXPECT_EQ(body->colour, Colour::green);
  EXPECT_EQ(body->schedule, "@daily");
  EXPECT_FALSE(body->patch.has_value());
}

TEST(ParseJsonAs, Null_EmptiesOnlyOptionals) {
  const auto body = parse_json_as<Body>(R"({"name":"a","schedule":null,"patch":null})");
  ASSERT_TRUE(body);
  EXPECT_FALSE(body->schedule.has_value());
  ASSERT_TRUE(body->patch.has_value());    // it was there …
  EXPECT_FALSE(body->patch->has_value());  // … and null
  EXPECT_EQ(only_fault(R"({"name":null})"), "/name: expected a string, got null");
}

TEST(ParseJsonAs, WholeNumberWrittenWithAPoint_IsWhole) {
  EXPECT_EQ(parse_json_as<Retry>(R"({"max":3.0})")->max, 3);
  EXPECT_EQ(parse_json_as<Retry>(R"({"max":1e2})")->max, 100);
  EXPECT_EQ(parse_json_as<Retry>(R"({"factor":7})")->factor, 7.0);
  EXPECT_EQ(parse_json_as<Retry>(R"({"factor":18446744073709551615})")->factor, 18446744073709551615.0);
}

TEST(ParseJsonAs, InheritedMembers_AreRead) {
  const auto derived = parse_json_as<Derived>(R"({"max":1,"extra":2})");
  ASSERT_TRUE(derived);
  EXPECT_EQ(derived->max, 1);
  EXPECT_EQ(derived->extra, 2);
  EXPECT_TRUE(parse_json_as<Empty>("{}"));
  EXPECT_FALSE(parse_json_as<Empty>(R"({"a":1})"));
}

TEST(ParseJsonAs, EveryFault_SaysWhereAndWhat) {
  const struct {
    std::string_view text, expected;
  } rows[] = {
      {R"({})", "/name: is required"},
      {R"([])", ": expected an object, got an array"},
      {R"({"name":7})", "/name: expected a string, got a number"},
      {R"({"name":"a","enabled":"yes"})", "/enabled: expected true or false, got a string"},
      {R"({"name":"a","big":"1"})", "/big: expected a whole number, got a string"},
      {R"({"name":"a","big":1.5})", "/big: expected a whole number, got 1.5"},
      {R"({"name":"a","big":9223372036854775808})", "/big: the number is too large"},
      {R"({"name":"a","big":1e300})", "/big: the number is too large"},
      {R"({"name":"a","big":-1e300})", "/big: the number is too small"},
      {R"({"name":"a","small":256})", "/small: the number is too large"},
      {R"({"name":"a","small":-1})", "/small: must not be negative"},
      {R"({"name":"a","colour":"gren"})",
       "/colour: unknown value 'gren': must be red, green or dark_blue; did you mean 'green'?"},
      {R"({"name":"a","colour":1})", "/colour: expected red, green or dark_blue, got a number"},
      {R"({"name":"a","retry":{"mx":1}})", "/retry/mx: unknown field; did you mean 'max'?"},
      {R"({"name":"a","retry":3})", "/retry: expected an object, got a number"},
      {R"({"name":"a","tags":["a",2]})", "/tags/1: expected a string, got a number"},
      {R"({"name":"a","tags":{}})", "/tags: expected an array, got an object"},
      {R"({"name":"a","labels":{"a/b~c":true}})", "/labels/a~1b~0c: expected a whole number, got a boolean"},
      {R"({"name":"a","retries":[{},{"factor":"x"}]})", "/retries/1/factor: expected a number, got a string"},
      {R"({"name":"a","upstreams":[true]})", "/upstreams/0: expected an id or a name, got a boolean"},
      {R"({"name":"a","object":[]})", "/object: expected an object, got an array"},
      {R"({"name":"a","Name":"b"})", "/Name: unknown field; did you mean 'name'?"},
      {R"({"name":"a","xyzzy":1})", "/xyzzy: unknown field"},
  };
  for (const auto& row : rows) EXPECT_EQ(only_fault(row.text), row.expected) << row.text;
  EXPECT_EQ(only_fault(R"({})", "/parameters"), "/parameters/name: is required");
}

TEST(ParseJsonAs, SeveralFaults_AreAllReportedAtOnce) {
  const auto body = parse_json_as<Body>(R"({"enabled":1,"retry":{"max":"x","factr":2},"tags":[1,"b",2]})");
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().kind, ErrorKind::Validation);
  std::vector<std::string> pointers;
  for (const auto& field : body.error().fields) pointers.push_back(field.pointer);
  EXPECT_EQ(pointers,
            (std::vector<std::string>{"/enabled", "/retry/max", "/retry/factr", "/tags/0", "/tags/2", "/name"}));
  EXPECT_EQ(body.error().message, "/enabled: expected true or false, got a number (and 5 more)");
}

TEST(ParseJsonAs, ThousandsOfFaults_AreCapped) {
  std::string text = R"({"name":"a","tags":[0)";
  for (int i = 0; i < 5000; ++i) text += ",0";
  const auto body = parse_json_as<Body>(text + "]}");
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().fields.size(), kJsonFaultsMax);
}

TEST(ParseJson, MalformedText_NamesTheByte) {
  const auto message = [](std::string_view text) {
    const auto value = parse_json(text);
    return value ? "accepted" : value.error().message;
  };
  EXPECT_EQ(message(R"({"a":1,})"), "the JSON is malformed at byte 8: syntax error");
  EXPECT_EQ(message(R"({"a":tru})"), "the JSON is malformed at byte 6: syntax error");
  EXPECT_EQ(message(R"({"a":1)"), "the JSON ends too early, after byte 6");
  EXPECT_EQ(message(""), "the JSON ends too early, after byte 0");
  EXPECT_EQ(message("{} {}"), "there is more text after the JSON value, at byte 4");
  EXPECT_EQ(message("\"\xff\""), "the text is not valid UTF-8 at byte 2; send JSON as UTF-8");
  EXPECT_EQ(message("{\"n\":\"caf\xe9\"}"), "the text is not valid UTF-8 at byte 10; send JSON as UTF-8");
  EXPECT_EQ(message("{\"caf\xc3\":1}"), "the text is not valid UTF-8 at byte 6; send JSON as UTF-8");
  EXPECT_EQ(message("\"caf\xc3"), "the text is not valid UTF-8 at byte 5; send JSON as UTF-8");
  EXPECT_EQ(message(R"({"a":1,"b":{"a":2},"a":3})"), "the JSON has the key 'a' twice in one object, at byte 21");
  EXPECT_EQ(message(R"([{"a":1},{"a":1}])"), "accepted");
  EXPECT_EQ(message(std::string(32, '[') + std::string(32, ']')), "accepted");
  EXPECT_EQ(message(std::string(33, '[') + std::string(33, ']')),
            "the JSON is nested more than 32 levels deep, at byte 33");
  EXPECT_EQ(message(" 7 \n"), "accepted");
  const auto body = parse_json_as<Body>("nope", "/parameters");
  ASSERT_FALSE(body);
  EXPECT_EQ(body.error().fields[0].pointer, "/parameters");
}

TEST(QuoteWord, LongWord_IsCutBetweenCharacters) {
  EXPECT_EQ(quote_word("abc"), "'abc'");
  EXPECT_EQ(quote_word(std::string(63, 'a') + "ä"), "'" + std::string(63, 'a') + "…'");
}
