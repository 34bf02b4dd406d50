// contract/task_repository_contract.hpp — what every TaskRepository must do.
#pragma once

#include "contract/store_fixture.hpp"

namespace scheduler::contract {

class TaskRepositoryContract : public StoreContract {
 protected:
  std::vector<std::string> names(const TaskFilter& filter) {
    std::vector<std::string> found;
    for (const auto& it : ok(tasks().list(filter, {})).items) found.push_back(it.spec.name);
    return found;
  }
};

TEST_P(TaskRepositoryContract, Create_EveryField_ComesBackAsItWas) {
  const auto upstream = create("upstream");
  TaskSpec it{
      .name = "nightly",
      .description = "what it is for",
      .task_type = "http",
      .schedule = std::nullopt,
      .timezone = "Europe/Berlin",
      .parameters = R"({"url":"http://localhost"})",
      .timeout = 77s,
      .max_retries = 3,
      .retry_backoff = {.base_seconds = 0.25, .factor = 3.5, .cap_seconds = 99.5},
      .retry_on = {.reasons = {Reason::timeout, Reason::signal}, .exit_codes = {75}, .http_statuses = {429, 503}},
      .max_lost_attempts = 7,
      .dependencies = {upstream.id},
      .trigger_rule = domain::TriggerRule::none_failed,
      .overlap_policy = OverlapPolicy::replace,
      .misfire_policy = domain::MisfirePolicy::all,
      .misfire_grace = 5s,
      .catch_up_window = 3600s,
      .delivery = domain::Delivery::at_most_once,
      .priority = 9,
      .labels = {{"team", "data"}, {"tier", "1"}},
      .worker_labels = {{"gpu", "yes"}},
      .shard_count = 4,
      .max_concurrent_runs = 6,
      .max_queued_runs = 77,
      .status = domain::TaskStatus::paused};
  const auto created = ok(tasks().create({.spec = it, .watermark = clock.now(), .next_fire_at = clock.now() + 5s}));
  EXPECT_GT(created.id.value, upstream.id.value);
  EXPECT_EQ(created.version, 1);
  for (const auto& found : {created, ok(tasks().get(created.id)), ok(tasks().find("nightly"))}) {
    EXPECT_EQ(found.id, created.id);
    EXPECT_EQ(found.spec, it);
    EXPECT_EQ(found.version, 1);
    EXPECT_EQ(found.created_at, clock.now());
    EXPECT_EQ(found.updated_at, clock.now());
    EXPECT_EQ(found.watermark, clock.now());
    EXPECT_EQ(found.next_fire_at, clock.now() + 5s);
  }
}

TEST_P(TaskRepositoryContract, Create_HostileTexts_ComeBackAsTheyWere) {
  auto it = spec("Robert'); DROP TABLE tasks; -- \"quoted\" `x` \\ %_ ☃ 你好 🎈");
  it.description = "line\nbreak\ttab '' \"\" \\0 ${x} ?1 :a @b";
  it.parameters = "{\"text\":\"" + std::string(domain::kParameterBytesMax - 11, 'x') + "\"}";
  it.labels = {{"quote'\"", "back\\slash"}, {"☃", "🎈"}};
  it.worker_labels = {{"a", ""}};
  const auto created = create(it);
  EXPECT_EQ(ok(tasks().get(created.id)).spec, it);
  EXPECT_EQ(ok(tasks().find(it.name)).id, created.id);
}

TEST_P(TaskRepositoryContract, Create_NameInUse_DuplicateTaskName) {
  create("a");
  const auto refused = error(tasks().create({.spec = spec("a")}));
  EXPECT_EQ(refused.kind, ErrorKind::DuplicateTaskName);
  EXPECT_THAT(refused.message, HasSubstr("'a'"));
}

TEST_P(TaskRepositoryContract, Create_SameNameAtTheSameTime_ExactlyOneIsMade) {
  std::vector<Async<Task>> works;
  for (int i = 0; i < 8; ++i) works.push_back(tasks().create({.spec = spec("a")}));
  int made = 0;
  for (const auto& it : run_all(std::move(works))) {
    made += it.has_value();
    if (!it) EXPECT_EQ(it.error().kind, ErrorKind::DuplicateTaskName);
  }
  EXPECT_EQ(made, 1);
}

TEST_P(TaskRepositoryContract, Create_UnknownUpstreams_ValidationPointsAtEach) {
  const auto known = create("known");
  auto it = spec("a");
  it.dependencies = {TaskId{404}, known.id, TaskId{405}};
  const auto refused = error(tasks().create({.spec = it}));
  EXPECT_EQ(refused.kind, ErrorKind::Validation);
  ASSERT_EQ(refused.fields.size(), 2u);
  EXPECT_EQ(refused.fields[0].pointer, "/dependencies/0");
  EXPECT_EQ(refused.fields[1].pointer, "/dependencies/2");
  EXPECT_EQ(error(tasks().find("a")).kind, ErrorKind::TaskNotFound) << "nothing was stored";
}

TEST_P(TaskRepositoryContract, Get_UnknownTask_TaskNotFound) {
  EXPECT_EQ(error(tasks().get(TaskId{404})).kind, ErrorKind::TaskNotFound);
  EXPECT_EQ(error(tasks().find("nobody")).kind, ErrorKind::TaskNotFound);
}

TEST_P(TaskRepositoryContract, List_MoreThanAPage_CursorLeadsThroughAll) {
  for (int i = 0; i < 5; ++i) create(fmt::format("t{}", i));
  std::vector<std::string> seen;
  Paging paging{.limit = 2};
  for (int pages = 0; pages < 3; ++pages) {
    const auto page = ok(tasks().list({}, paging));
    EXPECT_EQ(page.total, 5);
    for (const auto& it : page.items) seen.push_back(it.spec.name);
    EXPECT_EQ(page.next_cursor.has_value(), pages < 2);
    paging.before = page.next_cursor;
  }
  EXPECT_THAT(seen, ElementsAre("t4", "t3", "t2", "t1", "t0"));
}

TEST_P(TaskRepositoryContract, List_Offset_SkipsRowsAndHasALimit) {
  for (int i = 0; i < 3; ++i) create(fmt::format("t{}", i));
  const auto page = ok(tasks().list({}, {.limit = 1, .offset = 2}));
  ASSERT_EQ(page.items.size(), 1u);
  EXPECT_EQ(page.items[0].spec.name, "t0");
  EXPECT_FALSE(page.next_cursor);
  EXPECT_EQ(error(tasks().list({}, {.offset = kOffsetMax + 1})).kind, ErrorKind::Validation);
}

TEST_P(TaskRepositoryContract, List_Filters_KeepWhatMatchesAll) {
  auto it = spec("alpha");
  it.labels = {{"team", "data"}};
  create(it);
  it = spec("beta");
  it.status = domain::TaskStatus::paused;
  it.task_type = "http";
  it.labels = {{"team", "web"}, {"data", "team"}};
  create(it);
  EXPECT_THAT(names({.status = domain::TaskStatus::paused}), ElementsAre("beta"));
  EXPECT_THAT(names({.status = domain::TaskStatus::active}), ElementsAre("alpha"));
  EXPECT_THAT(names({.task_type = "http"}), ElementsAre("beta"));
  EXPECT_THAT(names({.label = {{"team", "data"}}}), ElementsAre("alpha"));
  EXPECT_THAT(names({.label = {{"team", "' OR 1=1"}}}), IsEmpty());
  EXPECT_THAT(names({.status = domain::TaskStatus::active, .task_type = "http"}), IsEmpty());
  EXPECT_THAT(names({}), ElementsAre("beta", "alpha"));
}

TEST_P(TaskRepositoryContract, List_NameContains_TakesWildcardsLiterally) {
  for (const auto* name : {"50%_off", "50x-off", "back\\slash", "UPPER"}) create(name);
  EXPECT_THAT(names({.name_contains = "%"}), ElementsAre("50%_off"));
  EXPECT_THAT(names({.name_contains = "_"}), ElementsAre("50%_off"));
  EXPECT_THAT(names({.name_contains = "\\"}), ElementsAre("back\\slash"));
  EXPECT_THAT(names({.name_contains = "upp"}), ElementsAre("UPPER"));
  EXPECT_THAT(names({.name_contains = "OFF"}), ElementsAre("50x-off", "50%_off"));
  EXPECT_THAT(names({.name_contains = "'"}), IsEmpty());
}

TEST_P(TaskRepositoryContract, Update_CurrentVersion_ReplacesTheTaskAndGrowsTheVersion) {
  auto task = create("a");
  const auto created_at = clock.now();
  clock.advance(10s);
  task.spec.name = "b";
  task.spec.priority = 1;
  const auto updated = ok(tasks().update(task, {}));
  EXPECT_EQ(updated.version, 2);
  const auto stored = ok(tasks().get(task.id));
  EXPECT_EQ(stored.spec, task.spec);
  EXPECT_EQ(stored.version, 2);
  EXPECT_EQ(stored.created_at, created_at);
  EXPECT_EQ(stored.updated_at, clock.now());
}

TEST_P(TaskRepositoryContract, Update_OlderVersion_Conflict) {
  const auto task = create("a");
  ok(tasks().update(task, {}));
  EXPECT_EQ(error(tasks().update(task, {})).kind, ErrorKind::Conflict);
}

TEST_P(TaskRepositoryContract, Update_NameOfAnotherTask_DuplicateTaskName) {
  create("a");
  auto task = create("b");
  task.spec.name = "a";
  EXPECT_EQ(error(tasks().update(task, {})).kind, ErrorKind::DuplicateTaskName);
}

TEST_P(TaskRepositoryContract, Update_UnknownTask_TaskNotFound) {
  EXPECT_EQ(error(tasks().update({.id = TaskId{404}, .spec = spec("a")}, {})).kind, ErrorKind::TaskNotFound);
}

TEST_P(TaskRepositoryContract, Update_UnknownUpstream_ValidationPointsAtIt) {
  auto task = create("a");
  task.spec.dependencies = {TaskId{404}};
  const auto refused = error(tasks().update(task, {}));
  EXPECT_EQ(refused.kind, ErrorKind::Validation);
  ASSERT_EQ(refused.fields.size(), 1u);
  EXPECT_EQ(refused.fields[0].pointer, "/dependencies/0");
}

TEST_P(TaskRepositoryContract, Update_Cycle_DependencyCycleNamesItsTasks) {
  auto a = create("a");
  const auto b = create_after("b", {a.id});
  const auto c = create_after("c", {b.id});
  a.spec.dependencies = {c.id};
  const auto refused = error(tasks().update(a, {}));
  EXPECT_EQ(refused.kind, ErrorKind::DependencyCycle);
  EXPECT_THAT(refused.message, HasSubstr("a -> c -> b -> a"));
  a.spec.dependencies = {a.id};
  EXPECT_THAT(error(tasks().update(a, {})).message, HasSubstr("a -> a"));
  EXPECT_EQ(ok(tasks().get(a.id)).version, 1) << "nothing was stored";
}

TEST_P(TaskRepositoryContract, Update_RunsNotDispatched_TakeTheNewPriorityAndRoute) {
  auto task = create("a");
  const auto held = trigger(task.id), pending = trigger(task.id);
  send(held);
  task.spec.priority = 9;
  task.spec.worker_labels = {{"gpu", "yes"}};
  ok(tasks().update(task, {}));
  EXPECT_EQ(run(pending).priority, 9);
  EXPECT_EQ(run(held).priority, 5);
  const auto due = ok(dispatch().due({"shell|gpu=yes"}, 10, 0s));
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].candidate.run, pending);
}

