#include "application/services_world.hpp"

#include <memory>
#include <string>

namespace scheduler::application {
namespace {

class Tasks : public ServicesWorld {
 protected:
  static TaskDraft draft(std::string name = "report") {
    TaskDraft it;
    it.spec.name = std::move(name);
    it.spec.task_type = "noop";
    return it;
  }
  // The draft that would leave a stored task as it is.
  TaskDraft draft_of(TaskId id) { return {.spec = store.task_rows.at(id).spec}; }

  std::unique_ptr<TaskService> tasks = factory.create_task_service();
};

TEST_F(Tasks, Create_WithASchedule_FiresFromNowOn) {
  auto wanted = draft();
  wanted.spec.schedule = "30 * * * *";
  clock.advance(10min);
  const auto task = run(tasks->create(wanted));
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->version, 1);
  EXPECT_EQ(task->created_at, clock.now());
  EXPECT_EQ(task->watermark, clock.now());
  EXPECT_EQ(task->next_fire_at, clock.now() + 20min);
  EXPECT_EQ(nudges(), 1u);
}

TEST_F(Tasks, Create_WithoutASchedule_HasNoFireTimes) {
  const auto task = run(tasks->create(draft()));
  ASSERT_TRUE(task);
  EXPECT_FALSE(task->watermark);
  EXPECT_FALSE(task->next_fire_at);
  EXPECT_EQ(nudges(), 0u);
}

TEST_F(Tasks, Create_Paused_DoesNotFire) {
  auto wanted = draft();
  wanted.spec.schedule = "@hourly";
  wanted.spec.status = TaskStatus::paused;
  const auto task = run(tasks->create(wanted));
  ASSERT_TRUE(task);
  EXPECT_EQ(task->watermark, clock.now());
  EXPECT_FALSE(task->next_fire_at);
}

TEST_F(Tasks, Create_ManyFaults_AreReportedTogether) {
  store.add_task({.name = "upstream"});
  TaskDraft wanted = draft("");
  wanted.faults = {{"/priority", "must be a number"}};
  wanted.spec.schedule = "61 * * * *";
  wanted.spec.parameters = "{\"extra\":1}";
  wanted.spec.timeout = 0s;
  wanted.dependencies = {std::string("upstream"), std::string("nobody"), std::string("nobody else")};
  const auto task = run(tasks->create(wanted));
  EXPECT_EQ(kind(task), ErrorKind::Validation);
  EXPECT_THAT(pointers(task), UnorderedElementsAre("/priority", "/name", "/schedule", "/parameters/extra",
                                                   "/timeout_seconds", "/dependencies/1", "/dependencies/2"));
  EXPECT_THAT(store.task_rows, SizeIs(1));
}

// A wrong zone once hid a wrong schedule, and without a schedule nobody looked at the zone.
TEST_F(Tasks, Create_Parameters_AreCheckedWithTheNamesOfTheUpstreams) {
  const auto a = store.add_task({.name = "a"});
  store.add_task({.name = "b"});
  TaskDraft wanted;
  wanted.spec.name = "after";
  wanted.spec.task_type = "noop";
  wanted.dependencies = {std::string("b"), a};
  EXPECT_TRUE(run(tasks->create(wanted)));
  EXPECT_THAT(parameters.last_upstreams, ElementsAre("b", "a"));
}

TEST_F(Tasks, Create_WrongZone_HidesNoWrongSchedule) {
  auto wanted = draft();
  wanted.spec.timezone = "Mars/Olympus";
  auto refused = run(tasks->create(wanted));
  ASSERT_FALSE(refused);
  ASSERT_EQ(refused.error().fields.size(), 1u);
  EXPECT_EQ(refused.error().fields[0].pointer, "/timezone");
  wanted.spec.schedule = "61 * * * *";
  refused = run(tasks->create(wanted));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind, ErrorKind::Validation);
  ASSERT_EQ(refused.error().fields.size(), 2u);
  EXPECT_EQ(refused.error().fields[0].pointer, "/timezone");
  EXPECT_EQ(refused.error().fields[1].pointer, "/schedule");
}

