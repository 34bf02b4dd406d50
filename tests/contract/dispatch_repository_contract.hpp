// contract/dispatch_repository_contract.hpp — what every DispatchRepository must do.
#pragma once

#include "contract/store_fixture.hpp"
#include "domain/transitions.hpp"

namespace scheduler::contract {

using domain::Event;

class DispatchRepositoryContract : public StoreContract {
 protected:
  std::vector<RunId> due_ids(const std::vector<std::string>& routes, std::size_t limit = 100, Seconds ageing = 0s) {
    std::vector<RunId> ids;
    for (const auto& it : ok(dispatch().due(routes, limit, ageing))) ids.push_back(it.candidate.run);
    return ids;
  }
  static std::vector<RunId> ids_of(const std::vector<RunContext>& contexts) {
    std::vector<RunId> ids;
    for (const auto& it : contexts) ids.push_back(it.run.id);
    return ids;
  }

  // A run in the given state, of a task of its own.
  RunId run_in(RunState wanted) {
    const auto name = fmt::format("task {}", ++tasks_made_);
    if (wanted == RunState::waiting || wanted == RunState::skipped) return overlapping_run_in(name, wanted);
    const auto id = trigger(create(name).id);
    if (wanted == RunState::pending) return id;
    send(id);
    if (wanted == RunState::running) EXPECT_TRUE(start(id));
    if (domain::is_terminal(wanted)) EXPECT_TRUE(apply(ended(id, wanted)));
    return id;
  }
  RunId overlapping_run_in(const std::string& name, RunState wanted) {
    const auto task = create_scheduled(name, OverlapPolicy::replace);
    send(trigger(task.id));
    fire(task.id);
    const auto waiting = runs_of(task.id)[0].id;
    if (wanted == RunState::skipped) fire(task.id);
    return waiting;
  }

  // Tries `event` on the run as the one that it belongs to would; what a person cancels is tested apart.
  bool attempt(Event event, RunId id) {
    switch (event) {
      case Event::dispatch:
        return ok(dispatch().mark_dispatched({{id, run(id).token, WorkerId{"w1"}, kWorker}})).at(0);
      case Event::start:
        return start(id);
      case Event::succeed:
        return apply(ended(id, RunState::succeeded));
      case Event::fail:
        return apply(ended(id, RunState::failed));
      case Event::time_out:
        return apply(ended(id, RunState::timed_out));
      case Event::cancel:
        return apply(ended(id, RunState::cancelled));
      case Event::retry:
        return apply(retried(id, clock.now()));
      case Event::hand_back:
        return apply(Returned{id, run(id).token});
      case Event::rescue:
        return apply(lost(id, domain::RetryAt{clock.now()}));
      case Event::give_up:
        return apply(lost(id, domain::End{RunState::failed}));
      case Event::promote:
      case Event::skip:
        return false;  // no call of the port: they follow from the ends of other runs
    }
    return false;
  }

