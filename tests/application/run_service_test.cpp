#include "application/services_world.hpp"

#include <boost/asio/co_spawn.hpp>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

namespace scheduler::application {
namespace {

class Runs : public ServicesWorld {
 protected:
  RunId running() { return store.add_held_run(store.add_task({}), {"w1"}, {1}, RunState::running); }
  void end(RunId id, RunState state = RunState::succeeded) {
    store.run_rows.at(id).state = state;
    store.run_rows.at(id).ended_at = clock.now();
  }
  void chunk(RunId id, int attempt, std::int64_t first_line, int lines) {
    store.log_rows.push_back({.run = id, .attempt = attempt, .first_line = first_line, .lines = lines, .text = "x"});
  }

  // Something that takes time.
  template <class T>
  struct Begun {
    std::optional<SchedulerResult<T>> result;
  };
  template <class T>
  std::shared_ptr<Begun<T>> begin(Async<T> work) {
    auto begun = std::make_shared<Begun<T>>();
    asio::co_spawn(io, std::move(work), [begun](std::exception_ptr thrown, SchedulerResult<T> value) {
      if (thrown) std::rethrow_exception(thrown);
      begun->result = std::move(value);
    });
    timer.settle();
    return begun;
  }

  std::unique_ptr<RunService> runs = factory.create_run_service();
};

TEST_F(Runs, Wait_RunHasEnded_ReturnsAtOnce) {
  const auto id = running();
  end(id);
  EXPECT_EQ(run(runs->wait(id, 30s))->state, RunState::succeeded);
  EXPECT_EQ(kind(run(runs->wait(RunId{99}, 30s))), ErrorKind::RunNotFound);
}

TEST_F(Runs, Output_WhereThereIsNone_SaysWhy) {
  const auto id = running();
  const auto message = [&] { return run(runs->output(id)).error().message; };
  EXPECT_EQ(kind(run(runs->output(id))), ErrorKind::NotFound);
  EXPECT_EQ(message(), "run 1 has no output: it is running, and leaves one when it has succeeded");
  end(id);
  EXPECT_EQ(message(), "run 1 has no output: it succeeded and wrote none");
  store.output_rows[id] = R"({"a":1})";
  EXPECT_EQ(run(runs->output(id)), R"({"a":1})");
  store.output_rows.clear();
  end(id, RunState::timed_out);
  EXPECT_EQ(message(), "run 1 has no output: it ended timed_out, and only a run that succeeds leaves one");
  EXPECT_EQ(kind(run(runs->output(RunId{99}))), ErrorKind::RunNotFound);
}

TEST_F(Runs, Why_LooksAtWorkersAndEarlierRuns) {
  const auto task = store.add_task({.name = "a", .task_type = "shell"});
  const auto first = store.add_held_run(task, {"w1"}, {1}, RunState::running);
  const auto second = store.add_run(task, RunState::waiting);
  const auto codes = [&](RunId id) {
    std::vector<std::string_view> all;
    for (const auto& it : run(runs->why(id))->gates) all.push_back(name_of(it.code));
    return all;
  };
  EXPECT_THAT(codes(second), ElementsAre("overlap", "no_worker"));
  EXPECT_THAT(codes(first), ElementsAre("worker_silent"));
  store.add_worker({.id = {"w1"},
                    .incarnation = {1},
                    .task_types = {"shell"},
                    .slots = 1,
                    .capacity = 1,
                    .heartbeat_at = clock.now(),
                    .heartbeat_due = clock.now() + 30s});
  EXPECT_THAT(codes(first), ElementsAre("running"));
  EXPECT_THAT(codes(second), ElementsAre("overlap", "slots_busy")) << "what the store says it holds counts";
  EXPECT_THAT(run(runs->why(second))->gates[0].runs, ElementsAre(first));
  end(first);
  EXPECT_THAT(codes(first), ElementsAre("ended_well"));
  EXPECT_EQ(kind(run(runs->why(RunId{99}))), ErrorKind::RunNotFound);
}

TEST_F(Runs, Wait_RunEndsMeanwhile_ReturnsSoonAfter) {
  const auto id = running();
  const auto waiting = begin(runs->wait(id, 30s));
  timer.advance(12s);
  EXPECT_FALSE(waiting->result);
  end(id, RunState::failed);
  timer.advance(100ms);
  ASSERT_TRUE(waiting->result);
  EXPECT_EQ(waiting->result->value().state, RunState::failed);
}

TEST_F(Runs, Wait_RunGoesOn_ReturnsItAsItIsAtTheDeadline) {
  const auto id = running();
  EXPECT_EQ(run(runs->wait(id, 0s))->state, RunState::running);
  const auto waiting = begin(runs->wait(id, 30s));
  timer.advance(30s - 1us);
  EXPECT_FALSE(waiting->result);
  timer.advance(1us);
  ASSERT_TRUE(waiting->result);
  EXPECT_EQ(waiting->result->value().state, RunState::running);
}

TEST_F(Runs, Wait_LongerThanAMinute_IsCut) {
  const auto waiting = begin(runs->wait(running(), 24h));
  timer.advance(60s);
  EXPECT_TRUE(waiting->result);
}

TEST_F(Runs, Wait_StoreFails_SaysSo) {
  const auto waiting = begin(runs->wait(running(), 30s));
  faults.fail_while([](std::string_view) { return true; });
  timer.advance(1s);
  ASSERT_TRUE(waiting->result);
  EXPECT_EQ(kind(*waiting->result), ErrorKind::Unavailable);
}

TEST_F(Runs, Logs_Completeness_NeedsTheEndAndItsLastLine) {
  enum class Run { goes_on, ended };
  const struct {
    std::string_view name;
    Run run;
    std::optional<std::int64_t> total;  // the attempt has ended with so many lines
    int lines;                          // that are there
    std::int64_t after;
    Micros since_end;
    bool complete;
  } rows[] = {
      {"nothing ended", Run::goes_on, std::nullopt, 3, 0, 0s, false},
      {"ended, all is there", Run::ended, 3, 3, 0, 0s, true},
      {"ended, and all of it was read before", Run::ended, 3, 3, 3, 0s, true},
      {"ended without output", Run::ended, 0, 0, 0, 0s, true},
      {"ended, but lines are on their way", Run::ended, 5, 3, 0, 0s, false},
      {"the reader has those that are there", Run::ended, 5, 3, 3, 4s, false},
      {"the rest is not coming any more", Run::ended, 5, 3, 3, 6s, true},
      {"it is not, but the reader is behind", Run::ended, 5, 3, 0, 6s, false},
      {"the attempt ended, another one follows", Run::goes_on, 3, 3, 0, 0s, false},
  };
  for (const auto& row : rows) {
    const auto id = running();
    if (row.total) store.line_counts[{id, 1}] = *row.total;
    if (row.lines > 0) chunk(id, 1, 1, row.lines);
    if (row.run == Run::ended) end(id);
    clock.advance(row.since_end);
    const auto page = run(runs->logs(id, std::nullopt, row.after));
    ASSERT_TRUE(page) << row.name;
    EXPECT_EQ(page->complete, row.complete) << row.name;
    EXPECT_EQ(page->attempt, 1) << row.name;
    EXPECT_EQ(page->chunks.size(), row.after < row.lines ? 1u : 0u) << row.name;
  }
}

TEST_F(Runs, Logs_Attempt_MustHaveBeen) {
  const auto id = running();
  store.run_rows.at(id).attempt = 2;
  chunk(id, 1, 1, 1);
  chunk(id, 2, 1, 1);
  chunk(id, 2, 2, 1);
  EXPECT_EQ(run(runs->logs(id, std::nullopt, 0))->attempt, 2) << "the last one";
  EXPECT_THAT(run(runs->logs(id, std::nullopt, 0))->chunks, SizeIs(2));
  EXPECT_THAT(run(runs->logs(id, 1, 0))->chunks, SizeIs(1));
  for (const int attempt : {0, -1, 3}) EXPECT_THAT(pointers(run(runs->logs(id, attempt, 0))), ElementsAre("attempt"));
}

TEST_F(Runs, Logs_NeverDispatched_AreEmptyAndCompleteOnceItEnded) {
  const auto id = store.add_run(store.add_task({}));
  EXPECT_FALSE(run(runs->logs(id, std::nullopt, 0))->complete);
  EXPECT_FALSE(run(runs->logs(id, 1, 0))->complete);
  end(id, RunState::cancelled);
  EXPECT_TRUE(run(runs->logs(id, std::nullopt, 0))->complete);
  EXPECT_TRUE(run(runs->logs(id, 1, 0))->complete) << "nobody waits for lines that never come";
}

TEST_F(Runs, FollowLogs_LinesCome_ReturnsThem) {
  const auto id = running();
  const auto waiting = begin(runs->follow_logs(id, std::nullopt, 0, 30s));
  timer.advance(10s);
  EXPECT_FALSE(waiting->result);
  chunk(id, 1, 1, 2);
  timer.advance(200ms);
  ASSERT_TRUE(waiting->result);
  EXPECT_THAT(waiting->result->value().chunks, SizeIs(1));
}

TEST_F(Runs, FollowLogs_NothingComes_ReturnsAtTheDeadlineOrTheEnd) {
  const auto id = running();
  const auto first = begin(runs->follow_logs(id, std::nullopt, 0, 30s));
  timer.advance(30s);
  ASSERT_TRUE(first->result);
  EXPECT_FALSE(first->result->value().complete);
  const auto second = begin(runs->follow_logs(id, std::nullopt, 0, 30s));
  end(id);
  store.line_counts[{id, 1}] = 0;
  timer.advance(200ms);
  ASSERT_TRUE(second->result);
  EXPECT_TRUE(second->result->value().complete);
}

class Workers : public ServicesWorld {};

TEST_F(Workers, Drain_AndBack_ChangesTheState) {
  const auto workers = factory.create_worker_service();
  store.add_worker({.id = {"w1"}, .incarnation = {1}});
  EXPECT_EQ(run(workers->drain({"w1"}))->state, domain::WorkerState::draining);
  EXPECT_EQ(run(workers->undrain({"w1"}))->state, domain::WorkerState::alive);
  store.worker_rows.at({1}).info.state = domain::WorkerState::dead;
  EXPECT_EQ(kind(run(workers->drain({"w1"}))), ErrorKind::Conflict);
  EXPECT_EQ(kind(run(workers->drain({"w9"}))), ErrorKind::WorkerNotFound);
}

class System : public ServicesWorld {
 protected:
  // "store ok, message_queue ok, dispatchers ok, workers not ok"
  std::pair<bool, std::string> health() {
    const auto health = run_on(io, system->health());
    std::string text;
    for (const auto& it : health.checks) text += (text.empty() ? "" : ", ") + it.name + (it.ok ? " ok" : " not ok");
    return {health.ready, text};
  }
  std::unique_ptr<SystemService> system = factory.create_system_service();
};

TEST_F(System, Health_EachPart_CountsAsItShould) {
  using ::testing::Pair;
  store.dispatcher_rows[{1}] = {clock.now(), clock.now() + 1h};
  EXPECT_THAT(health(), Pair(true, "store ok, message_queue ok, dispatchers ok, workers not ok"))
      << "without workers runs wait";
  store.add_worker({.id = {"w1"}, .incarnation = {1}});
  EXPECT_THAT(health(), Pair(true, "store ok, message_queue ok, dispatchers ok, workers ok"));
  store.worker_rows.at({1}).info.state = domain::WorkerState::dead;
  EXPECT_THAT(health(), Pair(true, "store ok, message_queue ok, dispatchers ok, workers not ok"));
  faults.fail_while([](std::string_view call) { return call == "check_writable"; });
  EXPECT_THAT(health(), Pair(false, "store not ok, message_queue ok, dispatchers ok, workers not ok"));
}

// An API whose broker was away was taken out of service, though it could have gone on writing rows.
TEST_F(System, Health_BrokerAway_WarnsAndTellsOfTheCircuit) {
  faults.fail_while([](std::string_view call) { return call.starts_with("depth") || call.starts_with("publish"); });
  EXPECT_THAT(health(), ::testing::Pair(true, ::testing::HasSubstr("message_queue not ok")));
  const auto seen = run_on(io, system->health());
  EXPECT_FALSE(seen.checks.at(0).circuit) << "this store is part of the process";
  const auto& queue_check = seen.checks.at(1);
  ASSERT_TRUE(queue_check.circuit);
  EXPECT_EQ(queue_check.circuit->state, Circuit::State::open);
  EXPECT_EQ(queue_check.circuit->since, clock.now());
  EXPECT_EQ(queue_check.circuit->last_error, FaultInjector::error("publish nudge").error().message);
  EXPECT_THAT(queue_check.message, ::testing::HasSubstr("away since 2026-01-01T00:00:00Z"));
}

// An API said that all was well while nobody dispatched.
TEST_F(System, Health_NoDispatcherLives_IsAWarningThatSaysSinceWhen) {
  const auto dispatchers = [&]() -> HealthCheck { return run_on(io, system->health()).checks.at(2); };
  EXPECT_FALSE(dispatchers().ok);
  EXPECT_EQ(dispatchers().message,
            "no dispatcher lives (none was seen in the last day): nothing fires, and runs wait until one starts");
  store.dispatcher_rows[{1}] = {clock.now(), clock.now() + 20s};
  EXPECT_TRUE(dispatchers().ok);
  EXPECT_EQ(dispatchers().message, "1 lives");
  clock.advance(20s);
  EXPECT_EQ(
      dispatchers().message,
      "no dispatcher lives (the last one was seen at 2026-01-01T00:00:00Z): nothing fires, and runs wait until one "
      "starts");
  EXPECT_TRUE(health().first) << "requests are taken";
}

TEST_F(System, Health_WorkersThatTakeNothing_AreAWarningWithAReason) {
  const auto workers = [&]() -> HealthCheck { return run_on(io, system->health()).checks.at(3); };
  EXPECT_EQ(workers().message, "no worker takes new work: none is alive; runs wait until one starts");
  store.add_worker({.id = {"w1"}, .incarnation = {1}});
  store.add_worker({.id = {"w2"}, .incarnation = {2}, .state = domain::WorkerState::draining});
  store.add_worker({.id = {"w3"}, .incarnation = {3}, .state = domain::WorkerState::dead});
  EXPECT_EQ(workers().message, "1 of 2 take new work");
  EXPECT_TRUE(workers().ok);
  store.worker_rows.at({1}).info.state = domain::WorkerState::dead;
  EXPECT_EQ(
      workers().message,
      "no worker takes new work: the only one is draining; runs wait until one is undrained or another one starts");
  EXPECT_FALSE(workers().ok);
  EXPECT_TRUE(health().first) << "an operator's choice does not make the process unready";
  store.worker_rows.at({1}).info.state = domain::WorkerState::draining;
  EXPECT_TRUE(workers().message.starts_with("no worker takes new work: all 2 are draining; ")) << workers().message;
}

TEST_F(System, Health_WorkersCannotBeRead_SaysWhy) {
  store.add_worker({.id = {"w1"}, .incarnation = {1}});
  faults.fail_while([](std::string_view call) { return call == "workers.list"; });
  const auto check = run_on(io, system->health()).checks.at(3);
  EXPECT_FALSE(check.ok);
  EXPECT_EQ(check.message, FaultInjector::error("workers.list").error().message);
}

TEST_F(System, Stats_DeadWorkers_DoNotCount) {
  store.add_worker({.id = {"w1"}, .incarnation = {1}, .slots = 4, .busy = 3});
  store.add_worker({.id = {"w2"}, .incarnation = {2}, .slots = 8, .state = domain::WorkerState::dead});
  store.add_worker({.id = {"w3"}, .incarnation = {3}, .slots = 2, .state = domain::WorkerState::draining});
  store.add_run(store.add_task({}));
  const auto stats = run(system->stats());
  ASSERT_TRUE(stats);
  EXPECT_EQ(stats->workers_alive, 2);
  EXPECT_EQ(stats->slots, 6);
  EXPECT_EQ(stats->slots_busy, 3);
  EXPECT_EQ(stats->store.active_runs.at("pending"), 1);
}

}  // namespace
}  // namespace scheduler::application