TEST_F(Tasks, Create_FieldOfWrongShape_IsNotJudgedAgain) {
  auto wanted = draft();
  wanted.faults = {{"/name", "must be a string"},
                   {"/retry_backoff", "must be an object"},
                   {"/parameters", "must be an object"},
                   {"/timezone", "must be a string"}};
  wanted.spec.name = "";
  wanted.spec.retry_backoff = {0, 0, 0};
  wanted.spec.parameters = "?";
  wanted.spec.timezone = "?";
  wanted.spec.schedule = "@daily";
  EXPECT_THAT(pointers(run(tasks->create(wanted))), ElementsAre("/name", "/retry_backoff", "/parameters", "/timezone"));
}

TEST_F(Tasks, Create_OnlyTheScheduleIsWrong_SaysSoByItsKind) {
  auto wanted = draft();
  wanted.spec.schedule = "every day at noon";
  const auto task = run(tasks->create(wanted));
  EXPECT_EQ(kind(task), ErrorKind::InvalidSchedule);
  EXPECT_THAT(pointers(task), ElementsAre("/schedule"));
}

TEST_F(Tasks, Create_UnknownZoneOrType_NamesTheField) {
  auto wanted = draft();
  wanted.spec.schedule = "@daily";
  wanted.spec.timezone = "Atlantis/Capital";
  const auto zone = run(tasks->create(wanted));
  EXPECT_EQ(kind(zone), ErrorKind::Validation);
  EXPECT_THAT(pointers(zone), ElementsAre("/timezone"));
  wanted = draft();
  wanted.spec.task_type = "telepathy";
  EXPECT_THAT(pointers(run(tasks->create(wanted))), ElementsAre("/task_type"));
}

TEST_F(Tasks, Create_Dependencies_AreFoundByIdAndName) {
  const auto a = store.add_task({.name = "a"}), b = store.add_task({.name = "b"});
  auto wanted = draft();
  wanted.dependencies = {std::string("b"), a};
  const auto task = run(tasks->create(wanted));
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_THAT(task->spec.dependencies, ElementsAre(b, a));
  wanted.dependencies = {std::string("b"), b};
  EXPECT_THAT(pointers(run(tasks->create(wanted))), ElementsAre("/dependencies")) << "the same one twice";
  wanted.dependencies.assign(5000, std::string("b"));
  EXPECT_FALSE(run(tasks->create(wanted)));
}

TEST_F(Tasks, Create_UpstreamsThatAreNotThere_AreAllNamedAtOnce) {
  auto wanted = draft();
  wanted.dependencies = {std::string("nobody"), TaskId{99999}};
  EXPECT_THAT(pointers(run(tasks->create(wanted))), ElementsAre("/dependencies/0", "/dependencies/1"));
}

// A dependant once ran after each shard by itself.
TEST_F(Tasks, ShardedUpstream_IsRefusedOnEitherSide) {
  const auto sharded = store.add_task({.name = "sharded", .shard_count = 4});
  auto wanted = draft();
  wanted.dependencies = {sharded};
  EXPECT_THAT(pointers(run(tasks->create(wanted))), ElementsAre("/dependencies/0"));

  const auto upstream = store.add_task({.name = "upstream"});
  wanted.dependencies = {upstream};
  ASSERT_TRUE(run(tasks->create(wanted)));
  auto change = draft();
  change.spec.name = "upstream";
  change.spec.shard_count = 2;
  EXPECT_THAT(pointers(run(tasks->update(upstream, change, std::nullopt))), ElementsAre("/shard_count"));
}

// A fire time counts all of its shards as one.
TEST_F(Tasks, ShardedUpstreamWithASchedule_IsFineForATaskWithOne) {
  const auto sharded = store.add_task({.name = "sharded", .schedule = "@hourly", .shard_count = 4});
  auto wanted = draft();
  wanted.spec.schedule = "@daily";
  wanted.dependencies = {sharded};
  ASSERT_TRUE(run(tasks->create(wanted)));
  auto change = draft();
  change.spec.name = "sharded";
  change.spec.schedule = "@hourly";
  change.spec.shard_count = 2;
  EXPECT_TRUE(run(tasks->update(sharded, change, std::nullopt)));
  change.spec.schedule.reset();
  EXPECT_THAT(pointers(run(tasks->update(sharded, change, std::nullopt))), ElementsAre("/shard_count"));
}

