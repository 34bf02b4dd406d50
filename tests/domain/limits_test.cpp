#include "domain/limits.hpp"

#include <gtest/gtest.h>

#include <string_view>

namespace scheduler::domain {
namespace {

using namespace std::chrono_literals;

TEST(WaitOfNewRun, EachSituation_SaysWhatItWaitsFor) {
  const struct {
    std::string_view name;
    std::optional<int> limit;
    int going;
    bool is_due;
    std::optional<Wait> expected;
  } rows[] = {
      {"without a limit it goes", std::nullopt, 1000, true, std::nullopt},
      {"without a limit its time comes by itself", std::nullopt, 0, false, std::nullopt},
      {"there is room", 3, 2, true, std::nullopt},
      {"all of it is taken", 3, 3, true, Wait::limit},
      {"more than the limit go, since it was lowered", 3, 5, true, Wait::limit},
      {"it takes up no room before its time", 3, 0, false, Wait::time},
  };
  for (const auto& row : rows) EXPECT_EQ(wait_of_new_run(row.limit, row.going, row.is_due), row.expected) << row.name;
}

TEST(NextInLine, EachSituation_SaysWhoGoes) {
  constexpr auto kAll = std::nullopt;
  const struct {
    std::string_view name;
    Line line;
    NextInLine expected;
  } rows[] = {
      {"nobody waits", {.limit = 3}, {.room = 0}},
      {"nobody waits, and there is no limit", {}, {.room = 0}},
      {"the line goes as far as there is room", {.limit = 3, .going = 1, .has_line = true}, {.room = 2}},
      {"no room", {.limit = 3, .going = 3, .has_line = true}, {.room = 0}},
      {"the limit was lowered below what goes", {.limit = 3, .going = 9, .has_line = true}, {.room = 0}},
      {"the limit was taken away", {.going = 1, .has_line = true}, {.room = kAll}},
      {"the queue waits for what goes", {.going = 1, .has_queue = true}, {.room = 0}},
      {"the queue goes when nothing does", {.has_queue = true}, {.queue_joins = true, .room = kAll}},
      {"the queue goes as far as there is room", {.limit = 2, .has_queue = true}, {.queue_joins = true, .room = 2}},
      {"the line is an earlier run to the queue",
       {.limit = 2, .going = 0, .has_line = true, .has_queue = true},
       {.queue_joins = false, .room = 2}},
  };
  for (const auto& row : rows) EXPECT_EQ(next_in_line(row.line), row.expected) << row.name;
}

TEST(Goes, EachRun_GoesOnceItsTimeHasCome) {
  const TimePoint now{1h};
  const struct {
    std::string_view name;
    RunState state;
    int attempt;
    TimePoint due_at;
    bool expected;
  } rows[] = {
      {"due", RunState::pending, 0, now, true},
      {"to be run later", RunState::pending, 0, now + 1s, false},
      {"resting after a failed attempt", RunState::pending, 1, now + 1s, true},
      {"dispatched", RunState::dispatched, 1, now, true},
      {"running", RunState::running, 1, now, true},
      {"waiting", RunState::waiting, 0, now, false},
      {"ended", RunState::failed, 1, now, false},
  };
  for (const auto& row : rows) {
    TaskRun run;
    run.state = row.state;
    run.attempt = row.attempt;
    run.due_at = row.due_at;
    EXPECT_EQ(goes(run, now), row.expected) << row.name;
  }
}

}  // namespace
}  // namespace scheduler::domain
