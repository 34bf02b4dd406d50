// The five services as the API sees them, in memory. They keep state and honour the contracts of src/application.
#pragma once

#include "api/http_server.hpp"
#include "support/account_world.hpp"

#include <boost/asio/steady_timer.hpp>

#include <map>
#include <set>
#include <string>
#include <vector>

namespace scheduler::api {

inline constexpr TimePoint kNow{Micros{1'774'742'400'000'000}};  // 2026-03-29T00:00:00Z

class FakeClock final : public Clock {
 public:
  [[nodiscard]] TimePoint now() const override { return kNow; }
  [[nodiscard]] Micros elapsed() const override { return Micros{0}; }
};

class FakeTasks final : public application::TaskService {
 public:
  std::map<std::int64_t, domain::Task> rows;
  std::set<std::int64_t> deleted;  // each has left runs
  int overtaken = 0;               // as many updates find that somebody else was faster
  std::optional<SchedulerError> broken;

  Async<domain::Task> create(application::TaskDraft draft) override;
  Async<domain::Task> update(TaskId id, application::TaskDraft draft, std::optional<std::int64_t> if_version) override;
  Async<domain::Task> get(TaskId id) override;
  Async<domain::Task> find(std::string name) override;
  Async<application::Page<domain::Task>> list(application::TaskFilter filter, application::Paging paging) override;
  Async<void> archive(TaskId id, std::optional<std::int64_t> if_version) override;
  Async<std::vector<TimePoint>> next(TaskId id, std::optional<TimePoint> from, int count) override;
  Async<application::SlotReport> slots(TaskId id, application::SlotQuery query) override;
  Async<application::TaskExplained> explain(TaskId id) override;
  Async<void> check_history(TaskId id) override;
  Async<application::TaskStats> stats(TaskId id) override;
  Async<application::TaskDependencies> dependencies(TaskId id) override;
  Async<application::TaskGraph> graph(TaskId id, int depth) override;
  Async<application::Preview> preview(application::PreviewRequest request) override;

  SchedulerResult<domain::Task*> row(TaskId id);

 private:
  SchedulerResult<domain::TaskSpec> check(application::TaskDraft draft, TaskId own);
};

class FakeRuns final : public application::RunService {
 public:
  std::map<std::int64_t, domain::TaskRun> rows;
  std::map<std::pair<std::int64_t, int>, std::vector<application::LogChunk>> lines;

  std::map<std::int64_t, std::string> left;  // what runs left for those that run after them
  std::set<std::int64_t> ended;              // runs that go on although their current attempt has ended
  std::set<std::int64_t> lost;               // runs whose last lines never came

  // For the loop's thread: something happened, look again.
  void wake();
  [[nodiscard]] bool is_waited_for() const { return !waiting_.empty(); }

  Async<domain::TaskRun> get(RunId id) override;
  Async<domain::TaskRun> wait(RunId id, Micros wait_max) override;
  Async<application::Page<domain::TaskRun>> list(application::RunFilter filter, application::Paging paging) override;
  Async<std::vector<domain::Attempt>> attempts(RunId id) override;
  Async<std::string> output(RunId id) override;
  Async<std::vector<domain::UpstreamRun>> upstreams(RunId id) override;
  Async<domain::RunGroup> group(RunId any) override;
  Async<application::RunExplained> why(RunId id) override;
  Async<application::LogPage> logs(RunId id, std::optional<int> attempt, std::int64_t after_line) override;
  Async<application::LogPage> follow_logs(RunId id, std::optional<int> attempt, std::int64_t after_line,
                                          Micros wait_max) override;

 private:
  asio::awaitable<void> news(Micros wait_max);
  std::set<asio::steady_timer*> waiting_;
};

class FakeControl final : public application::TaskControlService {
 public:
  FakeControl(FakeTasks& tasks, FakeRuns& runs) : tasks_(tasks), runs_(runs) {}
  Async<application::NewRuns> trigger_task(TaskId id, application::TriggerRequest request) override;
  Async<domain::Task> pause_task(TaskId id) override;
  Async<domain::Task> resume_task(TaskId id) override;
  Async<domain::TaskRun> cancel_run(RunId id) override;
  Async<application::NewRuns> restart_run(RunId id, bool downstream) override;
  Async<std::vector<application::NewRuns>> trigger_all(std::vector<application::BulkItem> items) override;
  Async<application::NewRuns> restart_group(RunId any) override;

 private:
  FakeTasks& tasks_;
  FakeRuns& runs_;
  std::map<std::string, std::int64_t> keys_;
};

class FakeWorkers final : public application::WorkerService {
 public:
  std::map<std::string, domain::WorkerInfo> rows;
  Async<std::vector<domain::WorkerInfo>> list() override;
  Async<domain::WorkerInfo> get(WorkerId id) override;
  Async<application::WorkerStats> stats() override;
  Async<domain::WorkerInfo> drain(WorkerId id) override;
  Async<domain::WorkerInfo> undrain(WorkerId id) override;
};

class FakeSystem final : public application::SystemService {
 public:
  application::Health seen;
  asio::awaitable<application::Health> health() override { co_return seen; }
  Async<application::SystemStats> stats() override;
  [[nodiscard]] std::string store_description() const override { return "memory"; }
};

class FakeMetrics final : public application::Metrics {
 public:
  void add(application::Counter, std::size_t) override {}
  void observe(application::Histogram, Micros) override {}
  void set(application::Gauge, std::int64_t) override {}
  void observe_tick(std::string_view, Micros) override {}
  void observe_request(std::string_view method, std::string_view route, int status, Micros value) override;
  // One line for each request: "GET /api/tasks/{id} 200".
  [[nodiscard]] std::string exposition() override { return text_; }

 private:
  std::string text_;
};

// A small world: task 1 "nightly-report" (scheduled), run 1 (succeeded, three lines of output), run 2 (pending), run 3
// (running, two lines so far), worker "worker-1". Accounts: user 1 "ada" (admin), user 2 "bob" (user), and key 1 of
// ada's.
struct FakeWorld {
  FakeWorld();
  FakeTasks tasks;
  FakeRuns runs;
  FakeControl control{tasks, runs};
  FakeWorkers workers;
  FakeSystem system;
  FakeMetrics metrics;
  FakeClock clock;
  std::unique_ptr<testing_support::AccountWorld> accounts;
  // As at a first start: no account, and this token offered for the first one.
  void begin_anew(const std::string& setup_token);
  [[nodiscard]] ApiServices services() {
    return {tasks, control, runs, workers, system, metrics, clock, {accounts->auth, accounts->users, accounts->keys}};
  }
};

// Of ada's session in every FakeWorld.
[[nodiscard]] const std::string& admin_token();
inline constexpr auto kRefreshToken = "an-example-of-a-refresh-token-0123456789abc";

[[nodiscard]] application::LogChunk chunk_of(std::int64_t run, int attempt, std::int64_t first_line, int lines,
                                             std::string text);

}  // namespace scheduler::api
