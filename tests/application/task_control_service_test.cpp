#include "application/services_world.hpp"

#include <cstdint>
#include <memory>
#include <string>

namespace scheduler::application {
namespace {

class Control : public ServicesWorld {
 protected:
  TaskId noop(domain::TaskSpec spec = {}) {
    spec.task_type = "noop";
    return store.add_task(std::move(spec));
  }
  std::int64_t next_incarnation = 0;
  std::unique_ptr<TaskControlService> control_service = factory.create_task_control_service();
};

TEST_F(Control, Trigger_Task_MakesARunAndNudges) {
  const auto id = noop();
  const auto made = run(control_service->trigger_task(id, {.parameters = "{}"}));
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_THAT(made->runs, SizeIs(1));
  EXPECT_EQ(made->runs[0].state, RunState::pending);
  EXPECT_EQ(made->runs[0].trigger, domain::Trigger::manual);
  EXPECT_EQ(made->runs[0].parameters, "{}");
  EXPECT_FALSE(made->existed);
  EXPECT_EQ(nudges(), 1u);
}

TEST_F(Control, BrokerAway_RowsAreWrittenAllTheSame) {
  const auto id = noop();
  faults.fail_while([](std::string_view call) { return call.starts_with("publish"); });
  for (int i = 0; i < 10; ++i) EXPECT_THAT(run(control_service->trigger_task(id, {}))->runs, SizeIs(1));
  EXPECT_EQ(queue.circuit()->state, Circuit::State::open);
  EXPECT_THAT(store.run_rows, SizeIs(10));
  const auto held = store.add_held_run(id, {"w1"}, {1}, RunState::running);
  EXPECT_EQ(run(control_service->cancel_run(held))->cancel_reason, Reason::cancelled_by_user) << "the mark is a row";
  faults.heal();
  timer.advance(1s);
  EXPECT_EQ(nudges(), 1u) << "the probe is a nudge";
}

TEST_F(Control, Trigger_ShardsOrPaused_AreNoHindrance) {
  EXPECT_THAT(run(control_service->trigger_task(noop({.shard_count = 3}), {}))->runs, SizeIs(3));
  EXPECT_THAT(run(control_service->trigger_task(noop({.status = TaskStatus::paused}), {}))->runs, SizeIs(1));
}

TEST_F(Control, Trigger_BadInput_IsRefused) {
  const auto id = noop();
  EXPECT_EQ(kind(run(control_service->trigger_task(TaskId{99}, {}))), ErrorKind::TaskNotFound);
  const auto wrong = run(control_service->trigger_task(id, {.parameters = "[1]"}));
  EXPECT_EQ(kind(wrong), ErrorKind::Validation);
  EXPECT_THAT(pointers(wrong), ElementsAre("/parameters/extra"));
  EXPECT_EQ(
      kind(run(control_service->trigger_task(id, {.parameters = std::string(domain::kParameterBytesMax + 1, ' ')}))),
      ErrorKind::PayloadTooLarge);
  for (const auto& key : {std::string(), std::string(256, 'k')})
    EXPECT_THAT(pointers(run(control_service->trigger_task(id, {.idempotency_key = key}))),
                ElementsAre("Idempotency-Key"));
  EXPECT_THAT(store.run_rows, IsEmpty());
}

// They may name the outputs of these.
TEST_F(Control, Trigger_OwnParameters_AreCheckedWithTheUpstreamsOfTheTask) {
  const auto a = store.add_task({.name = "a"}), b = store.add_task({.name = "b"});
  const auto after = store.add_task({.name = "after", .dependencies = {b, TaskId{99}, a}});
  EXPECT_TRUE(run(control_service->trigger_task(after, {.parameters = "{}"})));
  EXPECT_THAT(parameters.last_upstreams, ElementsAre("b", "a"));
}

TEST_F(Control, Trigger_RunAt_IsKeptWithinReason) {
  const auto id = noop();
  const auto now = clock.now();
  const struct {
    std::string_view name;
    TimePoint at;
    bool taken;
  } rows[] = {
      {"later", now + 1h, true},
      {"a moment ago", now - 60s, true},
      {"more than a minute ago", now - 61s, false},
      {"ten years ahead", now + kAheadMax, true},
      {"more than ten years ahead", now + kAheadMax + 1s, false},
  };
  for (const auto& row : rows) {
    const auto made = run(control_service->trigger_task(id, {.run_at = row.at}));
    EXPECT_EQ(made.has_value(), row.taken) << row.name;
    if (made) EXPECT_EQ(made->runs.at(0).due_at, std::max(now, row.at)) << row.name;
    if (!made) EXPECT_THAT(pointers(made), ElementsAre("/run_at")) << row.name;
  }
}

TEST_F(Control, TriggerAll_Items_AreMadeInOrder) {
  const auto a = noop({.name = "a"}), b = noop({.name = "b", .shard_count = 2});
  const auto made = run(control_service->trigger_all({{.task = b}, {.task = "a", .request = {.parameters = "{}"}}}));
  ASSERT_TRUE(made) << made.error().message;
  ASSERT_THAT(*made, SizeIs(2));
  EXPECT_THAT((*made)[0].runs, SizeIs(2));
  EXPECT_EQ((*made)[1].runs.at(0).task, a);
  EXPECT_EQ(nudges(), 1u);
}

TEST_F(Control, TriggerAll_EveryFault_IsNamedAndNothingMade) {
  const auto a = noop({.name = "a"});
  const auto refused = run(control_service->trigger_all({{.task = a},
                                                         {.task = TaskId{99}},
                                                         {.task = "b"},
                                                         {.task = a, .request = {.parameters = "[1]"}},
                                                         {.task = a, .request = {.idempotency_key = ""}},
                                                         {.task = a, .request = {.run_at = clock.now() - 1h}}}));
  EXPECT_EQ(kind(refused), ErrorKind::Validation);
  EXPECT_THAT(pointers(refused), ElementsAre("/items/1/task", "/items/2/task", "/items/3/parameters/extra",
                                             "/items/4/idempotency_key", "/items/5/run_at"));
  EXPECT_THAT(store.run_rows, IsEmpty());
}

TEST_F(Control, TriggerAll_TooManyShards_AreRefused) {
  const auto a = noop({.name = "a", .shard_count = 1000});
  const std::vector<BulkItem> items(11, {.task = a});
  EXPECT_THAT(pointers(run(control_service->trigger_all(items))), ElementsAre("/items"));
}

TEST_F(Control, RestartGroup_FailedShards_AreRunAgain) {
  const auto made = run(control_service->trigger_task(noop({.shard_count = 3}), {}));
  ASSERT_TRUE(made);
  ASSERT_TRUE(run(control_service->cancel_run(made->runs[1].id)));
  const auto again = run(control_service->restart_group(made->runs[0].id));
  ASSERT_TRUE(again) << again.error().message;
  ASSERT_THAT(again->runs, SizeIs(1));
  EXPECT_EQ(again->runs[0].shard_index, 1);
  EXPECT_EQ(kind(run(control_service->restart_group(made->runs[0].id))), ErrorKind::Conflict);
  EXPECT_EQ(kind(run(control_service->restart_group(RunId{99}))), ErrorKind::RunNotFound);
}

TEST_F(Control, Trigger_SameKeyWithOtherParameters_IsAConflict) {
  const auto id = noop();
  ASSERT_TRUE(run(control_service->trigger_task(id, {.idempotency_key = "k"})));
  EXPECT_EQ(kind(run(control_service->trigger_task(id, {.parameters = "{}", .idempotency_key = "k"}))),
            ErrorKind::Conflict);
  EXPECT_THAT(store.run_rows, SizeIs(1));
}

TEST_F(Control, Trigger_SameKeyAgain_AnswersWithTheFirstRuns) {
  const auto id = noop({.shard_count = 2});
  const auto first = run(control_service->trigger_task(id, {.idempotency_key = std::string(255, 'k')}));
  const auto again = run(control_service->trigger_task(id, {.idempotency_key = std::string(255, 'k')}));
  ASSERT_TRUE(first && again);
  EXPECT_TRUE(again->existed);
  EXPECT_EQ(again->runs.at(1).id, first->runs.at(1).id);
  EXPECT_THAT(store.run_rows, SizeIs(2));
}

TEST_F(Control, Trigger_QueueFails_TheRunIsThere) {
  faults.fail_while([](std::string_view call) { return call.starts_with("publish"); });
  EXPECT_TRUE(run(control_service->trigger_task(noop(), {})));
}

TEST_F(Control, Pause_Task_FiresNoMore) {
  const auto id = hourly();
  const auto paused = run(control_service->pause_task(id));
  ASSERT_TRUE(paused);
  EXPECT_EQ(paused->spec.status, TaskStatus::paused);
  EXPECT_FALSE(paused->next_fire_at);
  EXPECT_EQ(run(control_service->pause_task(id))->version, paused->version) << "twice is fine";
  EXPECT_EQ(kind(run(control_service->pause_task(TaskId{99}))), ErrorKind::TaskNotFound);
}

// What was due before the pause is no slot of the pause.
TEST_F(Control, Pause_SlotsThatAreDue_AreDecidedByTheMisfirePolicy) {
  const auto id = hourly();
  clock.advance(150min);
  ASSERT_TRUE(run(control_service->pause_task(id)));
  ASSERT_THAT(store.slot_rows, SizeIs(2));
  EXPECT_EQ(store.slot_rows[0].decision.reason, Reason::misfire);
  EXPECT_TRUE(store.slot_rows[1].decision.fire) << "policy latest";
  EXPECT_EQ(nudges(), 1u);
  clock.advance(60min);
  ASSERT_TRUE(run(control_service->resume_task(id)));
  ASSERT_THAT(store.slot_rows, SizeIs(3));
  EXPECT_EQ(store.slot_rows[2].decision.reason, Reason::paused);
}

TEST_F(Control, Resume_Task_RecordsPausedSlotsAndFiresTheNext) {
  const auto id = hourly();
  (void)run(control_service->pause_task(id));
  clock.advance(150min);
  const auto task = run(control_service->resume_task(id));
  ASSERT_TRUE(task);
  EXPECT_EQ(task->spec.status, TaskStatus::active);
  EXPECT_EQ(task->watermark, clock.now());
  EXPECT_EQ(task->next_fire_at, clock.now() + 30min);
  ASSERT_THAT(store.slot_rows, SizeIs(1));
  EXPECT_EQ(store.slot_rows[0].decision,
            (domain::SlotDecision{clock.now() - 90min, clock.now() - 30min, false, Reason::paused}));
  EXPECT_EQ(nudges(), 1u);
  EXPECT_EQ(run(control_service->resume_task(id))->version, task->version) << "twice is fine";
  EXPECT_THAT(store.slot_rows, SizeIs(1));
}

TEST_F(Control, Resume_NothingMissed_RecordsNothing) {
  const auto id = hourly();
  (void)run(control_service->pause_task(id));
  clock.advance(30min);
  EXPECT_EQ(run(control_service->resume_task(id))->next_fire_at, clock.now() + 30min);
  EXPECT_THAT(store.slot_rows, IsEmpty());
  const auto manual = noop({.status = TaskStatus::paused});
  EXPECT_FALSE(run(control_service->resume_task(manual))->next_fire_at);
}

TEST_F(Control, Resume_ClockWentBack_TheWatermarkDoesNot) {
  const auto id = hourly();
  (void)run(control_service->pause_task(id));
  store.task_rows.at(id).watermark = clock.now() + 5h;
  const auto task = run(control_service->resume_task(id));
  EXPECT_EQ(task->watermark, clock.now() + 5h);
  EXPECT_EQ(task->next_fire_at, clock.now() + 6h);
}

TEST_F(Control, Cancel_NotDispatched_EndsAtOnce) {
  for (const auto state : {RunState::waiting, RunState::pending}) {
    const auto cancelled = run(control_service->cancel_run(store.add_run(noop(), state)));
    ASSERT_TRUE(cancelled);
    EXPECT_EQ(cancelled->state, RunState::cancelled);
  }
}

TEST_F(Control, Cancel_HeldRun_TellsItsWorker) {
  for (const auto state : {RunState::dispatched, RunState::running}) {
    const auto id = store.add_held_run(noop(), {"w1"}, {++next_incarnation}, state);
    const auto run_now = run(control_service->cancel_run(id));
    ASSERT_TRUE(run_now);
    EXPECT_EQ(run_now->state, state) << "until its worker has reported";
    EXPECT_TRUE(run_now->cancel_requested());
    const auto told = control(*run_now->incarnation);
    ASSERT_TRUE(told);
    EXPECT_EQ(told->kind, TaskControl::Kind::cancel);
    EXPECT_EQ(told->run, id);
    EXPECT_EQ(told->token, 1);
    EXPECT_EQ(told->reason, Reason::cancelled_by_user);
  }
}

TEST_F(Control, Cancel_QueueFails_TheMarkIsThere) {
  const auto id = store.add_held_run(noop(), {"w1"}, {7});
  faults.fail_while([](std::string_view call) { return call.starts_with("publish"); });
  EXPECT_TRUE(run(control_service->cancel_run(id)));
  EXPECT_TRUE(store.run_rows.at(id).cancel_requested());
}

TEST_F(Control, Cancel_EndedOrUnknown_IsRefused) {
  const auto id = store.add_run(noop(), RunState::succeeded);
  EXPECT_EQ(kind(run(control_service->cancel_run(id))), ErrorKind::Conflict);
  EXPECT_EQ(kind(run(control_service->cancel_run(RunId{99}))), ErrorKind::RunNotFound);
}

TEST_F(Control, Restart_EndedRun_MakesANewOne) {
  for (const auto state :
       {RunState::succeeded, RunState::failed, RunState::timed_out, RunState::cancelled, RunState::skipped}) {
    const auto old = store.add_run(noop(), state);
    store.run_rows.at(old).parameters = "{}";
    const auto made = run(control_service->restart_run(old, false));
    ASSERT_TRUE(made) << name_of(state);
    EXPECT_EQ(made->runs.at(0).retry_of, old);
    EXPECT_EQ(made->runs.at(0).trigger, domain::Trigger::retry);
    EXPECT_EQ(made->runs.at(0).parameters, "{}");
    EXPECT_EQ(store.run_rows.at(old).state, state) << "the old one never changes";
  }
  EXPECT_EQ(nudges(), 5u);
}

TEST_F(Control, Restart_WithDownstream_AsksTheStoreForIt) {
  const auto old = store.add_run(noop(), RunState::failed);
  ASSERT_TRUE(run(control_service->restart_run(old, true)));
  EXPECT_TRUE(store.last_insert->downstream);
}

TEST_F(Control, Restart_TaskWasDeleted_SaysSo) {
  const auto task = noop();
  const auto old = store.add_run(task, RunState::failed);
  store.task_rows.erase(task);
  const auto made = run(control_service->restart_run(old, false));
  EXPECT_EQ(kind(made), ErrorKind::Conflict);
  EXPECT_THAT(made.error().message, ::testing::HasSubstr("was deleted"));
  EXPECT_EQ(nudges(), 0u);
}

TEST_F(Control, Restart_RunThatGoesOn_IsRefused) {
  for (const auto state : {RunState::waiting, RunState::pending, RunState::dispatched, RunState::running}) {
    const auto made = run(control_service->restart_run(store.add_run(noop(), state), false));
    EXPECT_EQ(kind(made), ErrorKind::Conflict);
    EXPECT_THAT(made.error().message, ::testing::HasSubstr(name_of(state)));
  }
  EXPECT_EQ(kind(run(control_service->restart_run(RunId{99}, false))), ErrorKind::RunNotFound);
}

}  // namespace
}  // namespace scheduler::application