TEST_F(Tasks, Create_FireTimeThatWaitsForTooManyRuns_IsRefused) {
  const auto each_second = store.add_task({.name = "each second", .schedule = "* * * * * *"});
  const auto each_minute = store.add_task({.name = "each minute", .schedule = "* * * * *"});
  auto wanted = draft();
  wanted.spec.schedule = "@daily";
  wanted.dependencies = {each_second};
  const auto refused = run(tasks->create(wanted));
  EXPECT_THAT(pointers(refused), ElementsAre("/dependencies"));
  EXPECT_THAT(refused.error().message, ::testing::HasSubstr("more than 10000 runs"));
  wanted.dependencies = {each_minute};
  wanted.spec.shard_count = 10;
  EXPECT_THAT(pointers(run(tasks->create(wanted))), ElementsAre("/dependencies")) << "each shard waits for its own";
  wanted.spec.shard_count = 1;
  EXPECT_TRUE(run(tasks->create(wanted)));
}

TEST_F(Tasks, Dependencies_OfATask_AreItsNeighbours) {
  const auto a = store.add_task({.name = "a"}), b = store.add_task({.name = "b", .dependencies = {a}});
  const auto c = store.add_task({.name = "c", .dependencies = {b}});
  store.add_task({.name = "d", .dependencies = {c}});
  const auto last = store.add_run(a, RunState::failed);
  const auto around = run(tasks->dependencies(b));
  ASSERT_TRUE(around);
  EXPECT_EQ(around->task.name, "b");
  ASSERT_THAT(around->upstreams, SizeIs(1));
  EXPECT_EQ(around->upstreams[0].last_run, last);
  EXPECT_EQ(around->upstreams[0].last_state, RunState::failed);
  ASSERT_THAT(around->dependants, SizeIs(1));
  EXPECT_EQ(around->dependants[0].name, "c");
  EXPECT_EQ(kind(run(tasks->dependencies(TaskId{99}))), ErrorKind::TaskNotFound);
}

TEST_F(Tasks, Graph_Depth_ReachesBothWays) {
  const auto a = store.add_task({.name = "a"}), b = store.add_task({.name = "b", .dependencies = {a}});
  const auto c = store.add_task({.name = "c", .dependencies = {b, a}}),
             d = store.add_task({.name = "d", .dependencies = {c}});
  store.add_task({.name = "apart"});
  const auto near = run(tasks->graph(b, 1));
  ASSERT_TRUE(near);
  EXPECT_THAT(near->tasks, SizeIs(3));
  EXPECT_THAT(near->edges, UnorderedElementsAre(DependencyEdge{b, a}, DependencyEdge{c, b}, DependencyEdge{c, a}))
      << "all between them, also those that no step went along";
  EXPECT_FALSE(near->truncated);
  const auto all = run(tasks->graph(b, 5));
  EXPECT_THAT(all->tasks, SizeIs(4));
  EXPECT_THAT(all->edges, ::testing::Contains(DependencyEdge{d, c}));
  EXPECT_EQ(kind(run(tasks->graph(TaskId{99}, 1))), ErrorKind::TaskNotFound);
}

TEST_F(Tasks, Graph_LargerThanTheLimit_SaysSo) {
  const auto hub = store.add_task({.name = "hub"});
  for (std::size_t i = 0; i < kGraphTasksMax + 5; ++i)
    store.add_task({.name = fmt::format("t{}", i), .dependencies = {hub}});
  const auto graph = run(tasks->graph(hub, 1));
  ASSERT_TRUE(graph);
  EXPECT_THAT(graph->tasks, SizeIs(kGraphTasksMax));
  EXPECT_THAT(graph->edges, SizeIs(kGraphTasksMax - 1));
  EXPECT_TRUE(graph->truncated);
}

TEST_F(Tasks, Create_StoreFails_IsNoFaultOfTheInput) {
  store.add_task({.name = "a"});
  auto wanted = draft();
  wanted.dependencies = {std::string("a")};
  faults.fail_while([](std::string_view call) { return call == "find"; });
  EXPECT_EQ(kind(run(tasks->create(wanted))), ErrorKind::Unavailable);
}

