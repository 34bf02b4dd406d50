#include "infrastructure/message_codec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

using namespace scheduler;
using namespace scheduler::application;
using namespace scheduler::infrastructure;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

namespace {

const TimePoint kNow{1'780'000'000'123'456us};
const EnvelopeHeader kHeader{.id = "a-1", .sent_at = kNow};

Message work() {
  return {std::vector{TaskExecution{.run = {1},
                                    .task = {2},
                                    .task_name = "t\u00e9",
                                    .task_type = "shell",
                                    .parameters = R"({"a":[1,2],"b":"\"\\"})",
                                    .attempt = 4,
                                    .token = 9'007'199'254'740'991,
                                    .timeout = 9s,
                                    .slot = kNow,
                                    .shard_index = 1,
                                    .shard_total = 2},
                      TaskExecution{.run = {2}, .task_type = "noop", .parameters = "{}"}}};
}

// What goes from run to run.
Message handed_over() {
  return {
      std::vector{TaskExecution{.run = {1}, .task_type = "noop", .parameters = "{}", .upstream = R"({"a":"\u0000"})"},
                  TaskExecution{.run = {2}, .task_type = "noop", .parameters = "{}", .upstream_fault = "too much"}}};
}

Message left() {
  return {std::vector{StatusUpdate{.run = {1}, .outcome = domain::Outcome{.exit_code = 0, .output = R"({"rows":12})"}},
                      StatusUpdate{.run = {2}, .outcome = domain::Outcome{}}}};
}

Message news() {
  const domain::Outcome outcome{.state = domain::AttemptState::failed,
                                .reason = domain::Reason::http_status,
                                .message = "50\u00b3 \"no\"\n",
                                .exit_code = -9,
                                .http_status = 503,
                                .permanent = true,
                                .retry_after = 1500ms};
  return {std::vector{StatusUpdate{.run = {1},
                                   .attempt = 2,
                                   .token = 3,
                                   .incarnation = {4},
                                   .age = 5us,
                                   .duration = 6us,
                                   .outcome = outcome,
                                   .unstarted = true,
                                   .log_lines = 8},
                      StatusUpdate{.run = {2}}}};
}

Message beat() {
  return {WorkerHeartbeat{.worker = {.id = {"w 1"},
                                     .incarnation = {9'007'199'254'740'991},
                                     .host = "h",
                                     .pid = 5,
                                     .version = "1",
                                     .task_types = {"http", "shell"},
                                     .labels = {{"a", "b"}, {"", "\""}},
                                     .slots = 3,
                                     .capacity = 7,
                                     .busy = 2,
                                     .load = 1.25,
                                     .memory_bytes = 1LL << 40,
                                     .state = domain::WorkerState::draining},
                          .held = {{RunId{1}, 2}, {RunId{3}, 4}},
                          .leaving = true}};
}

Message control() {
  return {std::vector{TaskControl{.kind = TaskControl::Kind::cancel, .run = {1}, .token = 2},
                      TaskControl{.kind = TaskControl::Kind::retire, .reason = domain::Reason::worker_lost},
                      TaskControl{.kind = TaskControl::Kind::replaced}}};
}

Message output() {
  return {std::vector{LogChunk{.run = {1},
                               .attempt = 2,
                               .first_line = 3,
                               .lines = 2,
                               .stream = Stream::err,
                               .at = kNow,
                               .text = "a\n\u20ac\x1b[0m"}}};
}

const std::vector<Message> kEveryKind = {work(), news(), handed_over(), left(), beat(), control(), output(), {Nudge{}}};

// Which text comes out says everything about what was read, because writing leaves nothing out.
std::string one_text(const Message& message, const EnvelopeHeader& header = kHeader) {
  const auto parts = encode_message(message, header);
  EXPECT_THAT(parts, SizeIs(1));
  return parts.at(0);
}

std::string replaced(std::string text, std::string_view what, std::string_view with) {
  const auto at = text.find(what);
  EXPECT_NE(at, text.npos) << what << " is not in " << text;
  return at == text.npos ? text : text.replace(at, what.size(), with);
}

std::string refusal(std::string_view text) {
  const auto read = decode_message(text);
  if (read) return "it was read";
  EXPECT_EQ(read.error().kind, ErrorKind::Validation);
  return read.error().message;
}

}  // namespace

