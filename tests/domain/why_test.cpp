#include "domain/why.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <string_view>
#include <vector>

using namespace scheduler;
using namespace scheduler::domain;
using namespace std::chrono_literals;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

namespace {

constexpr TimePoint kNow{1'000'000s};

WorkerLoad worker(std::string id, int in_flight = 0) {
  WorkerLoad it;
  it.worker.id = {std::move(id)};
  it.worker.incarnation = {7};
  it.worker.slots = 2;
  it.worker.capacity = 4;
  it.worker.task_types = {"shell"};
  it.worker.heartbeat_at = kNow - 2s;
  it.worker.heartbeat_due = kNow + 30s;
  it.in_flight = in_flight;
  return it;
}

// A pending run that was due a second ago, of a task of type shell; one idle worker.
WhyView pending() {
  WhyView view{.now = kNow, .route = "shell", .workers = {worker("w1")}};
  view.run.id = RunId{12};
  view.run.created_at = view.run.due_at = kNow - 1s;
  return view;
}

WhyView held(RunState state) {
  auto view = pending();
  view.run.state = state;
  view.run.attempt = 2;
  view.run.worker = WorkerId{"w1"};
  view.run.incarnation = IncarnationId{7};
  view.run.dispatched_at = kNow - 1s;
  return view;
}

std::string codes(const std::vector<Gate>& gates) {
  std::string all;
  for (const auto& it : gates) all += (all.empty() ? "" : " ") + std::string(name_of(it.code));
  return all;
}

}  // namespace

TEST(Why, RunThatHasNotStarted_NamesEveryClosedGateInOrder) {
  const struct {
    std::string_view name;
    std::function<void(WhyView&)> change;
    std::string_view codes, sentence;
  } rows[] = {
      {"nothing holds it", [](auto&) {}, "not_dispatched", "about to be given"},
      {"nobody gives it out", [](auto& it) { it.run.due_at = kNow - 10s; }, "not_dispatched", "no dispatcher"},
      {"as many go as may",
       [](auto& it) {
         it.run.state = RunState::waiting;
         it.run.waits_for = Wait::limit;
         it.limit = 2;
         it.earlier = {RunId{10}, RunId{11}};
       },
       "limit", "max_concurrent_runs: 2 of 2 in use by runs 10, 11"},
      {"more go than can be named",
       [](auto& it) {
         it.run.state = RunState::waiting;
         it.run.waits_for = Wait::limit;
         it.limit = 100;
         it.earlier = {RunId{10}};
       },
       "limit", "100 of 100 in use by runs 10, …"},
      {"for later, under a limit",
       [](auto& it) {
         it.run.state = RunState::waiting;
         it.run.waits_for = Wait::time;
         it.run.due_at = kNow + 60s;
       },
       "not_due", "1970-01-12T13:47:40Z"},
      {"its time has not come", [](auto& it) { it.run.due_at = kNow + 60s; }, "not_due", "1970-01-12T13:47:40Z"},
      {"after a failed attempt",
       [](auto& it) {
         it.run.due_at = kNow + 60s;
         it.run.attempt = 1;
       },
       "backoff", "attempt 2 is due at 1970-01-12T13:47:40Z"},
      {"nobody is there", [](auto& it) { it.workers.clear(); }, "no_worker", "no worker is alive"},
      {"only dead ones are", [](auto& it) { it.workers[0].worker.state = WorkerState::dead; }, "no_worker", ""},
      {"another type", [](auto& it) { it.route = "python|gpu=yes"; }, "no_worker_for_type",
       "none of 1 worker executes the type 'python'"},
      {"other labels", [](auto& it) { it.route = "shell|gpu=yes"; }, "no_worker_for_labels", "gpu=yes"},
      {"draining", [](auto& it) { it.workers[0].worker.state = WorkerState::draining; }, "workers_draining",
       "1 worker could take it, but it is to take nothing new"},
      {"full", [](auto& it) { it.workers = {worker("w1", 4), worker("w2", 5)}; }, "slots_busy",
       "2 workers could take it, but all are full: 9 runs there now"},
      {"one of them is not", [](auto& it) { it.workers = {worker("w1", 4), worker("w2", 3)}; }, "not_dispatched", ""},
      {"neither time nor worker",
       [](auto& it) {
         it.run.due_at = kNow + 60s;
         it.workers.clear();
       },
       "not_due no_worker", ""},
      {"the broker is away", [](auto& it) { it.queue_away = true; }, "queue_away not_dispatched",
       "message queue is away"},
      {"an earlier run goes", [](auto& it) { it.run.state = RunState::waiting; }, "overlap", "an earlier run"},
      {"and nobody could take it either",
       [](auto& it) {
         it.run.state = RunState::waiting;
         it.workers.clear();
       },
       "overlap no_worker", ""},
      {"an upstream run goes",
       [](auto& it) {
         it.run.state = RunState::waiting;
         it.run.waits_for = Wait::upstreams;
         it.upstreams = {{TaskId{1}, "extract", {}, RunId{4}, RunState::succeeded},
                         {TaskId{2}, "check", {}, RunId{5}, {}}};
       },
       "dependency", "it waits for run 5 of 'check' to end"},
      {"an upstream has not fired yet",
       [](auto& it) {
         it.run.state = RunState::waiting;
         it.run.waits_for = Wait::upstreams;
         it.upstreams = {{TaskId{1}, "extract", kNow, {}, {}}, {TaskId{2}, "check", {}, {}, {}}};
       },
       "dependency", "the next run of 'check'"},
      {"all upstreams have ended, an earlier run goes",
       [](auto& it) {
         it.run.state = RunState::waiting;
         it.run.waits_for = Wait::overlap;
         it.upstreams = {{TaskId{1}, "extract", kNow, RunId{4}, RunState::succeeded}};
       },
       "overlap", "an earlier run"},
  };
  for (const auto& row : rows) {
    auto view = pending();
    row.change(view);
    const auto gates = why(view);
    EXPECT_EQ(codes(gates), row.codes) << row.name;
    EXPECT_THAT(gates.at(0).sentence, HasSubstr(std::string(row.sentence))) << row.name;
  }
}

