#include "application/run_service.hpp"

#include "application/service_factory.hpp"
#include "application/surroundings.hpp"

#include <fmt/format.h>

namespace scheduler::application {
namespace {

using namespace std::chrono_literals;

constexpr Micros kWaitMax = 60s;
constexpr std::size_t kLogPageBytes = 1 << 20;
// Output travels beside the report that ends a run; later than this after the end it is not coming any more.
constexpr Micros kLogsLateMax = 5s;

std::string why_no_output(const domain::TaskRun& run) {
  if (!domain::is_terminal(run.state))
    return fmt::format("it is {}, and leaves one when it has succeeded", name_of(run.state));
  if (run.state == domain::RunState::succeeded) return "it succeeded and wrote none";
  return fmt::format("it ended {}, and only a run that succeeds leaves one", name_of(run.state));
}

class RunServiceImpl final : public RunService {
 public:
  explicit RunServiceImpl(ServiceFactory::Ports ports) : ports_(ports) {}

  Async<domain::TaskRun> get(RunId id) override { return ports_.store.runs().get(id); }

  Async<domain::TaskRun> wait(RunId id, Micros wait_max) override {
    const auto deadline = ports_.clock.elapsed() + std::min(wait_max, kWaitMax);
    for (Micros pause = 2ms;; pause = std::min<Micros>(pause * 2, 100ms)) {
      CO_TRY(auto run, ports_.store.runs().get(id));
      const auto left = deadline - ports_.clock.elapsed();
      if (domain::is_terminal(run.state) || left <= 0s) co_return run;
      co_await ports_.timer.sleep(std::min(pause, left));
    }
  }

  Async<Page<domain::TaskRun>> list(RunFilter filter, Paging paging) override {
    return ports_.store.runs().list(std::move(filter), paging);
  }

  Async<std::vector<domain::Attempt>> attempts(RunId id) override { return ports_.store.runs().attempts(id); }

  Async<std::string> output(RunId id) override {
    CO_TRY(const auto run, ports_.store.runs().get(id));
    CO_TRY(auto output, ports_.store.runs().output(id));
    if (output) co_return *std::move(output);
    co_return fail(ErrorKind::NotFound, fmt::format("run {} has no output: {}", id.value, why_no_output(run)));
  }
  Async<std::vector<domain::UpstreamRun>> upstreams(RunId id) override { return ports_.store.runs().upstreams(id); }
  Async<domain::RunGroup> group(RunId any) override {
    CO_TRY(auto runs, ports_.store.runs().group(any));
    co_return domain::group_of(std::move(runs));
  }

  Async<RunExplained> why(RunId id) override {
    domain::WhyView view;
    CO_TRY(view.run, ports_.store.runs().get(id));
    if (!domain::is_terminal(view.run.state)) CO_CHECK(read_surroundings(view));
    auto gates = domain::why(view);
    co_return RunExplained{std::move(view.run), std::move(gates)};
  }

  Async<LogPage> logs(RunId id, std::optional<int> attempt, std::int64_t after_line) override {
    CO_TRY(const auto run, ports_.store.runs().get(id));
    if (attempt && (*attempt < 1 || *attempt > std::max(1, run.attempt)))
      co_return fail(ErrorKind::Validation,
                     fmt::format("run {} has {} attempts; there is no attempt {}", id.value, run.attempt, *attempt),
                     {{"attempt", fmt::format("must be between 1 and {}", std::max(1, run.attempt))}});
    LogPage page{.attempt = attempt.value_or(run.attempt)};
    if (run.attempt == 0) {
      page.complete = domain::is_terminal(run.state);
      co_return page;
    }
    // The end is read before the lines: lines that come between the two reads are not missed, only seen later.
    CO_TRY(const auto total, ports_.store.runs().log_lines(id, page.attempt));
    CO_TRY(page.chunks, ports_.store.logs().read(id, page.attempt, after_line, kLogPageBytes));
    CO_TRY(page.complete, is_complete(run, page, total, after_line));
    co_return page;
  }

  Async<LogPage> follow_logs(RunId id, std::optional<int> attempt, std::int64_t after_line, Micros wait_max) override {
    const auto deadline = ports_.clock.elapsed() + std::min(wait_max, kWaitMax);
    for (Micros pause = 20ms;; pause = std::min<Micros>(pause * 2, 200ms)) {
      CO_TRY(auto page, logs(id, attempt, after_line));
      const auto left = deadline - ports_.clock.elapsed();
      if (!page.chunks.empty() || page.complete || left <= 0s) co_return page;
      co_await ports_.timer.sleep(std::min(pause, left));
    }
  }

 private:
  // What an active run may be waiting for.
  Async<void> read_surroundings(domain::WhyView& view) {
    CO_TRY(auto around, surroundings(ports_.store));
    view.now = around.now;
    view.workers = std::move(around.workers);
    const auto circuit = ports_.queue.circuit();
    view.queue_away = circuit && circuit->state != Circuit::State::closed;
    const auto task = co_await ports_.store.tasks().get(view.run.task);
    if (task) view.route = domain::route_of(task->spec);
    if (task) view.limit = task->spec.max_concurrent_runs;
    if (!task && task.error().kind != ErrorKind::TaskNotFound) co_return std::unexpected(task.error());
    if (view.run.state == domain::RunState::waiting) {
      CO_TRY(view.earlier, active_runs(ports_.store, view.run.task));
      CO_TRY(view.upstreams, ports_.store.runs().upstreams(view.run.id));
    }
    co_return SchedulerResult<void>{};
  }

  Async<bool> is_complete(domain::TaskRun run, LogPage page, std::optional<std::int64_t> total,
                          std::int64_t after_line) {
    if (!total || !domain::is_terminal(run.state)) co_return false;  // another attempt may follow this one
    const auto last = page.chunks.empty() ? after_line : page.chunks.back().first_line + page.chunks.back().lines - 1;
    if (last >= *total) co_return true;
    if (!page.chunks.empty() || !run.ended_at) co_return false;
    CO_TRY(const auto now, ports_.store.now());
    co_return now - *run.ended_at > kLogsLateMax;
  }

  ServiceFactory::Ports ports_;
};

}  // namespace

std::unique_ptr<RunService> ServiceFactory::create_run_service() const {
  return std::make_unique<RunServiceImpl>(ports_);
}

}  // namespace scheduler::application
