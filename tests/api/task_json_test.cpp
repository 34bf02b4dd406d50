#include "api/task_json.hpp"

#include <gtest/gtest.h>

using namespace scheduler;
using namespace scheduler::api;

namespace {

std::vector<std::string> pointers(const std::vector<FieldError>& faults) {
  std::vector<std::string> all;
  for (const auto& fault : faults) all.push_back(fault.pointer);
  return all;
}

domain::Task stored() {
  domain::Task task{.id = {7}, .version = 3};
  task.spec.name = "report";
  task.spec.task_type = "shell";
  task.spec.schedule = "0 2 * * *";
  task.spec.parameters = R"({"command":"x","nested":{"a":1,"b":2}})";
  task.spec.priority = 9;
  task.spec.labels = {{"team", "data"}};
  task.spec.dependencies = {{4}};
  return task;
}

}  // namespace

TEST(ReadTask, SmallestBody_HasTheDefaults) {
  const auto draft = read_task(R"({"name":"a","task_type":"shell"})", ReadOnlyFields::refuse);
  ASSERT_TRUE(draft);
  EXPECT_TRUE(draft->faults.empty());
  domain::TaskSpec expected;
  expected.name = "a";
  expected.task_type = "shell";
  EXPECT_EQ(draft->spec, expected);
}

TEST(ReadTask, EveryField_IsRead) {
  const auto draft = read_task(R"({
      "name":"n","description":"d","task_type":"http","schedule":"@daily","timezone":"Europe/Berlin",
      "parameters":{ "b" : [1, 2.5, null, "é"], "a":{}},"timeout_seconds":60,"max_retries":2,
      "retry_backoff":{"base_seconds":2,"factor":3,"cap_seconds":10},"dependencies":[5,"other"],
      "trigger_rule":"all_done","overlap_policy":"replace","misfire_policy":"all",
      "misfire_grace_seconds":5,"catch_up_window_seconds":3600,"max_concurrent_runs":4,"max_queued_runs":50,
      "max_lost_attempts":2,"retry_on":{"reasons":["timeout"],"exit_codes":[75],"http_statuses":[429]},"delivery":"at_most_once",
      "priority":0,"labels":{"k":"v"},"worker_labels":{"gpu":"yes"},"shard_count":3,"status":"paused"})",
                               ReadOnlyFields::refuse);
  ASSERT_TRUE(draft);
  EXPECT_EQ(pointers(draft->faults), std::vector<std::string>{});
  const auto& spec = draft->spec;
  EXPECT_EQ(spec.parameters, R"({"b":[1,2.5E0,null,"é"],"a":{}})");
  EXPECT_EQ(spec.retry_backoff, (domain::RetryBackoff{2, 3, 10}));
  EXPECT_EQ(spec.trigger_rule, domain::TriggerRule::all_done);
  EXPECT_EQ(spec.status, domain::TaskStatus::paused);
  EXPECT_EQ(spec.misfire_grace, Seconds{5});
  EXPECT_EQ(spec.catch_up_window, Seconds{3600});
  EXPECT_EQ(spec.max_concurrent_runs, 4);
  EXPECT_EQ(spec.max_queued_runs, 50);
  EXPECT_EQ(spec.max_lost_attempts, 2);
  EXPECT_EQ(spec.retry_on, (domain::RetryOn{{domain::Reason::timeout}, {75}, {429}}));
  EXPECT_EQ(spec.worker_labels, (domain::Labels{{"gpu", "yes"}}));
  ASSERT_EQ(draft->dependencies.size(), 2U);
  EXPECT_EQ(std::get<TaskId>(draft->dependencies[0]).value, 5);
  EXPECT_EQ(std::get<std::string>(draft->dependencies[1]), "other");
}

TEST(ReadTask, ManyFaults_AreAllReported) {
  const auto draft = read_task(R"({"nam":"x","task_type":5,"priority":"high","max_retries":1.5,"timeout_seconds":1e30,
      "status":"actve","parameters":[],"retry_backoff":{"factr":2},"labels":{"a":1},"dependencies":[0,"",true],
      "shard_count":9223372036854775808,"schedule":7,"id":3})",
                               ReadOnlyFields::refuse);
  ASSERT_TRUE(draft);
  const auto found = pointers(draft->faults);
  for (const auto* pointer : {"/nam", "/name", "/task_type", "/priority", "/max_retries", "/timeout_seconds", "/status",
                              "/parameters", "/retry_backoff/factr", "/labels/a", "/dependencies/0", "/dependencies/1",
                              "/dependencies/2", "/shard_count", "/schedule", "/id"})
    EXPECT_TRUE(std::ranges::find(found, pointer) != found.end()) << pointer;
  EXPECT_EQ(found.size(), 16U);
  EXPECT_TRUE(draft->dependencies.empty());
}