TEST(Why, ClosedGate_HasItsEvidence) {
  auto view = pending();
  view.run.due_at = kNow + 60s;
  const auto later = why(view).at(0);
  EXPECT_EQ(later.opens_at, kNow + 60s);
  EXPECT_EQ(later.since, kNow - 1s);
  EXPECT_THAT(later.remedy, IsEmpty()) << "it opens by itself";

  view = pending();
  for (int i = 0; i < 20; ++i) view.workers.push_back(worker("x" + std::to_string(i)));
  view.route = "python";
  const auto type = why(view).at(0);
  EXPECT_EQ(type.since, view.run.due_at);
  EXPECT_EQ(type.workers.size(), kWhyWorkersMax);
  EXPECT_THAT(type.remedy, HasSubstr("start a worker with 'python'"));

  view = pending();
  view.run.state = RunState::waiting;
  view.earlier = {RunId{3}, RunId{5}};
  EXPECT_THAT(why(view).at(0).runs, ElementsAre(RunId{3}, RunId{5}));

  view.run.waits_for = Wait::upstreams;
  for (int i = 1; i <= 20; ++i) view.upstreams.push_back({TaskId{1}, "up", kNow, RunId{i}, {}});
  const auto upstreams = why(view).at(0);
  EXPECT_EQ(upstreams.runs.size(), kWhyRunsMax);
  EXPECT_THAT(upstreams.sentence, HasSubstr("and 17 more"));
  EXPECT_THAT(upstreams.remedy, HasSubstr("scheduler-cli run upstreams"));
}

TEST(Why, RunWithItsWorker_SaysWhatTheWorkerDoes) {
  const struct {
    std::string_view name;
    RunState state;
    std::function<void(WhyView&)> change;
    std::string_view codes, sentence;
  } rows[] = {
      {"it goes", RunState::running, [](auto&) {}, "running", "attempt 2 runs on worker 'w1'"},
      {"others go first", RunState::dispatched, [](auto& it) { it.workers[0].worker.busy = 2; }, "waiting_for_slot",
       "runs 2 of 2 slots"},
      {"to be stopped", RunState::running, [](auto& it) { it.run.cancel_reason = Reason::cancelled_by_user; },
       "cancelling", "to be stopped"},
      {"nobody hears it", RunState::running,
       [](auto& it) {
         it.workers[0].worker.heartbeat_due = kNow;
         it.queue_away = true;
       },
       "queue_away", "nobody is declared dead"},
      {"silent", RunState::running, [](auto& it) { it.workers[0].worker.heartbeat_due = kNow; }, "worker_silent",
       "not been heard of since"},
      {"dead", RunState::dispatched, [](auto& it) { it.workers[0].worker.state = WorkerState::dead; }, "worker_silent",
       "is gone"},
      {"started anew", RunState::running, [](auto& it) { it.workers[0].worker.incarnation = {8}; }, "worker_silent",
       "is gone"},
      {"dead, and to be stopped", RunState::running,
       [](auto& it) {
         it.run.cancel_reason = Reason::cancelled_by_user;
         it.workers.clear();
       },
       "cancelling worker_silent", ""},
  };
  for (const auto& row : rows) {
    auto view = held(row.state);
    row.change(view);
    const auto gates = why(view);
    EXPECT_EQ(codes(gates), row.codes) << row.name;
    EXPECT_THAT(gates.at(0).sentence, HasSubstr(std::string(row.sentence))) << row.name;
    EXPECT_THAT(gates.at(0).workers, ElementsAre(WorkerId{"w1"})) << row.name;
  }
}

