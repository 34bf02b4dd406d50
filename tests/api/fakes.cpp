#include "api/fakes.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/this_coro.hpp>
#include <fmt/format.h>

namespace scheduler::api {

using application::LogChunk;
using application::LogPage;
using application::NewRuns;
using application::Page;
using application::Paging;
using domain::Task;
using domain::TaskRun;

namespace {

template <class Row, class Passes>
Page<Row> page_of(const std::map<std::int64_t, Row>& rows, Paging paging, Passes passes) {
  Page<Row> page;
  std::int64_t skip = paging.offset;
  for (auto it = rows.rbegin(); it != rows.rend(); ++it) {
    if (!passes(it->second) || (paging.before && it->first >= *paging.before) || skip-- > 0) continue;
    if (page.items.size() == static_cast<std::size_t>(paging.limit)) {
      page.next_cursor = page.items.back().id.value;
      break;
    }
    page.items.push_back(it->second);
  }
  return page;
}

}  // namespace

SchedulerResult<Task*> FakeTasks::row(TaskId id) {
  const auto found = rows.find(id.value);
  if (found == rows.end()) return fail(ErrorKind::TaskNotFound, fmt::format("there is no task {}", id.value));
  return &found->second;
}

SchedulerResult<domain::TaskSpec> FakeTasks::check(application::TaskDraft draft, TaskId own) {
  auto faults = std::move(draft.faults);
  for (auto& fault : domain::validate(draft.spec))
    if (std::ranges::none_of(faults, [&](const FieldError& it) { return it.pointer == fault.pointer; }))
      faults.push_back(std::move(fault));
  for (std::size_t i = 0; i < draft.dependencies.size(); ++i) {
    const auto& reference = draft.dependencies[i];
    const auto found = std::ranges::find_if(rows, [&](const auto& row) {
      const auto* id = std::get_if<TaskId>(&reference);
      return id != nullptr ? row.second.id == *id : row.second.spec.name == std::get<std::string>(reference);
    });
    if (found == rows.end())
      faults.push_back({fmt::format("/dependencies/{}", i), "there is no such task"});
    else
      draft.spec.dependencies.push_back(found->second.id);
  }
  if (!faults.empty()) {
    auto message = faults.front().pointer + ": " + faults.front().message;
    return fail(ErrorKind::Validation, std::move(message), std::move(faults));
  }
  for (const auto& [id, task] : rows)
    if (task.spec.name == draft.spec.name && task.id != own)
      return fail(ErrorKind::DuplicateTaskName, fmt::format("a task named '{}' exists", draft.spec.name));
  return std::move(draft.spec);
}

Async<Task> FakeTasks::create(application::TaskDraft draft) {
  if (broken) co_return std::unexpected(*broken);
  const auto draft_owner = draft.owner;
  auto spec = check(std::move(draft), TaskId{});
  if (!spec) co_return std::unexpected(spec.error());
  Task task{.id = {rows.empty() ? 1 : rows.rbegin()->first + 1}, .spec = *spec, .created_at = kNow, .updated_at = kNow};
  if (task.spec.schedule) task.next_fire_at = kNow + std::chrono::hours(2);
  task.owner = draft_owner;
  rows[task.id.value] = task;
  co_return task;
}

Async<Task> FakeTasks::update(TaskId id, application::TaskDraft draft, std::optional<std::int64_t> if_version) {
  auto found = row(id);
  if (!found) co_return std::unexpected(found.error());
  auto& task = **found;
  if (overtaken > 0) {
    --overtaken;
    ++task.version;
  }
  if (if_version && *if_version != task.version) co_return fail(ErrorKind::PreconditionFailed, "the task has changed");
  auto spec = check(std::move(draft), id);
  if (!spec) co_return std::unexpected(spec.error());
  task.spec = *spec;
  ++task.version;
  if (!task.spec.schedule) task.next_fire_at.reset();
  co_return task;
}

Async<Task> FakeTasks::get(TaskId id) {
  if (broken) co_return std::unexpected(*broken);
  auto found = row(id);
  if (!found) co_return std::unexpected(found.error());
  co_return **found;
}

Async<Task> FakeTasks::find(std::string name) {
  for (const auto& [id, task] : rows)
    if (task.spec.name == name) co_return task;
  co_return fail(ErrorKind::TaskNotFound, "there is no such task");
}

Async<Page<Task>> FakeTasks::list(application::TaskFilter filter, Paging paging) {
  auto page = page_of(rows, paging, [&](const Task& task) {
    const auto& spec = task.spec;
    return (!filter.status || spec.status == *filter.status) &&
           (!filter.task_type || spec.task_type == *filter.task_type) &&
           (!filter.name_contains || spec.name.contains(*filter.name_contains)) &&
           (!filter.label ||
            (spec.labels.contains(filter.label->first) && spec.labels.at(filter.label->first) == filter.label->second));
  });
  page.total = static_cast<std::int64_t>(rows.size());
  co_return page;
}

Async<void> FakeTasks::archive(TaskId id, std::optional<std::int64_t> if_version) {
  auto found = row(id);
  if (!found) co_return std::unexpected(found.error());
  if (if_version && *if_version != (*found)->version)
    co_return fail(ErrorKind::PreconditionFailed, "the task has changed");
  rows.erase(id.value);
  deleted.insert(id.value);
  co_return SchedulerResult<void>{};
}

Async<void> FakeTasks::check_history(TaskId id) {
  if (!deleted.contains(id.value)) CO_ENSURE(row(id));
  co_return SchedulerResult<void>{};
}

Async<std::vector<TimePoint>> FakeTasks::next(TaskId id, std::optional<TimePoint> from, int count) {
  auto found = row(id);
  if (!found) co_return std::unexpected(found.error());
  std::vector<TimePoint> slots;
  for (int i = 1; i <= count; ++i) slots.push_back(from.value_or(kNow) + std::chrono::hours(i));
  co_return slots;
}

// A run at midnight, and an hour before it that was skipped; without a cursor also a verdict with a gap.
Async<application::SlotReport> FakeTasks::slots(TaskId id, application::SlotQuery query) {
  auto found = row(id);
  if (!found) co_return std::unexpected(found.error());
  const auto to = query.to.value_or(kNow);
  application::SlotReport report{.task = id, .from = query.from.value_or(to - std::chrono::hours(24)), .to = to};
  report.covered_from = report.from;
  report.covered_to = to;
  report.entries = {{{.first = kNow, .last = kNow, .runs = 1, .shards = 1, .run = RunId{1}, .decided_at = kNow}, 1},
                    {{.first = kNow - std::chrono::hours(1),
                      .last = kNow - std::chrono::minutes(1),
                      .fired = false,
                      .reason = domain::Reason::overlap,
                      .cause = RunId{1},
                      .decided_at = kNow},
                     60}};
  if (query.before) co_return report;
  report.next_before = kNow - std::chrono::hours(1);
  report.counts = {.expected = 62, .fired = 1, .skipped = {{domain::Reason::overlap, 60}}, .missing = 1};
  report.counts.gaps = {{kNow - std::chrono::hours(2), kNow - std::chrono::hours(2), 1}};
  report.verdict = domain::SlotVerdict{.complete = false, .sentence = "a gap", .notes = {"a note"}};
  co_return report;
}

Async<application::TaskExplained> FakeTasks::explain(TaskId id) {
  CO_TRY(auto task, get(id));
  auto gates = domain::why({.now = kNow, .task = task, .workers = {}, .active = {}});
  co_return application::TaskExplained{std::move(task), std::move(gates)};
}

Async<application::TaskDependencies> FakeTasks::dependencies(TaskId id) {
  CO_TRY(const auto task, get(id));
  co_return application::TaskDependencies{.task = {.id = id, .name = task.spec.name},
                                          .upstreams = {{.id = TaskId{7},
                                                         .name = "extract",
                                                         .last_run = RunId{1},
                                                         .last_state = domain::RunState::succeeded}},
                                          .dependants = {{.id = TaskId{8}, .name = "load"}}};
}

Async<application::TaskGraph> FakeTasks::graph(TaskId id, int depth) {
  CO_TRY(const auto task, get(id));
  application::TaskGraph graph{.tasks = {{.id = id, .name = task.spec.name}}, .edges = {}, .truncated = depth > 5};
  graph.tasks.push_back({.id = TaskId{7}, .name = "extract", .last_run = RunId{1}});
  graph.tasks.back().last_state = domain::RunState::running;
  graph.edges.push_back({.task = id, .upstream = TaskId{7}});
  co_return graph;
}

Async<application::TaskStats> FakeTasks::stats(TaskId id) {
  CO_CHECK(check_history(id));
  co_return application::TaskStats{.by_state = {{"succeeded", 3}, {"failed", 1}},
                                   .runs = 4,
                                   .success_ratio = 0.75,
                                   .duration_avg_ms = 12.5,
                                   .duration_p95_ms = 20,
                                   .last_success_at = kNow,
                                   .last_failure_at = {},
                                   .active = 2};
}

Async<application::Preview> FakeTasks::preview(application::PreviewRequest request) {
  if (request.schedule == "61 * * * *")
    co_return fail(ErrorKind::InvalidSchedule, "position 1: minutes are 0 to 59", {{"/schedule", "position 1"}});
  application::Preview preview{.explanation = fmt::format("{} in {}", request.schedule, request.timezone)};
  for (int i = 1; i <= request.count; ++i) preview.slots.push_back(request.from.value_or(kNow) + std::chrono::hours(i));
  co_return preview;
}

void FakeRuns::wake() {
  for (auto* timer : waiting_) timer->cancel();
}

asio::awaitable<void> FakeRuns::news(Micros wait_max) {
  asio::steady_timer timer(co_await asio::this_coro::executor, wait_max);
  waiting_.insert(&timer);
  co_await timer.async_wait(asio::as_tuple(asio::deferred));
  waiting_.erase(&timer);
}

Async<TaskRun> FakeRuns::get(RunId id) {
  const auto found = rows.find(id.value);
  if (found == rows.end()) co_return fail(ErrorKind::RunNotFound, fmt::format("there is no run {}", id.value));
  co_return found->second;
}

Async<TaskRun> FakeRuns::wait(RunId id, Micros wait_max) {
  CO_TRY(auto run, get(id));
  if (domain::is_terminal(run.state) || wait_max <= Micros{0}) co_return run;
  co_await news(wait_max);
  CO_TRY(auto later, get(id));
  co_return later;
}

Async<Page<TaskRun>> FakeRuns::list(application::RunFilter filter, Paging paging) {
  co_return page_of(rows, paging, [&](const TaskRun& run) {
    return (!filter.task || run.task == *filter.task) && (!filter.state || run.state == *filter.state) &&
           (!filter.trigger || run.trigger == *filter.trigger) && (!filter.worker || run.worker == filter.worker);
  });
}

Async<std::string> FakeRuns::output(RunId id) {
  CO_TRY(const auto run, get(id));
  const auto found = left.find(id.value);
  if (found == left.end()) co_return fail(ErrorKind::NotFound, fmt::format("run {} has no output", id.value));
  co_return found->second;
}

Async<std::vector<domain::UpstreamRun>> FakeRuns::upstreams(RunId id) {
  CO_TRY(const auto run, get(id));
  if (run.state != domain::RunState::pending) co_return std::vector<domain::UpstreamRun>{};
  co_return std::vector<domain::UpstreamRun>{
      {.task = TaskId{1}, .task_name = "one", .slot = {}, .run = RunId{1}, .state = domain::RunState::succeeded},
      {.task = TaskId{2}, .task_name = "two", .slot = kNow, .run = {}, .state = {}}};
}

Async<std::vector<domain::Attempt>> FakeRuns::attempts(RunId id) {
  CO_TRY(const auto run, get(id));
  std::vector<domain::Attempt> all;
  if (run.attempt > 0)
    all.push_back({.run = id,
                   .number = run.attempt,
                   .token = run.token,
                   .state = domain::AttemptState::succeeded,
                   .worker = *run.worker,
                   .incarnation = {77},
                   .started_at = kNow,
                   .ended_at = kNow + Seconds(2),
                   .exit_code = 0});
  co_return all;
}

Async<domain::RunGroup> FakeRuns::group(RunId any) {
  CO_TRY(auto run, get(any));
  std::vector<TaskRun> runs;
  runs.push_back(std::move(run));
  co_return domain::group_of(std::move(runs));
}

Async<application::RunExplained> FakeRuns::why(RunId id) {
  CO_TRY(auto run, get(id));
  auto gates = domain::why({.now = kNow, .run = run, .route = "shell", .workers = {}, .earlier = {}});
  co_return application::RunExplained{std::move(run), std::move(gates)};
}

Async<LogPage> FakeRuns::logs(RunId id, std::optional<int> attempt, std::int64_t after_line) {
  CO_TRY(const auto run, get(id));
  if (attempt && *attempt > run.attempt)
    co_return fail(ErrorKind::Validation, "there was no such attempt", {{"attempt", "there was no such attempt"}});
  LogPage page{.attempt = attempt.value_or(run.attempt)};
  for (const auto& chunk : lines[{id.value, page.attempt}])
    if (chunk.first_line + chunk.lines - 1 > after_line) page.chunks.push_back(chunk);
  const bool attempt_ended = domain::is_terminal(run.state) || page.attempt < run.attempt || ended.contains(id.value);
  page.complete = attempt_ended && !lost.contains(id.value);
  co_return page;
}

Async<LogPage> FakeRuns::follow_logs(RunId id, std::optional<int> attempt, std::int64_t after_line, Micros wait_max) {
  CO_TRY(auto page, logs(id, attempt, after_line));
  if (!page.chunks.empty() || page.complete) co_return page;
  co_await news(wait_max);
  CO_TRY(auto later, logs(id, attempt, after_line));
  co_return later;
}

Async<NewRuns> FakeControl::trigger_task(TaskId id, application::TriggerRequest request) {
  auto task = tasks_.row(id);
  if (!task) co_return std::unexpected(task.error());
  if (request.idempotency_key && keys_.contains(*request.idempotency_key))
    co_return NewRuns{.runs = {runs_.rows.at(keys_.at(*request.idempotency_key))}, .existed = true};
  TaskRun run{.id = {runs_.rows.rbegin()->first + 1},
              .task = id,
              .task_name = (*task)->spec.name,
              .parameters = std::move(request.parameters),
              .created_at = kNow,
              .due_at = request.run_at.value_or(kNow)};
  if (request.idempotency_key) keys_[*request.idempotency_key] = run.id.value;
  runs_.rows[run.id.value] = run;
  co_return NewRuns{.runs = {run}, .existed = false};
}

Async<Task> FakeControl::pause_task(TaskId id) {
  auto task = tasks_.row(id);
  if (!task) co_return std::unexpected(task.error());
  (*task)->spec.status = domain::TaskStatus::paused;
  (*task)->next_fire_at.reset();
  co_return **task;
}

Async<Task> FakeControl::resume_task(TaskId id) {
  auto task = tasks_.row(id);
  if (!task) co_return std::unexpected(task.error());
  (*task)->spec.status = domain::TaskStatus::active;
  co_return **task;
}

Async<TaskRun> FakeControl::cancel_run(RunId id) {
  CO_TRY(auto run, runs_.get(id));
  if (domain::is_terminal(run.state)) co_return fail(ErrorKind::Conflict, "the run has ended");
  run.cancel_reason = domain::Reason::cancelled_by_user;
  if (run.state == domain::RunState::pending) {
    run.state = domain::RunState::cancelled;
    run.reason = domain::Reason::cancelled_by_user;
    run.ended_at = kNow;
  }
  runs_.rows[id.value] = run;
  co_return run;
}

// Task 1 has a full backlog once it was paused.
Async<std::vector<NewRuns>> FakeControl::trigger_all(std::vector<application::BulkItem> items) {
  std::vector<NewRuns> all;
  for (std::size_t i = 0; i < items.size(); ++i) {
    auto& it = items[i];
    const auto* id = std::get_if<TaskId>(&it.task);
    auto task = id ? tasks_.row(*id) : tasks_.row(TaskId{1});
    if (!task)
      co_return fail(ErrorKind::Validation, "no such task",
                     {{"/items/" + std::to_string(i) + "/task", "is not there"}});
    if ((*task)->spec.status == domain::TaskStatus::paused)
      co_return fail(ErrorKind::BacklogFull, "the task has as many runs as it may have");
    CO_TRY(all.emplace_back(), trigger_task((*task)->id, std::move(it.request)));
  }
  co_return all;
}

Async<NewRuns> FakeControl::restart_group(RunId any) { return restart_run(any, false); }

Async<NewRuns> FakeControl::restart_run(RunId id, bool downstream) {
  CO_TRY(const auto run, runs_.get(id));
  if (!domain::is_terminal(run.state)) co_return fail(ErrorKind::Conflict, "the run has not ended");
  TaskRun again{.id = {runs_.rows.rbegin()->first + 1},
                .task = run.task,
                .task_name = run.task_name,
                .trigger = domain::Trigger::retry,
                .retry_of = id,
                .created_at = kNow,
                .due_at = kNow};
  runs_.rows[again.id.value] = again;
  NewRuns made{.runs = {again}, .existed = false};
  if (downstream) {
    again.id.value += 1;
    again.state = domain::RunState::waiting;
    made.downstream.push_back(again);
  }
  co_return made;
}

Async<std::vector<domain::WorkerInfo>> FakeWorkers::list() {
  std::vector<domain::WorkerInfo> all;
  for (const auto& [id, worker] : rows) all.push_back(worker);
  co_return all;
}

Async<domain::WorkerInfo> FakeWorkers::get(WorkerId id) {
  const auto found = rows.find(id.value);
  if (found == rows.end()) co_return fail(ErrorKind::WorkerNotFound, fmt::format("there is no worker '{}'", id.value));
  co_return found->second;
}

Async<application::WorkerStats> FakeWorkers::stats() {
  std::vector<domain::WorkerLoad> loads;
  for (const auto& [id, worker] : rows) loads.push_back({worker, 1});
  co_return application::summarise(loads);
}

Async<domain::WorkerInfo> FakeWorkers::drain(WorkerId id) {
  CO_TRY(auto worker, get(id));
  worker.state = domain::WorkerState::draining;
  co_return rows[id.value] = worker;
}

Async<domain::WorkerInfo> FakeWorkers::undrain(WorkerId id) {
  CO_TRY(auto worker, get(id));
  worker.state = domain::WorkerState::alive;
  co_return rows[id.value] = worker;
}

Async<application::SystemStats> FakeSystem::stats() {
  application::SystemStats stats;
  stats.store.tasks_active = 1;
  stats.store.active_runs = {{"pending", 1}, {"running", 1}};
  stats.store.oldest_due = kNow;
  stats.workers_alive = 1;
  stats.slots = 16;
  stats.slots_busy = 1;
  co_return stats;
}

void FakeMetrics::observe_request(std::string_view method, std::string_view route, int status, Micros) {
  text_ += fmt::format("{} {} {}\n", method, route, status);
}

LogChunk chunk_of(std::int64_t run, int attempt, std::int64_t first_line, int lines, std::string text) {
  return {.run = {run}, .attempt = attempt, .first_line = first_line, .lines = lines, .at = kNow, .text = text};
}

const std::string& admin_token() {
  static const auto token =
      infrastructure::Ed25519Signer(std::string(32, 'a')).sign(domain::claims_for({1}, {1}, "0123456789abcdef", kNow));
  return token;
}

void FakeWorld::begin_anew(const std::string& setup_token) {
  using testing_support::run_async;
  accounts = std::make_unique<testing_support::AccountWorld>(clock);
  (void)*run_async(accounts->auth.begin({}));
  if (!run_async(accounts->store->accounts().users().offer_setup(accounts->secrets.digest(setup_token), Seconds{900})))
    throw std::runtime_error("cannot offer a setup token");
}

FakeWorld::FakeWorld() {
  using testing_support::run_async;
  begin_anew("unused");
  auto& them = accounts->store->accounts();
  const auto hash = std::string("fake:") + testing_support::AccountWorld::kPassword;
  (void)*run_async(them.users().create({.name = "ada", .role = domain::Role::admin, .password_hash = hash}));
  (void)*run_async(them.users().create({.name = "bob", .role = domain::Role::user, .password_hash = hash}));
  (void)*run_async(them.sessions().open({.user = {1},
                                         .refresh_digest = accounts->secrets.digest(kRefreshToken),
                                         .address = "127.0.0.1",
                                         .agent = "test"}));
  (void)*run_async(them.api_keys().create({.user = {1},
                                           .key_id = "0123456789abcdef",
                                           .name = "ci",
                                           .secret_digest = "none",
                                           .permissions = {domain::Permission::task_read},
                                           .life = std::chrono::days{90}}));
  tasks.rows[1] = Task{.id = {1},
                       .spec = {.name = "nightly-report",
                                .task_type = "shell",
                                .schedule = "0 2 * * *",
                                .parameters = R"({"command":"make-report","args":["--all"]})",
                                .labels = {{"team", "data"}}},
                       .created_at = kNow,
                       .updated_at = kNow,
                       .next_fire_at = kNow + std::chrono::hours(2)};
  TaskRun run{.id = {1},
              .task = {1},
              .task_name = "nightly-report",
              .state = domain::RunState::succeeded,
              .created_at = kNow,
              .due_at = kNow,
              .attempt = 1,
              .token = 1,
              .worker = WorkerId{"worker-1"},
              .incarnation = IncarnationId{77},
              .dispatched_at = kNow,
              .started_at = kNow,
              .ended_at = kNow + Seconds(2),
              .exit_code = 0};
  runs.rows[1] = run;
  runs.left[1] = R"({"rows": 1200, "file": "/data/report.csv"})";
  runs.lines[{1, 1}] = {chunk_of(1, 1, 1, 2, "one\ntwo"), chunk_of(1, 1, 3, 1, "three")};
  runs.rows[2] = TaskRun{.id = {2}, .task = {1}, .task_name = "nightly-report", .created_at = kNow, .due_at = kNow};
  run.id = {3};
  run.state = domain::RunState::running;
  run.ended_at.reset();
  run.exit_code.reset();
  runs.rows[3] = run;
  runs.lines[{3, 1}] = {chunk_of(3, 1, 1, 2, "begin\nmiddle")};
  workers.rows["worker-1"] = {.id = {"worker-1"},
                              .incarnation = {77},
                              .host = "host",
                              .pid = 42,
                              .version = "0.1.0",
                              .task_types = {"http", "shell"},
                              .labels = {{"zone", "a"}},
                              .slots = 16,
                              .capacity = 32,
                              .busy = 1,
                              .load = 0.25,
                              .memory_bytes = 1 << 20,
                              .registered_at = kNow,
                              .heartbeat_at = kNow,
                              .heartbeat_due = kNow + Seconds(30)};
  system.seen = {.ready = true, .checks = {{.name = "store", .ok = true, .message = "a write took 1 ms"}}};
}

}  // namespace scheduler::api