 private:
  int tasks_made_ = 0;
};

TEST_P(DispatchRepositoryContract, EveryStateAndEvent_ChangeExactlyAsTheTableSays) {
  for (int s = 0; s < static_cast<int>(enum_names(RunState{}).size()); ++s) {
    for (const auto event : {Event::dispatch, Event::start, Event::succeed, Event::fail, Event::time_out, Event::retry,
                             Event::cancel, Event::hand_back, Event::rescue, Event::give_up}) {
      const auto from = static_cast<RunState>(s);
      const auto id = run_in(from);
      ASSERT_EQ(state(id), from);
      const auto token = run(id).token;
      // A report cancels only what a worker has; before that a person does, through RunRepository.
      const bool by_report = event != Event::cancel || from == RunState::dispatched || from == RunState::running;
      const auto expected = by_report ? domain::after(from, event) : std::nullopt;
      const auto label = fmt::format("{} + {}", name_of(from), name_of(event));
      EXPECT_EQ(attempt(event, id), expected.has_value()) << label;
      EXPECT_EQ(state(id), expected.value_or(from)) << label;
      const bool grows =
          event == Event::dispatch || event == Event::hand_back || event == Event::rescue || event == Event::give_up;
      EXPECT_EQ(run(id).token, token + (expected && grows)) << label;
    }
  }
}

TEST_P(DispatchRepositoryContract, EveryReport_WithAnotherTokenThanTheCurrentOne_ChangesNothing) {
  const auto id = run_in(RunState::dispatched);
  for (const Token off : {-1, 1}) {
    auto end = ended(id, RunState::succeeded), again = retried(id, clock.now());
    auto gone = lost(id, domain::RetryAt{clock.now()});
    const auto token = run(id).token + off;
    end.token = again.token = gone.token = token;
    EXPECT_THAT(ok(dispatch().apply({Started{id, token, clock.now()}, end, again, gone, Returned{id, token}})),
                ElementsAre(false, false, false, false, false));
  }
  EXPECT_EQ(state(id), RunState::dispatched);
  EXPECT_EQ(ok(runs().attempts(id)).size(), 1u) << "the current one";
}

TEST_P(DispatchRepositoryContract, View_EmptyStore_IsEmpty) {
  const auto view = ok(dispatch().view());
  EXPECT_EQ(view.now, clock.now());
  EXPECT_THAT(view.workers, IsEmpty());
  EXPECT_THAT(view.routes, IsEmpty());
  EXPECT_FALSE(view.next_due);
}

TEST_P(DispatchRepositoryContract, View_Workers_AliveOnesByIdWithWhatTheyHold) {
  hear(beat("w2", IncarnationId{2}));
  hear(beat("w1", IncarnationId{1}));
  hear(beat("w3", IncarnationId{3}));
  hear(beat("w4", IncarnationId{4}));
  ok(workers().set_draining(WorkerId{"w3"}, true));
  auto leaving = beat("w4", IncarnationId{4});
  leaving.leaving = true;
  hear(leaving);
  const auto task = create("a");
  send(trigger(task.id), IncarnationId{2}, "w2");
  const auto running = trigger(task.id), over = trigger(task.id);
  send(running, IncarnationId{2}, "w2");
  start(running);
  send(over, IncarnationId{2}, "w2");
  apply(ended(over, RunState::succeeded));
  const auto view = ok(dispatch().view());
  ASSERT_EQ(view.workers.size(), 2u);
  EXPECT_EQ(view.workers[0].worker.id.value, "w1");
  EXPECT_EQ(view.workers[0].in_flight, 0);
  EXPECT_EQ(view.workers[1].worker.id.value, "w2");
  EXPECT_EQ(view.workers[1].in_flight, 2);
  EXPECT_THAT(view.workers[1].worker.task_types, ElementsAre("http", "shell"));
}

TEST_P(DispatchRepositoryContract, View_Routes_ThoseWithADueRunAndTheNextInstant) {
  auto it = spec("http task");
  it.task_type = "http";
  const auto http = create(it);
  const auto shell = create("shell task");
  trigger(http.id);
  const auto backing_off = trigger(shell.id);
  send(backing_off);
  apply(retried(backing_off, clock.now() + 5s));
  auto view = ok(dispatch().view());
  EXPECT_THAT(view.routes, ElementsAre("http"));
  EXPECT_EQ(view.next_due, clock.now() + 5s);
  clock.advance(5s);
  view = ok(dispatch().view());
  EXPECT_THAT(view.routes, UnorderedElementsAre("http", "shell"));
  EXPECT_FALSE(view.next_due);
}

TEST_P(DispatchRepositoryContract, View_ManyPriorities_EarliestOfAllIsNext) {
  const auto due_in = {9s, 3s, 7s};
  int priority = 2;
  for (const auto wait : due_in) {
    auto it = spec(fmt::format("p{}", priority));
    it.priority = priority++;
    const auto id = trigger(create(it).id);
    send(id);
    apply(retried(id, clock.now() + wait));
  }
  EXPECT_EQ(ok(dispatch().view()).next_due, clock.now() + 3s);
}

TEST_P(DispatchRepositoryContract, Due_Order_PriorityThenAgeThenId) {
  auto it = spec("normal");
  const auto normal = create(it);
  it = spec("urgent");
  it.priority = 9;
  const auto urgent = create(it);
  it = spec("other route");
  it.task_type = "http";
  const auto http = create(it);
  const auto first = trigger(normal.id);
  clock.advance(1s);
  const auto second = trigger(http.id), third = trigger(normal.id);
  const auto top = trigger(urgent.id);
  EXPECT_THAT(due_ids({"shell", "http"}), ElementsAre(top, first, second, third));
  EXPECT_THAT(due_ids({"http", "shell", "shell", "none"}, 3), ElementsAre(top, first, second));
  EXPECT_THAT(due_ids({"http"}), ElementsAre(second));
  EXPECT_THAT(due_ids({}), IsEmpty());
  EXPECT_THAT(due_ids({"shell"}, 0), IsEmpty());
}

TEST_P(DispatchRepositoryContract, Due_RunsThatAreNotDueOrNotPending_AreNotThere) {
  run_in(RunState::waiting);
  run_in(RunState::dispatched);
  run_in(RunState::succeeded);
  const auto backing_off = run_in(RunState::dispatched);
  apply(retried(backing_off, clock.now() + 5s));
  EXPECT_THAT(due_ids({"shell"}), IsEmpty());
  clock.advance(5s);
  EXPECT_THAT(due_ids({"shell"}), ElementsAre(backing_off)) << "due exactly now counts";
}

TEST_P(DispatchRepositoryContract, Due_Execution_SaysWhatItWillBeOnceDispatched) {
  auto it = spec("a");
  it.parameters = R"({"command":"true"})";
  it.timeout = 42s;
  it.schedule = "* * * * *";
  it.shard_count = 2;
  it.worker_labels = {{"gpu", "yes"}};
  const auto task = ok(tasks().create({.spec = it, .watermark = clock.now(), .next_fire_at = clock.now() + 1min}));
  fire(task.id);
  const auto due = ok(dispatch().due({"shell|gpu=yes"}, 10, 0s));
  ASSERT_EQ(due.size(), 2u);
  const auto& execution = due[1].execution;
  EXPECT_EQ(due[1].candidate.token, 0);
  EXPECT_EQ(due[1].candidate.route, "shell|gpu=yes");
  EXPECT_EQ(execution.run, due[1].candidate.run);
  EXPECT_EQ(execution.task, task.id);
  EXPECT_EQ(execution.task_name, "a");
  EXPECT_EQ(execution.task_type, "shell");
  EXPECT_EQ(execution.parameters, it.parameters);
  EXPECT_EQ(execution.attempt, 1);
  EXPECT_EQ(execution.token, 1);
  EXPECT_EQ(execution.timeout, 42s);
  EXPECT_EQ(execution.slot, clock.now());
  EXPECT_EQ(execution.shard_index, 1);
  EXPECT_EQ(execution.shard_total, 2);
}

TEST_P(DispatchRepositoryContract, Due_RunWithItsOwnParameters_BringsThose) {
  const auto task = create("a");
  ok(runs().insert({.task = task.id, .parameters = R"({"command":"false"})"}));
  const auto due = ok(dispatch().due({"shell"}, 10, 0s));
  ASSERT_EQ(due.size(), 1u);
  EXPECT_EQ(due[0].execution.parameters, R"({"command":"false"})");
}

TEST_P(DispatchRepositoryContract, MarkDispatched_PendingRun_BelongsToTheWorker) {
  const auto id = trigger(create("a").id);
  send(id, IncarnationId{7}, "w7");
  const auto it = run(id);
  EXPECT_EQ(it.state, RunState::dispatched);
  EXPECT_EQ(it.token, 1);
  EXPECT_EQ(it.attempt, 1);
  EXPECT_EQ(it.worker, WorkerId{"w7"});
  EXPECT_EQ(it.incarnation, IncarnationId{7});
  EXPECT_EQ(it.dispatched_at, clock.now());
  EXPECT_FALSE(it.started_at);
  EXPECT_FALSE(it.ended_at);
}

TEST_P(DispatchRepositoryContract, MarkDispatched_Batch_EachItemIsGuardedOnItsOwn) {
  const auto task = create("a");
  const auto a = trigger(task.id), b = trigger(task.id), c = trigger(task.id);
  ok(runs().cancel(b));
  const WorkerId w1{"w1"};
  EXPECT_THAT(ok(dispatch().mark_dispatched({{a, 0, w1, kWorker},
                                             {b, 0, w1, kWorker},
                                             {RunId{404}, 0, w1, kWorker},
                                             {c, 1, w1, kWorker},
                                             {a, 0, w1, kWorker},
                                             {c, 0, w1, kWorker}})),
              ElementsAre(true, false, false, false, false, true));
}

// A view is some milliseconds old: runs went to workers that had left in between, and waited for their rescue.
TEST_P(DispatchRepositoryContract, MarkDispatched_WorkerThatLeftDiedOrDrains_WinsNothing) {
  for (std::int64_t i = 1; i <= 4; ++i) hear(beat("w" + std::to_string(i), IncarnationId{i}));
  auto leaves = beat("w1", IncarnationId{1});
  leaves.leaving = true;
  hear(leaves);
  hear(beat("w2", IncarnationId{20}));
  hear(beat("w2", IncarnationId{20}));  // its new start, which replaces the old one
  ok(workers().set_draining(WorkerId{"w3"}, true));
  const auto task = create("a");
  std::vector<Dispatching> batch;
  for (std::int64_t i = 1; i <= 4; ++i)
    batch.push_back({trigger(task.id), 0, WorkerId{"w" + std::to_string(i)}, IncarnationId{i}});
  EXPECT_THAT(ok(dispatch().mark_dispatched(batch)), ElementsAre(false, false, false, true));
  EXPECT_EQ(state(batch[0].run), RunState::pending);
  EXPECT_EQ(run(batch[0].run).token, 0);
}

TEST_P(DispatchRepositoryContract, MarkDispatched_TwoDispatchersOnTheSameSnapshot_ExactlyOneWinsEachRun) {
  const auto task = create("a");
  std::vector<Dispatching> batch, reversed;
  for (int i = 0; i < 50; ++i) batch.push_back({trigger(task.id), 0, WorkerId{"w1"}, kWorker});
  reversed.assign(batch.rbegin(), batch.rend());
  std::vector<Async<std::vector<bool>>> works;
  works.push_back(dispatch().mark_dispatched(batch));
  works.push_back(dispatch().mark_dispatched(reversed));
  const auto results = run_all(std::move(works));
  for (std::size_t i = 0; i < batch.size(); ++i) EXPECT_NE(results[0]->at(i), results[1]->at(batch.size() - 1 - i));
  for (const auto& it : batch) EXPECT_EQ(run(it.run).token, 1);
}

TEST_P(DispatchRepositoryContract, Contexts_KnownRuns_ComeWithTheirPolicies) {
  auto it = spec("a");
  it.max_retries = 4;
  it.retry_backoff = {.base_seconds = 0.5, .factor = 1.5, .cap_seconds = 60};
  it.retry_on = {.reasons = {Reason::exit_code}, .exit_codes = {75}, .http_statuses = {}};
  it.max_lost_attempts = 5;
  it.delivery = domain::Delivery::at_most_once;
  const auto id = trigger(create(it).id);
  const auto contexts = ok(dispatch().contexts({id, RunId{404}}));
  EXPECT_EQ(contexts.now, clock.now());
  ASSERT_EQ(contexts.runs.size(), 1u);
  const auto& found = contexts.runs.at(id);
  EXPECT_EQ(found.run.task_name, "a");
  EXPECT_EQ(found.run.state, RunState::pending);
  EXPECT_EQ(found.policy.max_retries, 4);
  EXPECT_EQ(found.policy.backoff, it.retry_backoff);
  EXPECT_EQ(found.policy.retry_on, it.retry_on);
  EXPECT_EQ(found.policy.max_lost_attempts, 5);
  EXPECT_EQ(found.policy.delivery, domain::Delivery::at_most_once);
  EXPECT_EQ(found.run.lost_workers, "");
}

TEST_P(DispatchRepositoryContract, Contexts_RunThatLostWorkers_NamesThemInOrder) {
  const auto id = trigger(create(spec("a")).id);
  for (const auto* worker : {"w2", "w9", "w1", "w9"}) {
    send(id, kWorker, worker);
    EXPECT_TRUE(apply(lost(id, domain::RetryAt{clock.now()})));
  }
  send(id, kWorker, "w3");
  EXPECT_TRUE(apply(retried(id, clock.now())));
  EXPECT_EQ(ok(dispatch().contexts({id})).runs.at(id).run.lost_workers, "w2, w9, w1, w9");
  send(id, kWorker, "w4");
  hear(beat("w4", kWorker));
  ok(dispatch().mark_missing({id}, {}));
  clock.advance(kMissingGrace);
  const auto orphans = ok(dispatch().to_rescue(10)).orphaned;
  ASSERT_EQ(orphans.size(), 1u);
  EXPECT_EQ(orphans[0].run.lost_workers, "w2, w9, w1, w9");
  EXPECT_EQ(orphans[0].run.worker, WorkerId{"w4"});
}

TEST_P(DispatchRepositoryContract, Apply_Output_IsKeptOfARunThatSucceededAlone) {
  const auto text = std::string(R"({"rows":12,"ü":"\u0000 \"'"})");
  const auto with_output = [&](Ended it) {
    it.outcome.output = text;
    return it;
  };
  const auto good = run_in(RunState::running), quiet = run_in(RunState::running), bad = run_in(RunState::running),
             again = run_in(RunState::running), late = run_in(RunState::running), marked = run_in(RunState::running);
  auto old = ended(late, RunState::succeeded);
  old.outcome.output = text;
  old.token -= 1;
  ok(runs().cancel(marked));
  // One that needs the long way makes the others of its batch take the short one all the same.
  const auto applied =
      ok(dispatch().apply({with_output(ended(good, RunState::succeeded)), ended(quiet, RunState::succeeded),
                           with_output(ended(bad, RunState::failed)), with_output(retried(again, clock.now())), old,
                           with_output(ended(marked, RunState::succeeded))}));
  EXPECT_THAT(applied, ElementsAre(true, true, true, true, false, true));
  EXPECT_EQ(ok(runs().output(good)), text);
  EXPECT_EQ(ok(runs().output(marked)), text) << "a success wins over a mark";
  for (const auto id : {quiet, bad, again, late, RunId{404}})
    EXPECT_EQ(ok(runs().output(id)), std::nullopt) << id.value;
  send(again);
  EXPECT_TRUE(apply(with_output(ended(again, RunState::succeeded))));
  EXPECT_EQ(ok(runs().output(again)), text);
}