TEST(Why, RunThatHasEnded_SaysHow) {
  auto view = held(RunState::failed);
  view.run.reason = Reason::exit_code;
  view.run.message = "exit code 3";
  view.run.ended_at = kNow;
  const auto gates = why(view);
  EXPECT_EQ(codes(gates), "exit_code");
  EXPECT_EQ(gates[0].sentence, "it failed after 2 attempts: exit code 3");
  EXPECT_THAT(gates[0].remedy, HasSubstr("run logs 12"));
  EXPECT_EQ(gates[0].since, kNow);

  view.run.state = RunState::succeeded;
  view.run.reason = Reason::none;
  view.run.message = "";
  view.run.attempt = 1;
  EXPECT_EQ(why(view).at(0).sentence, "it succeeded");
}

TEST(WhyTask, NextRun_SaysWhatStartsItAndWhatWouldHoldIt) {
  const struct {
    std::string_view name;
    std::function<void(TaskWhyView&)> change;
    std::string_view codes, sentence;
  } rows[] = {
      {"on time", [](auto&) {}, "not_due", "fires at 1970-01-12T13:47:40Z"},
      {"nobody fires it", [](auto& it) { it.task.next_fire_at = kNow - 10s; }, "not_fired", "no dispatcher"},
      {"paused", [](auto& it) { it.task.spec.status = TaskStatus::paused; }, "task_paused", "paused"},
      {"over", [](auto& it) { it.task.next_fire_at.reset(); }, "never_again", "'@hourly' names no time"},
      {"unreadable", [](auto& it) { it.set_aside = "there is no such zone"; }, "set_aside", "no such zone"},
      {"by hand", [](auto& it) { it.task.spec.schedule.reset(); }, "no_trigger", "no schedule"},
      {"after others",
       [](auto& it) {
         it.task.spec.schedule.reset();
         it.task.spec.dependencies = {TaskId{3}, TaskId{4}};
       },
       "after_upstreams", "its 2 upstream tasks have ended, trigger rule all_success"},
      {"a run goes on", [](auto& it) { it.active = {RunId{5}}; }, "not_due overlap", ""},
      {"and it waits for others then", [](auto& it) { it.task.spec.dependencies = {TaskId{1}}; },
       "not_due after_upstreams", ""},
      {"which does not matter",
       [](auto& it) {
         it.active = {RunId{5}};
         it.task.spec.overlap_policy = OverlapPolicy::allow;
       },
       "not_due", ""},
      {"nobody could take it", [](auto& it) { it.workers.clear(); }, "not_due no_worker", ""},
  };
  for (const auto& row : rows) {
    TaskWhyView view{.now = kNow, .task = {}, .workers = {worker("w1")}, .active = {}};
    view.task.spec.name = "a";
    view.task.spec.task_type = "shell";
    view.task.spec.schedule = "@hourly";
    view.task.next_fire_at = kNow + 60s;
    row.change(view);
    const auto gates = why(view);
    EXPECT_EQ(codes(gates), row.codes) << row.name;
    EXPECT_THAT(gates.at(0).sentence, HasSubstr(std::string(row.sentence))) << row.name;
  }
}

TEST(Why, EveryReason_HasACode) {
  for (std::size_t i = 0; i < enum_names(Reason{}).size(); ++i) {
    auto view = held(RunState::failed);
    view.run.reason = static_cast<Reason>(i);
    const auto code = name_of(why(view).at(0).code);
    if (view.run.reason == Reason::none)
      EXPECT_EQ(code, "ended_well");
    else
      EXPECT_TRUE(code.starts_with(name_of(view.run.reason))) << code;
  }
}