TEST_F(Tasks, Create_QueueFails_TheTaskIsThere) {
  auto wanted = draft();
  wanted.spec.schedule = "@daily";
  faults.fail_while([](std::string_view call) { return call.starts_with("publish"); });
  EXPECT_TRUE(run(tasks->create(wanted)));
}

// Such a task would look well and never run; nobody would learn why.
TEST_F(Tasks, Create_ScheduleIsOver_IsRefused) {
  for (const auto* past : {"@at 2025-12-31T23:59:59Z", "@at 1970-01-01T00:00:00Z", "0 0 12 1 6 * 2020-2024"}) {
    auto wanted = draft();
    wanted.spec.schedule = past;
    for (const auto status : {TaskStatus::active, TaskStatus::paused}) {
      wanted.spec.status = status;
      const auto task = run(tasks->create(wanted));
      EXPECT_EQ(kind(task), ErrorKind::InvalidSchedule) << past;
      EXPECT_THAT(pointers(task), ElementsAre("/schedule"));
      EXPECT_THAT(task.error().message, ::testing::HasSubstr("has passed; choose a later time")) << past;
    }
    EXPECT_TRUE(run(tasks->preview({.schedule = past}))) << "looking at it is fine";
  }
  auto wanted = draft();
  wanted.spec.schedule = "@at " + format_rfc3339(clock.now());
  EXPECT_EQ(kind(run(tasks->create(wanted))), ErrorKind::InvalidSchedule) << "now is too late as well";
  wanted.spec.schedule = "@at " + format_rfc3339(clock.now() + 1s);
  EXPECT_TRUE(run(tasks->create(wanted)));
}

TEST_F(Tasks, Update_ScheduleIsOver_IsRefusedOnlyWhereItIsNew) {
  auto wanted = draft();
  wanted.spec.schedule = "@at " + format_rfc3339(clock.now() + 1h);
  const auto task = run(tasks->create(wanted));
  ASSERT_TRUE(task);
  clock.advance(2h);
  wanted.spec.description = "it has fired";
  EXPECT_TRUE(run(tasks->update(task->id, wanted, std::nullopt)));
  wanted.spec.status = TaskStatus::paused;
  EXPECT_TRUE(run(tasks->update(task->id, wanted, std::nullopt)));
  wanted.spec.status = TaskStatus::active;
  EXPECT_TRUE(run(tasks->update(task->id, wanted, std::nullopt)));
  auto other = wanted;
  other.spec.timezone = "Europe/Berlin";  // not known here, which hides nothing
  EXPECT_THAT(pointers(run(tasks->update(task->id, other, std::nullopt))), ElementsAre("/timezone", "/schedule"));
  other = wanted;
  other.spec.schedule = "@at " + format_rfc3339(clock.now() - 1s);
  EXPECT_EQ(kind(run(tasks->update(task->id, other, std::nullopt))), ErrorKind::InvalidSchedule);
  other.spec.schedule = "@at " + format_rfc3339(clock.now() + 1s);
  EXPECT_TRUE(run(tasks->update(task->id, other, std::nullopt)));
}

TEST_F(Tasks, History_OfADeletedTask_IsInReachWhileRunsAreLeft) {
  const auto ran = store.add_task({.name = "ran"}), idle = store.add_task({.name = "idle"});
  store.add_run(ran, RunState::succeeded);
  EXPECT_TRUE(run(tasks->check_history(ran)));
  EXPECT_TRUE(run(tasks->check_history(idle)));
  ASSERT_TRUE(run(tasks->archive(ran, std::nullopt)));
  ASSERT_TRUE(run(tasks->archive(idle, std::nullopt)));
  EXPECT_TRUE(run(tasks->check_history(ran)));
  EXPECT_TRUE(run(tasks->stats(ran)));
  EXPECT_EQ(kind(run(tasks->check_history(idle))), ErrorKind::TaskNotFound);
  EXPECT_EQ(kind(run(tasks->stats(idle))), ErrorKind::TaskNotFound);
  faults.fail_while([](std::string_view call) { return call == "runs.list"; });
  EXPECT_EQ(kind(run(tasks->check_history(ran))), ErrorKind::Unavailable) << "not known is not gone";
}