TEST_P(TaskRepositoryContract, Update_SkippedSlots_NeverFire) {
  const auto task = create_scheduled("a", OverlapPolicy::allow);
  const auto slot = clock.now() + 1min;
  ok(tasks().update(task, SlotDecision{slot, slot, false, Reason::paused}));
  EXPECT_EQ(commit(task.id, {fired(slot)}).runs, 0u);
  EXPECT_THAT(runs_of(task.id), IsEmpty());
}

TEST_P(TaskRepositoryContract, Update_SlotsFiredSinceItWasRead_WatermarkNeverGoesBack) {
  const auto read = create_scheduled("a", OverlapPolicy::allow);
  fire(read.id);
  const auto updated = ok(tasks().update(read, {}));
  EXPECT_EQ(updated.watermark, clock.now());
  EXPECT_EQ(ok(tasks().get(read.id)).watermark, clock.now());
}

TEST_P(TaskRepositoryContract, Update_EditedDependencies_ClearUnfinishedRounds) {
  const auto a = create("a"), b = create("b"), c = create("c");
  auto after = create_after("after", {a.id, b.id});
  run_to(a.id, RunState::succeeded);
  after.spec.dependencies = {a.id, c.id};
  ok(tasks().update(after, {}));
  run_to(c.id, RunState::succeeded);
  EXPECT_THAT(runs_of(after.id), IsEmpty()) << "the run of a ended before the edit";
  run_to(a.id, RunState::succeeded);
  EXPECT_EQ(runs_of(after.id).size(), 1u);
}

