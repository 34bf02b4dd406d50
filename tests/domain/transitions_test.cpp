#include "domain/transitions.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <string_view>
#include <utility>

using namespace scheduler;
using namespace scheduler::domain;

namespace {

constexpr auto kStates = enum_names(RunState{}).size();
constexpr auto kEvents = enum_names(Event{}).size();

}  // namespace

// The whole machine, once more and by hand: rows are states, columns are events, "-" is not allowed.
TEST(After, EveryStateAndEvent_LeadsWhereTheMatrixSays) {
  const char* const kHead[] = {"promote",  "skip",  "dispatch", "start",     "succeed", "fail",
                               "time_out", "retry", "cancel",   "hand_back", "rescue",  "give_up"};
  const struct {
    std::string_view from;
    const char* to[12];
  } rows[] = {
      {"waiting", {"pending", "skipped", "-", "-", "-", "-", "-", "-", "cancelled", "-", "-", "-"}},
      {"pending", {"-", "-", "dispatched", "-", "-", "-", "-", "-", "cancelled", "-", "-", "-"}},
      {"dispatched",
       {"-", "-", "-", "running", "succeeded", "failed", "timed_out", "pending", "cancelled", "pending", "pending",
        "failed"}},
      {"running",
       {"-", "-", "-", "-", "succeeded", "failed", "timed_out", "pending", "cancelled", "-", "pending", "failed"}},
      {"succeeded", {"-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"}},
      {"failed", {"-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"}},
      {"timed_out", {"-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"}},
      {"cancelled", {"-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"}},
      {"skipped", {"-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"}},
  };
  ASSERT_EQ(std::size(rows), kStates);
  ASSERT_EQ(std::size(kHead), kEvents);
  for (const auto& row : rows)
    for (std::size_t i = 0; i < kEvents; ++i) {
      const auto from = *parse_enum<RunState>(row.from);
      const auto event = *parse_enum<Event>(kHead[i]);
      const auto to = after(from, event);
      EXPECT_EQ(to ? name_of(*to) : "-", row.to[i]) << row.from << " on " << kHead[i];
      EXPECT_EQ(may_leave(from, event), to.has_value());
    }
}

TEST(After, TerminalState_HasNoWayOut) {
  for (std::size_t s = 0; s < kStates; ++s) {
    const auto state = static_cast<RunState>(s);
    bool any = false;
    for (std::size_t e = 0; e < kEvents; ++e) any |= may_leave(state, static_cast<Event>(e));
    EXPECT_EQ(any, !is_terminal(state)) << name_of(state);
  }
}

TEST(Transitions, Table_NamesEachStateAndEventOnce) {
  std::set<std::pair<RunState, Event>> seen;
  for (const auto& it : kTransitions) {
    EXPECT_TRUE(seen.insert({it.from, it.event}).second) << name_of(it.from) << " on " << name_of(it.event);
    EXPECT_THAT(it.who, ::testing::AnyOf("api", "dispatcher", "worker"));
  }
}

TEST(Transitions, Guards_FollowWhoChangesTheRun) {
  for (const auto& it : kTransitions) {
    const auto label = std::string(name_of(it.from)) + " on " + std::string(name_of(it.event));
    if (it.who == "worker") EXPECT_EQ(it.guard, Guard::token) << label << ": a late report must change nothing";
    const bool decided = it.event == Event::dispatch || it.event == Event::rescue || it.event == Event::give_up;
    EXPECT_EQ(it.guard == Guard::token_seen, decided) << label;
  }
}

TEST(Sources, EachEvent_ListsTheStatesItMayLeave) {
  for (std::size_t e = 0; e < kEvents; ++e) {
    const auto event = static_cast<Event>(e);
    std::vector<RunState> expected;
    for (std::size_t s = 0; s < kStates; ++s)
      if (may_leave(static_cast<RunState>(s), event)) expected.push_back(static_cast<RunState>(s));
    EXPECT_THAT(sources(event), ::testing::UnorderedElementsAreArray(expected)) << name_of(event);
    EXPECT_FALSE(expected.empty()) << name_of(event) << " can never happen";
  }
  EXPECT_THAT(sources(Event::cancel),
              ::testing::ElementsAre(RunState::waiting, RunState::pending, RunState::dispatched, RunState::running));
}