TEST_F(Tasks, Update_OlderVersion_IsRefused) {
  const auto id = hourly();
  store.task_rows.at(id).version = 3;
  EXPECT_EQ(kind(run(tasks->update(id, draft_of(id), 2))), ErrorKind::PreconditionFailed);
  EXPECT_TRUE(run(tasks->update(id, draft_of(id), 3)));
  EXPECT_EQ(run(tasks->update(id, draft_of(id), std::nullopt))->version, 5);
  EXPECT_EQ(kind(run(tasks->update(TaskId{99}, draft_of(id), std::nullopt))), ErrorKind::TaskNotFound);
}

TEST_F(Tasks, Update_OtherFields_LeaveTheFireTimesAlone) {
  const auto id = hourly();
  clock.advance(90min);  // a slot is due, and not fired yet
  auto wanted = draft_of(id);
  wanted.spec.description = "new";
  const auto before = store.task_rows.at(id);
  const auto task = run(tasks->update(id, wanted, std::nullopt));
  ASSERT_TRUE(task);
  EXPECT_EQ(task->watermark, before.watermark);
  EXPECT_EQ(task->next_fire_at, before.next_fire_at);
  EXPECT_THAT(store.slot_rows, IsEmpty());
}

// Every slot has one disposition; those of a rule that changed before anybody fired them were without one. Later they
// were skipped whatever the policy said.
TEST_F(Tasks, Update_NewSchedule_DecidesWhatTheOldOneLeft) {
  const auto id = hourly();
  clock.advance(150min);
  auto wanted = draft_of(id);
  wanted.spec.schedule = "45 * * * *";
  const auto task = run(tasks->update(id, wanted, std::nullopt));
  ASSERT_TRUE(task);
  EXPECT_EQ(task->watermark, clock.now());
  EXPECT_EQ(task->schedule_since, clock.now());
  EXPECT_EQ(task->next_fire_at, clock.now() + 15min);
  ASSERT_THAT(store.slot_rows, SizeIs(2)) << "policy latest";
  EXPECT_EQ(store.slot_rows[0].decision,
            (domain::SlotDecision{clock.now() - 90min, clock.now() - 90min, false, Reason::misfire}));
  EXPECT_TRUE(store.slot_rows[1].decision.fire);
  ASSERT_THAT(store.run_rows, SizeIs(1));
  EXPECT_EQ(store.run_rows.begin()->second.slot, clock.now() - 30min);
}

TEST_F(Tasks, Update_OnlyTheStatus_LeavesTheScheduleAsOldAsItIs) {
  const auto id = hourly();
  const auto since = clock.now();
  store.task_rows.at(id).schedule_since = since;
  clock.advance(150min);
  auto wanted = draft_of(id);
  wanted.spec.status = TaskStatus::paused;
  EXPECT_EQ(run(tasks->update(id, wanted, std::nullopt))->schedule_since, since);
  clock.advance(60min);
  wanted.spec.status = TaskStatus::active;
  EXPECT_EQ(run(tasks->update(id, wanted, std::nullopt))->schedule_since, since);
  wanted.spec.timezone = "UTC";
  wanted.spec.schedule = "30 * * * *";
  EXPECT_EQ(run(tasks->update(id, wanted, std::nullopt))->schedule_since, clock.now());
}

TEST_F(Tasks, Explain_UnreadableSchedule_SaysThatNobodyFiresIt) {
  const auto id = hourly({.timezone = "Atlantis/Capital"});
  const auto explained = run(tasks->explain(id));
  ASSERT_TRUE(explained) << explained.error().message;
  EXPECT_EQ(explained->gates.front().code, domain::GateCode::set_aside);
  EXPECT_THAT(explained->gates.front().sentence, ::testing::HasSubstr("there is no time zone of that name"));
}

TEST_F(Tasks, Update_FromPausedToActive_RecordsThePausedSlots) {
  const auto id = hourly({.status = TaskStatus::paused});
  clock.advance(150min);
  auto wanted = draft_of(id);
  wanted.spec.status = TaskStatus::active;
  const auto task = run(tasks->update(id, wanted, std::nullopt));
  ASSERT_TRUE(task);
  EXPECT_EQ(task->next_fire_at, clock.now() + 30min);
  ASSERT_THAT(store.slot_rows, SizeIs(1));
  EXPECT_EQ(store.slot_rows[0].decision,
            (domain::SlotDecision{clock.now() - 90min, clock.now() - 30min, false, Reason::paused}));
}