TEST_P(DispatchRepositoryContract, Apply_Started_KeepsWhenItBegan) {
  const auto id = run_in(RunState::dispatched);
  EXPECT_TRUE(apply(Started{id, run(id).token, clock.now() - 2s}));
  EXPECT_EQ(run(id).started_at, clock.now() - 2s);
  EXPECT_FALSE(start(id)) << "once";
}

TEST_P(DispatchRepositoryContract, Apply_EndOfARun_WritesTheAttemptAndTheRunTogether) {
  const auto id = run_in(RunState::running);
  const auto began = *run(id).started_at;
  clock.advance(3s);
  auto report = ended(id, RunState::failed);
  report.log_lines = 12;
  EXPECT_TRUE(apply(report));
  EXPECT_FALSE(apply(report)) << "the same report again";
  const auto it = run(id);
  EXPECT_EQ(it.state, RunState::failed);
  EXPECT_EQ(it.reason, Reason::exit_code);
  EXPECT_EQ(it.message, "exited with code 3");
  EXPECT_EQ(it.exit_code, 3);
  EXPECT_FALSE(it.http_status);
  EXPECT_EQ(it.started_at, began);
  EXPECT_EQ(it.ended_at, clock.now());
  EXPECT_EQ(it.token, report.token);
  const auto attempts = ok(runs().attempts(id));
  ASSERT_EQ(attempts.size(), 1u);
  EXPECT_EQ(attempts[0].number, 1);
  EXPECT_EQ(attempts[0].token, report.token);
  EXPECT_EQ(attempts[0].state, AttemptState::failed);
  EXPECT_EQ(attempts[0].worker.value, "w1");
  EXPECT_EQ(attempts[0].incarnation, kWorker);
  EXPECT_EQ(attempts[0].dispatched_at, it.dispatched_at);
  EXPECT_EQ(attempts[0].started_at, began);
  EXPECT_EQ(attempts[0].ended_at, clock.now());
  EXPECT_EQ(attempts[0].reason, Reason::exit_code);
  EXPECT_EQ(attempts[0].message, "exited with code 3");
  EXPECT_EQ(attempts[0].exit_code, 3);
  EXPECT_EQ(ok(runs().log_lines(id, 1)), 12);
}

