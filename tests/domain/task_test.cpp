#include "domain/task.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <string_view>

using namespace scheduler;
using namespace scheduler::domain;
using namespace std::chrono_literals;

namespace {

TaskSpec good() {
  TaskSpec spec;
  spec.name = "nightly report";
  spec.task_type = "shell";
  return spec;
}

std::vector<std::string> pointers(const TaskSpec& spec) {
  std::vector<std::string> all;
  for (const auto& it : validate(spec)) all.push_back(it.pointer);
  return all;
}

Labels many_labels(std::size_t n) {
  Labels labels;
  for (std::size_t i = 0; i < n; ++i) labels.emplace("key" + std::to_string(i), "v");
  return labels;
}

std::vector<TaskId> many_tasks(std::size_t n) {
  std::vector<TaskId> ids;
  for (std::size_t i = 1; i <= n; ++i) ids.push_back(TaskId{static_cast<std::int64_t>(i)});
  return ids;
}

constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

}  // namespace

TEST(ValidateTask, Defaults_AreGood) { EXPECT_THAT(pointers(good()), ::testing::IsEmpty()); }

TEST(ValidateTask, EachFieldAtItsLimit_IsGoodAndBeyondItIsNot) {
  const struct {
    std::string_view name;
    void (*change)(TaskSpec&);
    std::string_view fault;  // empty: good
  } rows[] = {
      {"shortest name", [](TaskSpec& s) { s.name = "x"; }, ""},
      {"longest name", [](TaskSpec& s) { s.name = std::string(255, 'x'); }, ""},
      {"empty name", [](TaskSpec& s) { s.name = ""; }, "/name"},
      {"name too long", [](TaskSpec& s) { s.name = std::string(256, 'x'); }, "/name"},
      {"name of 85 three-byte letters",
       [](TaskSpec& s) {
         s.name.clear();
         for (int i = 0; i < 85; ++i) s.name += "\u6f22";
       },
       ""},
      {"name of 86 three-byte letters",
       [](TaskSpec& s) {
         s.name.clear();
         for (int i = 0; i < 86; ++i) s.name += "\u6f22";
       },
       "/name"},
      {"no description", [](TaskSpec& s) { s.description = ""; }, ""},
      {"longest description", [](TaskSpec& s) { s.description = std::string(4096, 'x'); }, ""},
      {"description too long", [](TaskSpec& s) { s.description = std::string(4097, 'x'); }, "/description"},
      {"largest parameters", [](TaskSpec& s) { s.parameters = std::string(kParameterBytesMax, ' '); }, ""},
      {"parameters too large", [](TaskSpec& s) { s.parameters = std::string(kParameterBytesMax + 1, ' '); },
       "/parameters"},
      {"shortest timeout", [](TaskSpec& s) { s.timeout = 1s; }, ""},
      {"longest timeout", [](TaskSpec& s) { s.timeout = 86400s; }, ""},
      {"no timeout", [](TaskSpec& s) { s.timeout = 0s; }, "/timeout_seconds"},
      {"negative timeout", [](TaskSpec& s) { s.timeout = -1s; }, "/timeout_seconds"},
      {"timeout too long", [](TaskSpec& s) { s.timeout = 86401s; }, "/timeout_seconds"},
      {"endless timeout", [](TaskSpec& s) { s.timeout = Seconds::max(); }, "/timeout_seconds"},
      {"no retries", [](TaskSpec& s) { s.max_retries = 0; }, ""},
      {"most retries", [](TaskSpec& s) { s.max_retries = 10; }, ""},
      {"negative retries", [](TaskSpec& s) { s.max_retries = -1; }, "/max_retries"},
      {"too many retries", [](TaskSpec& s) { s.max_retries = 11; }, "/max_retries"},
      {"smallest base", [](TaskSpec& s) { s.retry_backoff.base_seconds = 0.001; }, ""},
      {"zero base", [](TaskSpec& s) { s.retry_backoff.base_seconds = 0; }, "/retry_backoff/base_seconds"},
      {"base is no number", [](TaskSpec& s) { s.retry_backoff.base_seconds = kNaN; }, "/retry_backoff/base_seconds"},
      {"smallest factor", [](TaskSpec& s) { s.retry_backoff.factor = 1; }, ""},
      {"largest factor", [](TaskSpec& s) { s.retry_backoff.factor = 10; }, ""},
      {"shrinking waits", [](TaskSpec& s) { s.retry_backoff.factor = 0.99; }, "/retry_backoff/factor"},
      {"factor too large", [](TaskSpec& s) { s.retry_backoff.factor = 10.01; }, "/retry_backoff/factor"},
      {"factor is no number", [](TaskSpec& s) { s.retry_backoff.factor = kNaN; }, "/retry_backoff/factor"},
      {"cap equals base", [](TaskSpec& s) { s.retry_backoff = {5, 2, 5}; }, ""},
      {"largest cap", [](TaskSpec& s) { s.retry_backoff.cap_seconds = 86400; }, ""},
      {"cap below base", [](TaskSpec& s) { s.retry_backoff = {5, 2, 4.9}; }, "/retry_backoff/cap_seconds"},
      {"cap too large", [](TaskSpec& s) { s.retry_backoff.cap_seconds = 86400.5; }, "/retry_backoff/cap_seconds"},
      {"endless cap", [](TaskSpec& s) { s.retry_backoff.cap_seconds = kInfinity; }, "/retry_backoff/cap_seconds"},
      {"lowest priority", [](TaskSpec& s) { s.priority = 0; }, ""},
      {"highest priority", [](TaskSpec& s) { s.priority = 9; }, ""},
      {"priority too low", [](TaskSpec& s) { s.priority = -1; }, "/priority"},
      {"priority too high", [](TaskSpec& s) { s.priority = 10; }, "/priority"},
      {"one shard", [](TaskSpec& s) { s.shard_count = 1; }, ""},
      {"most shards", [](TaskSpec& s) { s.shard_count = 1000; }, ""},
      {"no shard", [](TaskSpec& s) { s.shard_count = 0; }, "/shard_count"},
      {"too many shards", [](TaskSpec& s) { s.shard_count = 1001; }, "/shard_count"},
      {"most dependencies", [](TaskSpec& s) { s.dependencies = many_tasks(kDependenciesMax); }, ""},
      {"too many dependencies", [](TaskSpec& s) { s.dependencies = many_tasks(kDependenciesMax + 1); },
       "/dependencies"},
      {"the same dependency twice", [](TaskSpec& s) { s.dependencies = {TaskId{3}, TaskId{4}, TaskId{3}}; },
       "/dependencies"},
      {"a schedule alone", [](TaskSpec& s) { s.schedule = "@daily"; }, ""},
      {"schedule and dependencies",
       [](TaskSpec& s) {
         s.schedule = "@daily";
         s.dependencies = {TaskId{3}};
       },
       ""},
      {"most labels", [](TaskSpec& s) { s.labels = many_labels(kLabelsMax); }, ""},
      {"too many labels", [](TaskSpec& s) { s.labels = many_labels(kLabelsMax + 1); }, "/labels"},
      {"longest label", [](TaskSpec& s) { s.labels = {{std::string(63, 'k'), std::string(63, 'v')}}; }, ""},
      {"label key too long", [](TaskSpec& s) { s.labels = {{std::string(64, 'k'), "v"}}; }, "/labels"},
      {"label value too long", [](TaskSpec& s) { s.labels = {{"k", std::string(64, 'v')}}; }, "/labels"},
      {"empty label key", [](TaskSpec& s) { s.labels = {{"", "v"}}; }, "/labels"},
      {"empty label value", [](TaskSpec& s) { s.labels = {{"k", ""}}; }, ""},
      {"every label character", [](TaskSpec& s) { s.labels = {{"a.Z_0-9/x", "a.Z_0-9/x"}}; }, ""},
      {"worker label that would break a route", [](TaskSpec& s) { s.worker_labels = {{"gpu", "yes,region=eu"}}; },
       "/worker_labels"},
      {"worker label with a bar", [](TaskSpec& s) { s.worker_labels = {{"a|b", ""}}; }, "/worker_labels"},
      {"too many worker labels", [](TaskSpec& s) { s.worker_labels = many_labels(kLabelsMax + 1); }, "/worker_labels"},
  };
  for (const auto& row : rows) {
    auto spec = good();
    row.change(spec);
    if (row.fault.empty())
      EXPECT_THAT(pointers(spec), ::testing::IsEmpty()) << row.name;
    else
      EXPECT_THAT(pointers(spec), ::testing::ElementsAre(row.fault)) << row.name;
  }
}