TEST_P(TaskRepositoryContract, Archive_Task_IsInvisibleAndItsNameIsFree) {
  const auto task = create_scheduled("a", OverlapPolicy::allow);
  ok(tasks().archive(task.id));
  EXPECT_EQ(error(tasks().get(task.id)).kind, ErrorKind::TaskNotFound);
  EXPECT_EQ(error(tasks().find("a")).kind, ErrorKind::TaskNotFound);
  EXPECT_EQ(error(tasks().update(task, {})).kind, ErrorKind::TaskNotFound);
  EXPECT_EQ(error(tasks().archive(task.id)).kind, ErrorKind::TaskNotFound);
  EXPECT_EQ(error(runs().insert({.task = task.id})).kind, ErrorKind::TaskNotFound);
  EXPECT_EQ(ok(tasks().list({}, {})).total, 0);
  clock.advance(5min);
  EXPECT_THAT(ok(slots().due(10)).due, IsEmpty());
  EXPECT_NE(create("a").id, task.id);
}

TEST_P(TaskRepositoryContract, Archive_ItsRuns_EndWhereNoWorkerHasThemAndStayReadable) {
  const auto task = create_scheduled("a", OverlapPolicy::queue_one);
  const auto held = trigger(task.id), pending = trigger(task.id);
  const auto token = send(held);
  fire(task.id);
  const auto waiting = runs_of(task.id).front().id;
  ASSERT_EQ(state(waiting), RunState::waiting);
  ok(tasks().archive(task.id));
  for (const auto id : {pending, waiting}) {
    EXPECT_EQ(run(id).state, RunState::cancelled);
    EXPECT_EQ(run(id).reason, Reason::cancelled_by_user);
    EXPECT_NE(run(id).message, "");
    EXPECT_EQ(run(id).ended_at, clock.now());
  }
  EXPECT_EQ(state(held), RunState::dispatched);
  EXPECT_TRUE(apply(Ended{.run = held, .token = token, .ended_at = clock.now(), .next = domain::End{}}));
  EXPECT_EQ(run(held).task_name, "a");
  EXPECT_EQ(runs_of(task.id).size(), 3u);
}

TEST_P(TaskRepositoryContract, Archive_AnotherTaskDependsOnIt_ConflictNamesThatTask) {
  const auto a = create("a");
  const auto b = create_after("b", {a.id});
  const auto refused = error(tasks().archive(a.id));
  EXPECT_EQ(refused.kind, ErrorKind::Conflict);
  EXPECT_THAT(refused.message, HasSubstr("'b'"));
  ok(tasks().archive(b.id));
  ok(tasks().archive(a.id));
}

TEST_P(TaskRepositoryContract, Dependants_OfATask_AreThoseThatListIt) {
  const auto a = create("a");
  const auto b = create_after("b", {a.id}), c = create_after("c", {a.id, b.id});
  EXPECT_THAT(ok(tasks().dependants(a.id)), ElementsAre(b.id, c.id));
  EXPECT_THAT(ok(tasks().dependants(c.id)), IsEmpty());
}

}  // namespace scheduler::contract