TEST_P(DispatchRepositoryContract, Apply_StartTimeInTheReportOfTheEnd_IsKept) {
  const auto id = run_in(RunState::dispatched);
  auto report = ended(id, RunState::succeeded);
  report.started_at = clock.now() - 1s;
  EXPECT_TRUE(apply(report));
  EXPECT_EQ(run(id).started_at, clock.now() - 1s);
  EXPECT_EQ(ok(runs().attempts(id)).at(0).started_at, clock.now() - 1s);
}

TEST_P(DispatchRepositoryContract, Apply_Retry_IsPendingAtItsInstantAndTheNextAttemptIsNumbered) {
  const auto id = run_in(RunState::running);
  EXPECT_TRUE(apply(retried(id, clock.now() + 9s)));
  auto it = run(id);
  EXPECT_EQ(it.state, RunState::pending);
  EXPECT_EQ(it.due_at, clock.now() + 9s);
  EXPECT_EQ(it.attempt, 1);
  EXPECT_EQ(it.lost_attempts, 0);
  EXPECT_EQ(it.token, 1);
  EXPECT_FALSE(it.ended_at);
  EXPECT_EQ(it.reason, Reason::none) << "the run has not ended";
  send(id);
  it = run(id);
  EXPECT_EQ(it.attempt, 2);
  EXPECT_EQ(it.token, 2);
  EXPECT_FALSE(it.started_at) << "of the current attempt";
  EXPECT_TRUE(apply(ended(id, RunState::succeeded)));
  EXPECT_EQ(ok(runs().attempts(id)).size(), 2u);
}

TEST_P(DispatchRepositoryContract, Apply_LostAttempt_CountsApartAndGrowsTheToken) {
  const auto id = run_in(RunState::running);
  const auto late = ended(id, RunState::succeeded);
  EXPECT_TRUE(apply(lost(id, domain::RetryAt{clock.now()})));
  EXPECT_EQ(run(id).lost_attempts, 1);
  EXPECT_EQ(run(id).token, 2);
  EXPECT_FALSE(apply(late)) << "the worker came back with an old token";
  send(id);
  EXPECT_TRUE(apply(lost(id, domain::End{RunState::failed})));
  EXPECT_EQ(run(id).lost_attempts, 2);
  EXPECT_EQ(run(id).reason, Reason::worker_lost);
  EXPECT_EQ(run(id).token, 4);
  EXPECT_EQ(ok(runs().attempts(id)).at(1).state, AttemptState::lost);
}