TEST(MessageCodec, EveryKind_ThereAndBack_IsTheSame) {
  for (const auto& message : kEveryKind) {
    const auto text = one_text(message);
    const auto read = decode_message(text);
    ASSERT_TRUE(read) << read.error().message << "\n" << text;
    EXPECT_EQ(read->message.payload.index(), message.payload.index());
    EXPECT_EQ(read->header, kHeader);
    EXPECT_EQ(one_text(read->message), text);
  }
}

// The text is a promise to programs of other releases: what changes here needs a new version, unless it only adds.
TEST(MessageCodec, Encode_KnownMessage_HasTheWrittenForm) {
  EXPECT_EQ(
      one_text(work(), {.id = "a-1", .sent_at = kNow, .correlation_id = "c", .traceparent = "tp", .tracestate = "ts"}),
      R"({"version":1,"id":"a-1","type":"task_execution","timestamp":"2026-05-28T20:26:40.123456Z","correlation_id":"c",)"
      R"("traceparent":"tp","tracestate":"ts","items":[{"run":1,"task":2,"task_name":"té","task_type":"shell",)"
      R"("parameters":"{\"a\":[1,2],\"b\":\"\\\"\\\\\"}","attempt":4,"token":9007199254740991,"timeout":9,)"
      R"("slot":1780000000123456,"shard_index":1,"shard_total":2},{"run":2,"task":0,"task_name":"","task_type":"noop",)"
      R"("parameters":"{}","attempt":1,"token":0,"timeout":300,"shard_index":0,"shard_total":1}]})");
  EXPECT_THAT(one_text(news()),
              HasSubstr(R"("age":5,"duration":6,"outcome":{"state":"failed","reason":"http_status","message":)"));
  EXPECT_THAT(one_text(news()), HasSubstr(R"("exit_code":-9,"http_status":503,"permanent":true,"retry_after":1500)"));
  EXPECT_THAT(one_text(beat()), HasSubstr(R"("load":1.25E0,"memory_bytes":1099511627776,"state":"draining")"));
  EXPECT_THAT(one_text(control()), HasSubstr(R"({"kind":"retire","run":0,"token":0,"reason":"worker_lost"})"));
  EXPECT_THAT(one_text(output()), HasSubstr(R"("stream":"stderr","at":1780000000123456,"text":"a\n€\u001b[0m")"));
  EXPECT_THAT(one_text({Nudge{}}), HasSubstr(R"("type":"nudge")"));
}

TEST(MessageCodec, Encode_OutputsOfRuns_HaveTheWrittenFormAndCostOthersNothing) {
  EXPECT_THAT(one_text(left()), HasSubstr(R"("permanent":false,"output":"{\"rows\":12}"},)"));
  EXPECT_THAT(one_text(left()), HasSubstr(R"("permanent":false},)"));
  EXPECT_THAT(one_text(handed_over()), HasSubstr(R"("shard_total":1,"upstream":"{\"a\":\"\\u0000\"}"})"));
  EXPECT_THAT(one_text(handed_over()), HasSubstr(R"("shard_total":1,"upstream_fault":"too much"})"));
}

// The largest that there can be, written as badly as JSON allows.
TEST(MessageCodec, LargestOutputs_FitIntoAnEnvelope) {
  const std::string quotes(domain::kOutputBytesMax, '"'), upstream(kUpstreamBytesMax, '"'),
      parameters(domain::kParameterBytesMax, '"');
  const std::vector updates(200, StatusUpdate{.outcome = domain::Outcome{.output = quotes}});
  std::size_t read_back = 0;
  for (const auto& part : encode_message({updates}, kHeader)) {
    EXPECT_LE(part.size(), kEnvelopeBytesTarget);
    const auto read = decode_message(part);
    ASSERT_TRUE(read) << read.error().message;
    for (const auto& it : std::get<std::vector<StatusUpdate>>(read->message.payload)) {
      EXPECT_EQ(it.outcome->output, quotes);
      ++read_back;
    }
  }
  EXPECT_EQ(read_back, updates.size());
  const std::vector work(5, TaskExecution{.task_type = "http", .parameters = parameters, .upstream = upstream});
  for (const auto& part : encode_message({work}, kHeader)) EXPECT_TRUE(decode_message(part));
}

TEST(MessageCodec, Text_OfAProcess_ComesBackByteByByte) {
  std::string bytes;
  for (int c = 0; c < 256; ++c) bytes += static_cast<char>(c);
  Message message = output();
  std::get<std::vector<LogChunk>>(message.payload)[0].text = bytes;
  const auto read = decode_message(one_text(message));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(std::get<std::vector<LogChunk>>(read->message.payload).at(0).text, bytes);
}

TEST(MessageCodec, Load_NoNumber_DoesNotSpoilTheHeartbeat) {
  for (const double load : {std::numeric_limits<double>::infinity(), std::numeric_limits<double>::quiet_NaN()}) {
    Message message = beat();
    std::get<WorkerHeartbeat>(message.payload).worker.load = load;
    EXPECT_TRUE(decode_message(one_text(message)));
  }
}

TEST(MessageCodec, Encode_TooLargeForOneText_TravelsInParts) {
  std::vector<TaskExecution> many(100);
  for (std::size_t i = 0; i < many.size(); ++i) {
    many[i].run = {static_cast<std::int64_t>(i)};
    many[i].parameters = std::string(1000, 'x');
  }
  const auto parts = encode_message({many}, kHeader, 20'000);
  EXPECT_GT(parts.size(), 5u);
  std::vector<std::int64_t> runs;
  std::set<std::string> ids;
  for (const auto& part : parts) {
    EXPECT_LE(part.size(), 20'000u);
    const auto read = decode_message(part);
    ASSERT_TRUE(read) << read.error().message;
    ids.insert(read->header.id);
    for (const auto& it : std::get<std::vector<TaskExecution>>(read->message.payload)) runs.push_back(it.run.value);
  }
  EXPECT_THAT(runs, SizeIs(100));
  EXPECT_TRUE(std::ranges::is_sorted(runs));
  EXPECT_EQ(ids.size(), parts.size());
  EXPECT_THAT(encode_message(beat(), kHeader, 10), SizeIs(1)) << "what cannot be parted goes as it is";
}

TEST(MessageCodec, Decode_UnknownMembers_AreIgnored) {
  auto text = replaced(one_text(news()), R"("run":1)", R"("colour":{"red":[1]},"run":1)");
  text = replaced(text, R"("reason":)", R"("mood":null,"reason":)");
  text = replaced(text, R"("type":)", R"("sender":"x","type":)");
  const auto read = decode_message(text);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(one_text(read->message), one_text(news()));
}

TEST(MessageCodec, Decode_WhatIsNoMessage_SaysWhy) {
  const auto text = one_text(news());
  const std::string deep(100'000, '[');
  const struct {
    std::string_view name;
    std::string text;
    std::string_view why;
  } rows[] = {
      {"nothing", "", "it is no JSON"},
      {"not JSON", "hello", "it is no JSON"},
      {"no object", "[1]", "it is no JSON object"},
      {"more after it", text + "{}", "it is no JSON"},
      {"deep", deep, "it is no JSON"},
      {"deep in an unknown member", replaced(text, R"("type":)", R"("x":)" + deep), "it is no JSON"},
      {"huge", std::string(kEnvelopeBytesMax + 1, ' '), "16777216 are the most"},
      {"no version", replaced(text, R"("version":1,)", ""), "its 'version' is missing"},
      {"version is text", replaced(text, R"("version":1)", R"("version":"1")"), "its 'version' is missing, or no"},
      {"newer version", replaced(text, R"("version":1)", R"("version":2)"), "it has version 2, and this program reads"},
      {"no type", replaced(text, R"("type":"status_update",)", ""), "/type: is required"},
      {"unknown type", replaced(text, "status_update", "gossip"), "its type 'gossip' is not known"},
      {"other type", replaced(text, "status_update", "task_execution"), "/items/0/task: is required"},
      {"no id", replaced(text, R"("id":"a-1",)", ""), "/id: is required"},
      {"id is a number", replaced(text, R"("a-1")", "7"), "/id: expected a string, got a number"},
      {"no timestamp", replaced(text, R"("timestamp":"2026-05-28T20:26:40.123456Z",)", ""), "/timestamp: is required"},
      {"bad timestamp", replaced(text, "2026-05-28T20:26:40.123456Z", "yesterday"), "its 'timestamp' is no instant"},
      {"no items", replaced(text, R"("items":)", R"("itens":)"), "/items: is required"},
      {"items are no list", replaced(text, R"("items":[)", R"("items":7,"x":[)"), "/items: expected an array"},
      {"item is no object", replaced(text, R"("items":[)", R"("items":[null,)"), "/items/0: expected an object"},
      {"no token", replaced(text, R"("token":3,)", ""), "/items/0/token: is required"},
      {"token is text", replaced(text, R"("token":3)", R"("token":"3")"), "/items/0/token: expected a whole number"},
      {"token is a fraction", replaced(text, R"("token":3)", R"("token":3.5)"), "/items/0/token: expected a whole"},
      {"attempt too large", replaced(text, R"("attempt":2)", R"("attempt":3000000000)"),
       "/items/0/attempt: the number is too large"},
      {"run is negative", replaced(text, R"("run":1)", R"("run":-1)"), "/items/0/run: must not be negative"},
      {"age for ever", replaced(text, R"("age":5)", R"("age":9000000000000000000)"),
       "/items/0/age: the number is too large"},
      {"unknown word", replaced(text, R"("failed")", R"("fialed")"), "/items/0/outcome/state: unknown value 'fialed'"},
      {"no reason", replaced(text, R"("reason":)", R"("raisin":)"), "/items/0/outcome/reason: is required"},
      {"two heartbeats", replaced(one_text(beat()), R"("items":[)", R"("items":[1,)"), "must hold one item, not 2"},
      {"no heartbeat", replaced(one_text(beat()), R"("items":[)", R"("items":[],"x":[)"), "must hold one item, not 0"},
      {"instant for ever", replaced(one_text(output()), R"("at":1)", R"("at":999999)"),
       "/items/0/at: the number is too large"},
  };
  for (const auto& row : rows) EXPECT_THAT(refusal(row.text), HasSubstr(row.why)) << row.name;
}

TEST(MessageCodec, Decode_CutAnywhere_IsRefused) {
  for (const auto& message : kEveryKind) {
    const auto text = one_text(message);
    for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(decode_message(text.substr(0, size)));
  }
}

// Whatever a broken or hostile sender does to the bytes: an error or a message, and a message that was read can be
// written and read again. Fixed seed: a failure comes back.
TEST(MessageCodec, Decode_RandomlyDamaged_NeverCrashes) {
  std::mt19937_64 dice(20260101);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(dice() % n); };
  const std::string_view scraps[] = {"null", "-1",  "1e999", "\"\"", "[]",      "{}",        "9223372036854775808",
                                     "true", "\\u", "\\ud8", ",",    "\"run\"", "\"items\"", "0.1"};
  std::size_t read_well = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto text = one_text(kEveryKind[below(kEveryKind.size())]);
    for (auto n = 1 + below(4); n > 0 && !text.empty(); --n) {
      const auto at = below(text.size());
      switch (below(4)) {
        case 0:
          text[at] = static_cast<char>(below(256));
          break;
        case 1:
          text.erase(at, 1 + below(8));
          break;
        case 2:
          text.insert(at, scraps[below(std::size(scraps))]);
          break;
        default:
          text.insert(at, text.substr(below(text.size()), below(40)));
          break;
      }
    }
    const auto read = decode_message(text);
    if (!read) continue;
    ++read_well;
    const auto again = encode_message(read->message, read->header);
    ASSERT_TRUE(decode_message(again.at(0))) << "seen as a message once: " << text;
  }
  EXPECT_GT(read_well, 100u) << "the damage was always fatal, so nothing was tested";
}
