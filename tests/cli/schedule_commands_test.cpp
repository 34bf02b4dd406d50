#include "cli/cli_support.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::cli;
using testing::HasSubstr;

TEST(ScheduleNext, Json_IsAnArrayOfInstantsAfterFrom) {
  const auto ran = run_cli_alone({"schedule", "next", "0 2 * * *", "--timezone", "Europe/Berlin", "--from",
                                  "2026-03-28T00:00:00Z", "-n", "5", "-o", "json"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, R"([
  "2026-03-28T01:00:00Z",
  "2026-03-29T01:00:00Z",
  "2026-03-30T00:00:00Z",
  "2026-03-31T00:00:00Z",
  "2026-04-01T00:00:00Z"
]
)");
  EXPECT_EQ(ran.err, "");
}

TEST(ScheduleNext, FromIsAFireTime_IsNotShown) {
  const auto ran = run_cli_alone({"schedule", "next", "0 2 * * *", "--from", "2026-03-28T02:00:00Z", "-n", "1"});
  EXPECT_EQ(ran.out, "2026-03-29T02:00:00Z\n");
}

TEST(ScheduleNext, NoFrom_CountsFromNowInTheZone) {
  const auto ran = run_cli_alone({"schedule", "next", "@daily", "--timezone", "Asia/Tokyo", "-n", "1"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "2026-03-28T15:00:00Z  2026-03-29 00:00:00 Asia/Tokyo\n");
}

TEST(ScheduleNext, ScheduleIsOver_SaysSo) {
  const auto ran = run_cli_alone({"schedule", "next", "@at 2020-01-01T00:00:00Z"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "");
  EXPECT_EQ(ran.err, "no fire times after that instant\n");
  EXPECT_EQ(run_cli_alone({"schedule", "next", "@at 2020-01-01T00:00:00Z", "-o", "json"}).out, "[]\n");
}

TEST(ScheduleNext, FaultyInput_NamesIt) {
  const struct {
    std::vector<std::string> words;
    int exit;
    std::string_view message;
  } rows[] = {
      {{"61 * * * *"}, 5, "error: "},
      {{"@daily", "--timezone", "Europe/Berln"}, 5, "Europe/Berlin"},
      {{"@daily", "--from", "yesterday"}, 2, "error: --from: 'yesterday' is not an RFC 3339 instant"},
      {{"@daily", "-n", "0"}, 2, "error: --count: 0 is out of range; use 1 to 1000"},
      {{"@daily", "-n", "1001"}, 2, "error: --count: 1001 is out of range"},
      {{"@daily", "-n", "x"}, 2, "scheduler-cli schedule next --help"},
      {{}, 2, "TEXT is required"},
  };
  for (const auto& row : rows) {
    std::vector<std::string> words{"schedule", "next"};
    words.insert(words.end(), row.words.begin(), row.words.end());
    const auto ran = run_cli_alone(words);
    EXPECT_EQ(ran.exit, row.exit) << ran.err;
    EXPECT_THAT(ran.err, HasSubstr(row.message));
    EXPECT_EQ(ran.out, "");
  }
}

TEST(ScheduleExplain, Text_IsOneSentence) {
  const auto ran = run_cli_alone({"schedule", "explain", "0 2 * * *", "--timezone", "Europe/Berlin"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("02:00"));
  EXPECT_THAT(ran.out, HasSubstr("Europe/Berlin"));
  EXPECT_TRUE(ran.out.ends_with(".\n")) << ran.out;
  EXPECT_THAT(run_cli_alone({"schedule", "explain", "0 2 * * *", "-o", "json"}).out,
              HasSubstr("\"explanation\": \"At"));
}

TEST(SchedulePreview, Text_IsSentToTheServer) {
  FakeServer server;
  server.data("POST /api/schedules/preview", R"({"explanation":"At 02:00.","slots":["2026-03-29T01:00:00Z"]})");
  const auto ran = run_cli_on(server, {"schedule", "preview", "0 2 * * *", "--timezone", "Europe/Berlin", "-n", "1",
                                       "--from", "2026-03-28T12:00:00Z", "--task-name", "report"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_EQ(ran.out, "At 02:00.\n2026-03-29T01:00:00Z\n");
  EXPECT_EQ(
      server.seen()[0].body,
      R"({"schedule":"0 2 * * *","timezone":"Europe/Berlin","task_name":"report","from":"2026-03-28T12:00:00Z","count":1})");
}

namespace {

constexpr std::string_view kLedger = R"({"task_id":7,"from":"2026-03-28T00:00:00Z","to":"2026-03-29T00:00:00Z","items":[
  {"first":"2026-03-28T02:00:00Z","last":"2026-03-28T02:00:00Z","slots":1,"disposition":"fired","reason":null,"run_id":12,
   "runs":1,"cause_run_id":null,"decided_at":"2026-03-28T02:00:00Z"},
  {"first":"2026-03-28T00:00:01Z","last":"2026-03-28T01:00:00Z","slots":3600,"disposition":"skipped","reason":"overlap",
   "run_id":null,"runs":0,"cause_run_id":11,"decided_at":"2026-03-28T02:00:00Z"}],"limit":20,"next_cursor":null)";

std::string ledger(std::string_view audit) { return std::string(kLedger) + ",\"audit\":" + std::string(audit) + "}"; }

}  // namespace

TEST(ScheduleAudit, NoGap_ShowsTheLedgerAndTheVerdict) {
  FakeServer server;
  server.data("GET /api/tasks/7/slots?from=2026-03-28T00%3A00%3A00Z&to=2026-03-29T00%3A00%3A00Z",
              ledger(R"({"complete":true,"sentence":"no gap, no double","gaps":[],"doubles":[],"notes":["a note"]})"));
  const auto ran =
      run_cli_on(server, {"schedule", "audit", "7", "--from", "2026-03-28T00:00:00Z", "--to", "2026-03-29T00:00:00Z"});
  EXPECT_EQ(ran.exit, 0) << ran.err;
  EXPECT_THAT(ran.out, HasSubstr("2026-03-28T01:00:00Z  3600"));
  EXPECT_THAT(ran.out, HasSubstr("overlap"));
  EXPECT_EQ(ran.err, "no gap, no double\nnote: a note\n");
}

TEST(ScheduleAudit, AGap_IsToldAndFails) {
  FakeServer server;
  server.data("GET /api/tasks?name=report", R"({"items":[{"id":7,"name":"report"}],"next_cursor":null})");
  server.data("GET /api/tasks/7/slots", ledger(R"({"complete":false,"sentence":"a gap","notes":[],
    "gaps":[{"first":"2026-03-28T03:00:00Z","last":"2026-03-28T04:00:00Z","slots":2}],"doubles":[]})"));
  const auto ran = run_cli_on(server, {"schedule", "audit", "report"});
  EXPECT_EQ(ran.exit, 1);
  EXPECT_EQ(ran.err, "a gap\nno disposition: 2026-03-28T03:00:00Z to 2026-03-28T04:00:00Z, fire times: 2\n");
}

TEST(ScheduleAudit, LaterPage_HasNoVerdict) {
  FakeServer server;
  server.data("GET /api/tasks/7/slots?cursor=1774656000000000", std::string(kLedger) + "}");
  EXPECT_EQ(run_cli_on(server, {"schedule", "audit", "7", "--cursor", "1774656000000000"}).exit, 0);
}

TEST(ScheduleAudit, WrongInstant_NamesTheOption) {
  const auto ran = run_cli_alone({"schedule", "audit", "7", "--to", "yesterday"});
  EXPECT_EQ(ran.exit, 2);
  EXPECT_THAT(ran.err, HasSubstr("--to: 'yesterday' is not an RFC 3339 instant"));
}