TEST_P(DispatchRepositoryContract, Apply_Revoke_GrowsTheTokenOfATimedOutRun) {
  const auto id = run_in(RunState::running);
  auto overdue = ended(id, RunState::timed_out);
  overdue.revoke = true;
  EXPECT_TRUE(apply(overdue));
  EXPECT_EQ(run(id).state, RunState::timed_out);
  EXPECT_EQ(run(id).token, 2);
}

TEST_P(DispatchRepositoryContract, Apply_Returned_IsAsIfItHadNotBeenDispatched) {
  const auto id = run_in(RunState::dispatched);
  clock.advance(2s);
  EXPECT_TRUE(apply(Returned{id, 1}));
  const auto it = run(id);
  EXPECT_EQ(it.state, RunState::pending);
  EXPECT_EQ(it.attempt, 0);
  EXPECT_EQ(it.token, 2);
  EXPECT_EQ(it.due_at, clock.now());
  EXPECT_THAT(ok(runs().attempts(id)), IsEmpty());
  EXPECT_FALSE(apply(Returned{id, 1}));
}

TEST_P(DispatchRepositoryContract, Apply_CancelMarkSetAfterTheDecisionToGoOn_EndsTheRunCancelled) {
  const auto again = run_in(RunState::running), rescued = run_in(RunState::running),
             returned = run_in(RunState::dispatched), done = run_in(RunState::running);
  for (const auto id : {again, rescued, returned, done}) ok(runs().cancel(id));
  EXPECT_THAT(ok(dispatch().apply({retried(again, clock.now()), lost(rescued, domain::RetryAt{clock.now()}),
                                   Returned{returned, 1}, ended(done, RunState::succeeded)})),
              ElementsAre(true, true, true, true));
  for (const auto id : {again, rescued, returned}) {
    EXPECT_EQ(run(id).state, RunState::cancelled);
    EXPECT_EQ(run(id).reason, Reason::cancelled_by_user);
    EXPECT_NE(run(id).message, "");
  }
  EXPECT_EQ(state(done), RunState::succeeded) << "a mark never wins over a success";
}

// It once ended failed or timed_out, though the cancel had been acknowledged before.
TEST_P(DispatchRepositoryContract, Apply_CancelMarkSetAfterTheDecisionToEndBadly_EndsTheRunCancelled) {
  const auto failed = run_in(RunState::running), late = run_in(RunState::running), lost_one = run_in(RunState::running);
  for (const auto id : {failed, late, lost_one}) ok(runs().cancel(id));
  EXPECT_THAT(ok(dispatch().apply({ended(failed, RunState::failed), ended(late, RunState::timed_out),
                                   lost(lost_one, domain::End{RunState::failed})})),
              ElementsAre(true, true, true));
  for (const auto id : {failed, late, lost_one}) {
    EXPECT_EQ(run(id).state, RunState::cancelled);
    EXPECT_EQ(run(id).reason, Reason::cancelled_by_user);
  }
}

// It once said worker_lost, though the person who cancelled it is why it is not tried again.
TEST_P(DispatchRepositoryContract, Apply_MarkedRunLosesItsWorker_IsCancelledByTheUser) {
  const auto id = run_in(RunState::running);
  ok(runs().cancel(id));
  EXPECT_THAT(ok(dispatch().apply({lost(id, domain::End{RunState::cancelled})})), ElementsAre(true));
  EXPECT_EQ(run(id).state, RunState::cancelled);
  EXPECT_EQ(run(id).reason, Reason::cancelled_by_user);
}

TEST_P(DispatchRepositoryContract, Apply_EveryKindInOneBatch_EachAsIfAlone) {
  const auto begun = run_in(RunState::dispatched), done = run_in(RunState::running), again = run_in(RunState::running),
             both = run_in(RunState::dispatched), back = run_in(RunState::dispatched),
             marked = run_in(RunState::running), stale = run_in(RunState::running);
  ok(runs().cancel(marked));
  auto late = ended(stale, RunState::succeeded);
  --late.token;
  const auto due_at = run(done).due_at;
  const auto applied =
      ok(dispatch().apply({Started{begun, 1, clock.now()}, ended(done, RunState::succeeded),
                           retried(again, clock.now() + 1s), Started{both, 1, clock.now()}, Returned{back, 1},
                           ended(marked, RunState::succeeded), late, ended(both, RunState::failed)}));
  EXPECT_THAT(applied, ElementsAre(true, true, true, true, true, true, false, true));
  EXPECT_EQ(applied[1].due_at, due_at);
  EXPECT_EQ(state(begun), RunState::running);
  EXPECT_EQ(state(done), RunState::succeeded);
  EXPECT_EQ(state(again), RunState::pending);
  EXPECT_EQ(state(both), RunState::failed);
  EXPECT_EQ(run(both).started_at, clock.now());
  EXPECT_EQ(state(back), RunState::pending);
  EXPECT_EQ(state(marked), RunState::succeeded);
  EXPECT_EQ(state(stale), RunState::running);
  for (const auto id : {done, again, both, marked}) EXPECT_EQ(ok(runs().attempts(id)).size(), 1u);
}

TEST_P(DispatchRepositoryContract, Apply_Batch_OneRefusedItemDoesNotSinkTheRest) {
  const auto a = run_in(RunState::running), b = run_in(RunState::pending), c = run_in(RunState::dispatched);
  EXPECT_THAT(ok(dispatch().apply({ended(a, RunState::succeeded), ended(b, RunState::succeeded),
                                   Ended{.run = RunId{404}, .token = 1, .next = domain::End{}},
                                   Started{c, 1, clock.now()}, ended(c, RunState::failed)})),
              ElementsAre(true, false, false, true, true));
  EXPECT_EQ(state(c), RunState::failed);
}