TEST_F(Tasks, Update_ScheduleTakenAway_FiresNoMore) {
  const auto id = hourly();
  auto wanted = draft_of(id);
  wanted.spec.schedule.reset();
  const auto task = run(tasks->update(id, wanted, std::nullopt));
  ASSERT_TRUE(task);
  EXPECT_FALSE(task->watermark);
  EXPECT_FALSE(task->next_fire_at);
}

TEST_F(Tasks, Update_OldScheduleUnreadable_CanBeMended) {
  const auto id = hourly({.timezone = "Atlantis/Capital"});
  clock.advance(90min);
  auto wanted = draft_of(id);
  wanted.spec.timezone = "UTC";
  const auto task = run(tasks->update(id, wanted, std::nullopt));
  ASSERT_TRUE(task) << task.error().message;
  EXPECT_EQ(task->next_fire_at, clock.now() + 30min);
}

TEST_F(Tasks, Update_ClockWentBack_TheWatermarkDoesNot) {
  const auto id = hourly();
  store.task_rows.at(id).watermark = clock.now() + 5h;
  auto wanted = draft_of(id);
  wanted.spec.schedule = "45 * * * *";
  const auto task = run(tasks->update(id, wanted, std::nullopt));
  ASSERT_TRUE(task);
  EXPECT_EQ(task->watermark, clock.now() + 5h);
  EXPECT_EQ(task->next_fire_at, clock.now() + 5h + 45min);
}

TEST_F(Tasks, Archive_OlderVersion_IsRefused) {
  const auto id = hourly();
  EXPECT_EQ(kind(run(tasks->archive(id, 7))), ErrorKind::PreconditionFailed);
  EXPECT_THAT(store.task_rows, SizeIs(1));
  EXPECT_TRUE(run(tasks->archive(id, 1)));
  EXPECT_THAT(store.task_rows, IsEmpty());
}

TEST_F(Tasks, Next_FireTimes_AreThoseOfTheSchedule) {
  const auto id = hourly({.status = TaskStatus::paused});
  const auto now = clock.now();
  EXPECT_THAT(*run(tasks->next(id, std::nullopt, 2)), ElementsAre(now + 1h, now + 2h)) << "as if it were active";
  EXPECT_THAT(*run(tasks->next(id, now + 90min, 1)), ElementsAre(now + 2h));
  EXPECT_THAT(*run(tasks->next(id, std::nullopt, 1000)), SizeIs(1000));
  EXPECT_THAT(*run(tasks->next(store.add_task({}), std::nullopt, 2)), IsEmpty());
  for (const int count : {0, -1, 1001})
    EXPECT_THAT(pointers(run(tasks->next(id, std::nullopt, count))), ElementsAre("count"));
  EXPECT_EQ(kind(run(tasks->next(TaskId{99}, std::nullopt, 1))), ErrorKind::TaskNotFound);
}

TEST_F(Tasks, Preview_Text_NeedsNoTask) {
  const auto preview = run(tasks->preview({.schedule = "@every 90s", .from = clock.now() + 5s, .count = 2}));
  ASSERT_TRUE(preview) << preview.error().message;
  EXPECT_THAT(preview->slots, ElementsAre(clock.now() + 95s, clock.now() + 185s));
  EXPECT_FALSE(preview->explanation.empty());
  EXPECT_EQ(kind(run(tasks->preview({.schedule = "nonsense"}))), ErrorKind::InvalidSchedule);
  EXPECT_THAT(pointers(run(tasks->preview({.schedule = "nonsense"}))), ElementsAre("/schedule"));
  EXPECT_THAT(pointers(run(tasks->preview({.schedule = "@daily", .timezone = "?"}))), ElementsAre("/timezone"));
  EXPECT_THAT(pointers(run(tasks->preview({.schedule = "@daily", .count = 0}))), ElementsAre("count"));
}

}  // namespace
}  // namespace scheduler::application