TEST(ValidateTask, HostileText_IsRefused) {
  using namespace std::string_view_literals;
  const struct {
    std::string_view what, name;
  } rows[] = {
      {"a line break", "report\nroot: all"sv},
      {"a NUL in the middle", "report\0hidden"sv},
      {"a terminal escape", "\x1b[2Jreport"sv},
      {"delete", "report\x7f"sv},
      {"a space in front", " report"sv},
      {"a space behind", "report "sv},
      {"a C1 control character", "report\u009b"sv},
      {"letters from right to left", "report\u202egpj.exe"sv},
      {"an isolate", "\u2066report"sv},
      {"a mark of direction", "report\u200f"sv},
      {"a byte order mark", "\ufeffreport"sv},
      {"a space without width", "re\u200bport"sv},
      {"a line separator", "report\u2028"sv},
      {"a lonely continuation byte", "report\x80"sv},
      {"a letter cut in two", "report\xe6\xbc"sv},
      {"an overlong slash", "report\xc0\xaf"sv},
      {"half a surrogate pair", "report\xed\xa0\x80"sv},
      {"beyond the last code point", "report\xf4\x90\x80\x80"sv},
  };
  for (const auto& row : rows) {
    auto spec = good();
    spec.name = row.name;
    EXPECT_THAT(pointers(spec), ::testing::ElementsAre("/name")) << row.what;
  }
  auto spec = good();
  spec.description = "harmless\0hidden"sv;
  EXPECT_THAT(pointers(spec), ::testing::ElementsAre("/description")) << "stores end text at a NUL";
  spec.description = "two\nlines\tand a tab";
  EXPECT_THAT(pointers(spec), ::testing::IsEmpty());
  spec.description =
      "a line end of Windows\r\n\U0001F468\u200d\U0001F469 and \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645";
  EXPECT_THAT(pointers(spec), ::testing::IsEmpty()) << "some emoji and words need joiners";
  for (const char* hostile : {"broken \xff", "\x1b[2J", "c1 \u009b", "\u202esdrawkcab", "\u2067", "\ufeff", "\u2029"}) {
    spec.description = hostile;
    EXPECT_THAT(pointers(spec), ::testing::ElementsAre("/description")) << hostile;
  }
}