// ---- dependencies -----------------------------------------------------------------------------------------------

TEST_P(DispatchRepositoryContract, Round_OneUpstream_TheDependantRunsWhenItHasEnded) {
  const auto a = create("a");
  const auto after = create_after("after", {a.id});
  run_to(a.id, RunState::succeeded);
  const auto made = runs_of(after.id);
  ASSERT_EQ(made.size(), 1u);
  EXPECT_EQ(made[0].state, RunState::pending);
  EXPECT_EQ(made[0].trigger, domain::Trigger::dependency);
  EXPECT_EQ(made[0].due_at, clock.now());
  EXPECT_FALSE(made[0].slot);
}

TEST_P(DispatchRepositoryContract, Round_RetriedAttempt_IsNoEndOfTheUpstreamRun) {
  const auto a = create("a");
  const auto after = create_after("after", {a.id});
  const auto id = trigger(a.id);
  send(id);
  apply(retried(id, clock.now()));
  EXPECT_THAT(runs_of(after.id), IsEmpty());
}

TEST_P(DispatchRepositoryContract, Round_TwoUpstreams_AreCompleteWhenEachHasEndedInTheirOrder) {
  const auto a = create("a"), b = create("b");
  const auto after = create_after("after", {a.id, b.id});
  run_to(a.id, RunState::succeeded);
  run_to(a.id, RunState::failed);
  EXPECT_THAT(states_of(after.id), IsEmpty());
  run_to(b.id, RunState::succeeded);
  EXPECT_THAT(states_of(after.id), ElementsAre(RunState::pending)) << "the first run of each";
  run_to(b.id, RunState::succeeded);
  EXPECT_THAT(states_of(after.id), ElementsAre(RunState::pending, RunState::skipped)) << "the second run of a failed";
}

TEST_P(DispatchRepositoryContract, Round_BothUpstreamsEndInOneBatch_MakesOneRun) {
  const auto a = create("a"), b = create("b");
  const auto after = create_after("after", {a.id, b.id});
  const auto first = trigger(a.id), second = trigger(b.id);
  send(first);
  send(second);
  ok(dispatch().apply({ended(first, RunState::succeeded), ended(second, RunState::succeeded)}));
  EXPECT_EQ(runs_of(after.id).size(), 1u);
}

TEST_P(DispatchRepositoryContract, Round_UpstreamEndedBadly_SkipsTheDependantAndNamesIt) {
  const auto a = create("extract");
  const auto after = create_after("load", {a.id});
  const auto id = run_to(a.id, RunState::timed_out);
  const auto skipped = runs_of(after.id).at(0);
  EXPECT_EQ(skipped.state, RunState::skipped);
  EXPECT_EQ(skipped.reason, Reason::dependency_failed);
  EXPECT_THAT(skipped.message, HasSubstr("'extract'"));
  EXPECT_THAT(skipped.message, HasSubstr(std::to_string(id.value)));
  EXPECT_EQ(skipped.ended_at, clock.now());
}

TEST_P(DispatchRepositoryContract, Round_SkippedDependant_IsAnEndedRunForItsOwnDependants) {
  const auto a = create("a");
  const auto b = create_after("b", {a.id});
  const auto c = create_after("c", {b.id});
  const auto anyway = create_after("anyway", {b.id}, domain::TriggerRule::all_done);
  const auto unless = create_after("unless failed", {b.id}, domain::TriggerRule::none_failed);
  run_to(a.id, RunState::failed);
  EXPECT_THAT(states_of(b.id), ElementsAre(RunState::skipped));
  EXPECT_THAT(states_of(c.id), ElementsAre(RunState::skipped));
  EXPECT_THAT(states_of(anyway.id), ElementsAre(RunState::pending));
  EXPECT_THAT(states_of(unless.id), ElementsAre(RunState::pending));
}

TEST_P(DispatchRepositoryContract, Round_LongChainOfSkips_ReachesItsEnd) {
  auto last = create("t0");
  const auto first = last.id;
  for (int i = 1; i <= 200; ++i) last = create_after(fmt::format("t{}", i), {last.id});
  run_to(first, RunState::failed);
  EXPECT_THAT(states_of(last.id), ElementsAre(RunState::skipped));
}

TEST_P(DispatchRepositoryContract, Round_EveryWayToEnd_Counts) {
  const auto a = create("a");
  const auto after = create_after("after", {a.id}, domain::TriggerRule::all_done);
  ok(runs().cancel(trigger(a.id)));
  EXPECT_EQ(runs_of(after.id).size(), 1u) << "cancelled before dispatch";
  const auto gone = trigger(a.id);
  send(gone);
  apply(lost(gone, domain::End{RunState::failed}));
  EXPECT_EQ(runs_of(after.id).size(), 2u) << "given up";
}

TEST_P(DispatchRepositoryContract, Round_PausedDependant_DropsItsRounds) {
  const auto a = create("a");
  auto after = create_after("after", {a.id});
  after.spec.status = domain::TaskStatus::paused;
  after = ok(tasks().update(after, {}));
  run_to(a.id, RunState::succeeded);
  EXPECT_THAT(runs_of(after.id), IsEmpty());
  after.spec.status = domain::TaskStatus::active;
  ok(tasks().update(after, {}));
  EXPECT_THAT(runs_of(after.id), IsEmpty());
  run_to(a.id, RunState::succeeded);
  EXPECT_EQ(runs_of(after.id).size(), 1u);
}

TEST_P(DispatchRepositoryContract, Round_ShardedDependant_RunsAllItsShards) {
  const auto a = create("a");
  auto it = spec("after");
  it.dependencies = {a.id};
  it.shard_count = 3;
  const auto after = create(it);
  const auto first = run_to(a.id, RunState::succeeded);
  EXPECT_EQ(runs_of(after.id).size(), 3u);
  for (const auto& run : runs_of(after.id))
    EXPECT_THAT(ok(runs().upstreams(run.id)),
                ElementsAre(domain::UpstreamRun{a.id, "a", std::nullopt, first, RunState::succeeded}));
}