TEST(ReadTask, NumbersThatNobodyCanKeep_AreFaults) {
  const auto draft =
      read_task(R"({"name":"a","task_type":"b","parameters":{"x":[1e999]},"priority":1e999})", ReadOnlyFields::refuse);
  ASSERT_TRUE(draft);
  EXPECT_EQ(pointers(draft->faults), (std::vector<std::string>{"/priority", "/parameters/x/0"}));
}

TEST(ReadTask, TextThatIsNoObject_IsRefused) {
  for (const auto* text : {"", "nul", "[]", "7", "\"x\"", R"({"name":)", R"({"name":"a"} x)", R"({"name":"\ud800"})",
                           "{\"name\":\"\xFF\"}", R"({"name":"a","name":"b"})", "{'name':'a'}", R"({"a":NaN})"})
    EXPECT_FALSE(read_task(text, ReadOnlyFields::refuse)) << text;
}

TEST(ReadTask, OwnFieldsOfTheServer_AreIgnoredWhereTheyWereRead) {
  const auto* text =
      R"({"name":"a","task_type":"b","id":1,"version":2,"created_at":"x","updated_at":1,"next_fire_at":null})";
  const auto replaced = read_task(text, ReadOnlyFields::ignore);
  ASSERT_TRUE(replaced);
  EXPECT_TRUE(replaced->faults.empty());
  EXPECT_EQ(read_task(text, ReadOnlyFields::refuse)->faults.size(), 5U);
}

TEST(ReadTask, WhatWasWritten_IsReadBackTheSame) {
  JsonWriter json;
  const auto task = stored();
  write_task(json, task);
  const auto draft = read_task(json.take(), ReadOnlyFields::ignore);
  ASSERT_TRUE(draft);
  EXPECT_EQ(pointers(draft->faults), std::vector<std::string>{});
  auto spec = draft->spec;
  spec.dependencies = task.spec.dependencies;  // they come as references
  EXPECT_EQ(spec, task.spec);
  EXPECT_EQ(std::get<TaskId>(draft->dependencies.at(0)).value, 4);
}

TEST(ReadPatchedTask, EveryKindOfMember_FollowsRfc7396) {
  const auto draft = read_patched_task(stored(), R"({
      "schedule":null,"priority":null,"description":"new","parameters":{"nested":{"a":null,"c":3},"list":[null]},
      "labels":{"owner":"ada"}})");
  ASSERT_TRUE(draft);
  EXPECT_EQ(pointers(draft->faults), std::vector<std::string>{});
  EXPECT_EQ(draft->spec.schedule, std::nullopt);
  EXPECT_EQ(draft->spec.priority, domain::TaskSpec{}.priority);
  EXPECT_EQ(draft->spec.description, "new");
  EXPECT_EQ(draft->spec.parameters, R"({"command":"x","nested":{"b":2,"c":3},"list":[null]})");
  EXPECT_EQ(draft->spec.labels, (domain::Labels{{"team", "data"}, {"owner", "ada"}}));
  EXPECT_EQ(draft->spec.name, "report");
}

TEST(ReadPatchedTask, FaultyPatches_AreReported) {
  const struct {
    std::string_view patch, pointer;
  } rows[] = {
      {R"({"name":null})", "/name"},
      {R"({"shedule":null})", "/shedule"},
      {R"({"shedule":"x"})", "/shedule"},
      {R"({"version":9})", "/version"},
      {R"({"priority":"x"})", "/priority"},
      {R"({"labels":null,"retry_backoff":{"factor":"x"}})", "/retry_backoff/factor"},
  };
  for (const auto& row : rows) {
    const auto draft = read_patched_task(stored(), row.patch);
    ASSERT_TRUE(draft) << row.patch;
    EXPECT_EQ(pointers(draft->faults), std::vector<std::string>{std::string(row.pointer)}) << row.patch;
  }
  EXPECT_FALSE(read_patched_task(stored(), "[]"));
  EXPECT_FALSE(read_patched_task(stored(), "null"));
}

TEST(EtagOf, FireTime_ChangesTheTagButNotTheVersion) {
  auto task = stored();
  EXPECT_EQ(etag_of(task), "\"3\"");
  task.next_fire_at = TimePoint{Seconds{16}};
  EXPECT_EQ(etag_of(task), "\"3-10\"");
}