TEST(ValidateTask, HiddenCharacter_IsNamedWithItsPlace) {
  auto spec = good();
  spec.name = "é-report\u202Egpj";
  spec.labels = {{"team\u200b", "a"}};
  const auto faults = validate(spec);
  ASSERT_EQ(faults.size(), 2u);
  EXPECT_EQ(faults[0].message,
            "holds U+202E at character 9, which nobody sees but terminals and pages obey; leave it out");
  EXPECT_TRUE(faults[1].message.starts_with("'team\\u200b' = 'a' is not a label; ")) << faults[1].message;
}

TEST(ValidateTask, NameOfDigitsAlone_IsRefused) {
  auto spec = good();
  spec.name = "12";
  EXPECT_EQ(validate(spec).at(0).pointer, "/name");
  spec.name = "12a";
  EXPECT_TRUE(validate(spec).empty());
}

TEST(ValidateTask, ForeignLetters_AreGood) {
  auto spec = good();
  for (const char* name : {"Überweisung", "每晚报告", "отчёт", "\U0001F680 launch", "'; DROP TABLE tasks; --"}) {
    spec.name = name;
    EXPECT_THAT(pointers(spec), ::testing::IsEmpty()) << name;
  }
}

TEST(ValidateTask, ManyFaults_AreAllReportedAtOnce) {
  TaskSpec spec;
  spec.name = "";
  spec.description = std::string(5000, 'x');
  spec.timeout = 0s;
  spec.max_retries = 11;
  spec.retry_backoff = {0, 0, 0};
  spec.priority = 10;
  spec.shard_count = 0;
  spec.dependencies = {TaskId{1}, TaskId{1}};
  spec.labels = {{"", ""}};
  spec.worker_labels = {{"a b", ""}};
  EXPECT_THAT(pointers(spec), ::testing::ElementsAre("/name", "/description", "/timeout_seconds", "/max_retries",
                                                     "/retry_backoff/base_seconds", "/retry_backoff/factor",
                                                     "/retry_backoff/cap_seconds", "/priority", "/shard_count",
                                                     "/dependencies", "/labels", "/worker_labels"));
  for (const auto& it : validate(spec)) EXPECT_FALSE(it.message.empty()) << it.pointer;
}

TEST(EnumNames, EveryName_ReadsBack) {
  for (const auto name : enum_names(OverlapPolicy{})) EXPECT_EQ(name_of(*parse_enum<OverlapPolicy>(name)), name);
  for (const auto name : enum_names(MisfirePolicy{})) EXPECT_EQ(name_of(*parse_enum<MisfirePolicy>(name)), name);
  for (const auto name : enum_names(TriggerRule{})) EXPECT_EQ(name_of(*parse_enum<TriggerRule>(name)), name);
  EXPECT_FALSE(parse_enum<OverlapPolicy>("Allow"));
  EXPECT_EQ(known_names<OverlapPolicy>(), "allow, forbid, queue_one or replace");
}