TEST_P(DispatchRepositoryContract, Round_SeveralRounds_EachRunNamesItsUpstreamRuns) {
  const auto a = create("a"), b = create("b");
  const auto after = create_after("after", {b.id, a.id}, domain::TriggerRule::all_done);
  const auto chained = create_after("chained", {after.id});
  std::vector<RunId> of_a{trigger(a.id), trigger(a.id)}, of_b{trigger(b.id), trigger(b.id)};
  for (const auto id : {of_a[0], of_a[1], of_b[0], of_b[1]}) send(id);
  ok(dispatch().apply({ended(of_a[1], RunState::failed)}));
  ok(dispatch().apply(
      {ended(of_a[0], RunState::succeeded), ended(of_b[0], RunState::succeeded), ended(of_b[1], RunState::timed_out)}));
  const auto made = runs_of(after.id);  // newest first
  ASSERT_EQ(made.size(), 2u);
  EXPECT_THAT(ok(runs().upstreams(made[1].id)),
              ElementsAre(domain::UpstreamRun{b.id, "b", std::nullopt, of_b[0], RunState::succeeded},
                          domain::UpstreamRun{a.id, "a", std::nullopt, of_a[1], RunState::failed}));
  EXPECT_THAT(ok(runs().upstreams(made[0].id)),
              ElementsAre(domain::UpstreamRun{b.id, "b", std::nullopt, of_b[1], RunState::timed_out},
                          domain::UpstreamRun{a.id, "a", std::nullopt, of_a[0], RunState::succeeded}));
  ok(runs().cancel(made[1].id));
  const auto skipped = runs_of(chained.id).at(0);
  EXPECT_EQ(skipped.state, RunState::skipped);
  EXPECT_THAT(ok(runs().upstreams(skipped.id)),
              ElementsAre(domain::UpstreamRun{after.id, "after", std::nullopt, made[1].id, RunState::cancelled}));
  EXPECT_THAT(ok(runs().upstreams(of_a[0])), IsEmpty());
  EXPECT_EQ(error(runs().upstreams(RunId{404})).kind, ErrorKind::RunNotFound);
}

// ---- what upstream runs left ------------------------------------------------------------------------------------

TEST_P(DispatchRepositoryContract, UpstreamOutputs_RunOfARound_HoldWhatEachUpstreamRunLeft) {
  const auto a = create("a"), b = create("b \"quoted\"");
  const auto after = create_after("after", {b.id, a.id}, domain::TriggerRule::all_done);
  const auto good = trigger(a.id), bad = trigger(b.id);
  send(good);
  send(bad);
  auto end = ended(good, RunState::succeeded);
  end.outcome.output = R"({"rows": 12, "text": "ü\u0000\""})";
  EXPECT_THAT(ok(dispatch().apply({end, ended(bad, RunState::failed)})), ElementsAre(true, true));
  const auto due = ok(dispatch().due({"shell"}, 10, 0s));
  ASSERT_EQ(due.size(), 1u);
  EXPECT_TRUE(due[0].has_upstreams);
  EXPECT_EQ(due[0].execution.upstream, std::nullopt) << "read for those alone that are dispatched";
  const auto run = due[0].candidate.run;
  const auto outputs = ok(dispatch().upstream_outputs({run}, 1));
  ASSERT_EQ(outputs.size(), 1u);
  EXPECT_EQ(outputs.at(run).fault, std::nullopt);
  EXPECT_EQ(
      outputs.at(run).json,
      fmt::format(R"({{"a":{{"run_id":{},"state":"succeeded","slot":null,"shard_index":0,"output":)"
                  R"({{"rows": 12, "text": "ü\u0000\""}}}},)"
                  R"("b \"quoted\"":{{"run_id":{},"state":"failed","slot":null,"shard_index":0,"output":null}}}})",
                  good.value, bad.value));
  EXPECT_THAT(ok(dispatch().upstream_outputs({}, 1)), IsEmpty());
  // Asked for again, it finds the same.
  finish(run);
  const auto again = ok(runs().insert({.task = after.id, .retry_of = run})).runs.at(0).id;
  EXPECT_TRUE(ok(dispatch().due({"shell"}, 10, 0s)).at(0).has_upstreams);
  EXPECT_EQ(ok(dispatch().upstream_outputs({again}, 1)).at(again), outputs.at(run));
}

TEST_P(DispatchRepositoryContract, Due_RunThatWaitedForNothing_HasNoUpstreams) {
  trigger(create("a").id);
  const auto due = ok(dispatch().due({"shell"}, 10, 0s));
  ASSERT_EQ(due.size(), 1u);
  EXPECT_FALSE(due[0].has_upstreams);
}

TEST_P(DispatchRepositoryContract, UpstreamOutputs_ManyRuns_AsManyAsFitAreRead) {
  const auto a = create("a");
  create_after("after", {a.id});
  const auto text = R"({"x":")" + std::string(40'000, 'x') + R"("})";
  std::vector<RunId> after;
  for (int i = 0; i < 4; ++i) {
    const auto id = trigger(a.id);
    send(id);
    auto end = ended(id, RunState::succeeded);
    end.outcome.output = text;
    EXPECT_TRUE(apply(end));
  }
  for (const auto& it : ok(dispatch().due({"shell"}, 10, 0s))) after.push_back(it.candidate.run);
  ASSERT_EQ(after.size(), 4u);
  const auto read = [&](std::size_t bytes_max) {
    std::vector<RunId> found;
    const auto outputs = ok(dispatch().upstream_outputs(after, bytes_max));
    for (const auto id : after)
      if (outputs.contains(id)) found.push_back(id);
    return found;
  };
  EXPECT_THAT(read(1), ElementsAre(after[0]));
  EXPECT_THAT(read(100'000), ElementsAre(after[0], after[1]));
  EXPECT_THAT(read(1 << 20), testing::ElementsAreArray(after));
}

// Nothing is cut without a word.
TEST_P(DispatchRepositoryContract, UpstreamOutputs_TooMuchForOneRun_SaySo) {
  std::vector<TaskId> upstreams;
  for (int i = 0; i < 17; ++i) upstreams.push_back(create(fmt::format("a{:02}", i)).id);
  create_after("after", upstreams);
  for (const auto task : upstreams) {
    const auto id = trigger(task);
    send(id);
    auto end = ended(id, RunState::succeeded);
    end.outcome.output = R"({"x":")" + std::string(65'000, 'x') + R"("})";
    EXPECT_TRUE(apply(end));
  }
  const auto due = ok(dispatch().due({"shell"}, 10, 0s));
  ASSERT_EQ(due.size(), 1u);
  const auto id = due[0].candidate.run;
  const auto outputs = ok(dispatch().upstream_outputs({id}, 1 << 24));
  EXPECT_EQ(outputs.at(id).json, std::nullopt);
  EXPECT_EQ(outputs.at(id).fault,
            "the upstream runs left 1105136 bytes together, and 1048576 are the most that is handed "
            "over: let them leave the data elsewhere, and where as their output");
}

// ---- inventory and rescue ---------------------------------------------------------------------------------------

TEST_P(DispatchRepositoryContract, Assigned_OfAnIncarnation_ActiveRunsDispatchedBefore) {
  const auto task = create("a");
  const auto a = trigger(task.id), b = trigger(task.id), c = trigger(task.id), over = trigger(task.id);
  send(b);
  send(a);
  start(a);
  send(over);
  apply(ended(over, RunState::succeeded));
  send(trigger(task.id), IncarnationId{2}, "w2");
  clock.advance(1s);
  send(c);
  ok(runs().cancel(b));
  const auto held = ok(dispatch().assigned(kWorker, clock.now()));
  ASSERT_EQ(held.size(), 2u);
  EXPECT_EQ(held[0].run, a);
  EXPECT_EQ(held[0].state, RunState::running);
  EXPECT_EQ(held[0].token, 1);
  EXPECT_EQ(held[0].incarnation, kWorker);
  EXPECT_EQ(held[0].dispatched_at, clock.now() - 1s);
  EXPECT_FALSE(held[0].missing);
  EXPECT_EQ(held[0].cancel_reason, Reason::none);
  EXPECT_EQ(held[1].run, b);
  EXPECT_EQ(held[1].cancel_reason, Reason::cancelled_by_user);
}

TEST_P(DispatchRepositoryContract, MarkMissing_RunOutOfTheInventory_IsOrphanedAfterTheGrace) {
  hear(beat("w1", kWorker), 3600s);
  const auto lost_one = run_in(RunState::dispatched), found = run_in(RunState::dispatched);
  ok(dispatch().mark_missing({lost_one, found}, {}));
  EXPECT_TRUE(ok(dispatch().assigned(kWorker, clock.now() + 1s)).at(0).missing);
  clock.advance(kMissingGrace - 1s);
  ok(dispatch().mark_missing({lost_one}, {found}));
  EXPECT_THAT(ok(dispatch().to_rescue(10)).orphaned, IsEmpty());
  clock.advance(1s);
  EXPECT_THAT(ids_of(ok(dispatch().to_rescue(10)).orphaned), ElementsAre(lost_one)) << "the first mark counts";
}

TEST_P(DispatchRepositoryContract, MarkMissing_ANewDispatch_ClearsTheMark) {
  hear(beat("w1", kWorker), 3600s);
  const auto id = run_in(RunState::dispatched), over = run_in(RunState::succeeded);
  ok(dispatch().mark_missing({id, over}, {}));
  apply(lost(id, domain::RetryAt{clock.now()}));
  send(id);
  clock.advance(kMissingGrace);
  EXPECT_THAT(ok(dispatch().to_rescue(10)).orphaned, IsEmpty());
}

TEST_P(DispatchRepositoryContract, ToRescue_DeadIncarnation_ItsRunsAreOrphaned) {
  hear(beat("w1", IncarnationId{1}));
  hear(beat("w2", IncarnationId{2}), 3600s);
  const auto task = create("a");
  const auto of_dead = trigger(task.id), of_living = trigger(task.id), running = trigger(task.id);
  send(of_dead, IncarnationId{1}, "w1");
  send(running, IncarnationId{1}, "w1");
  start(running);
  send(of_living, IncarnationId{2}, "w2");
  EXPECT_THAT(ok(dispatch().to_rescue(10)).orphaned, IsEmpty());
  clock.advance(30s);
  ok(workers().expire());
  const auto view = ok(dispatch().to_rescue(10));
  EXPECT_EQ(view.now, clock.now());
  EXPECT_THAT(ids_of(view.orphaned), ElementsAre(of_dead, running));
  EXPECT_EQ(ok(dispatch().to_rescue(1)).orphaned.size(), 1u);
}

TEST_P(DispatchRepositoryContract, ToRescue_PastTimeoutAndGrace_IsOverdue) {
  hear(beat("w1", kWorker), 36000s);
  auto it = spec("a");
  it.timeout = 60s;
  const auto task = create(it);
  const auto running = trigger(task.id), queued = trigger(task.id);
  send(running);
  send(queued);
  start(running);
  clock.advance(60s + kOverdueGrace - 1s);
  EXPECT_THAT(ok(dispatch().to_rescue(10)).overdue, IsEmpty());
  clock.advance(1s);
  EXPECT_THAT(ids_of(ok(dispatch().to_rescue(10)).overdue), ElementsAre(running)) << "not what has not begun";
}

}  // namespace scheduler::contract
