#include "application/task_control_service.hpp"

#include "application/decide_due_slots.hpp"
#include "application/nudge.hpp"
#include "application/service_factory.hpp"
#include "application/task_schedule.hpp"
#include "core/log.hpp"

#include <fmt/format.h>

#include <map>

namespace scheduler::application {
namespace {

class TaskControlServiceImpl final : public TaskControlService {
 public:
  explicit TaskControlServiceImpl(ServiceFactory::Ports ports) : ports_(ports) {}

  Async<NewRuns> trigger_task(TaskId id, TriggerRequest request) override {
    CO_TRY(const auto task, ports_.store.tasks().get(id));
    if (request.parameters) CO_CHECK(check_parameters(task.spec, *request.parameters));
    CO_ENSURE(check_key(request.idempotency_key));
    if (request.run_at) {
      CO_TRY(const auto now, ports_.store.now());
      if (auto fault = fault_of_run_at(*request.run_at, now))
        co_return fail(ErrorKind::Validation, "/run_at: " + *fault, {{"/run_at", *fault}});
    }
    CO_TRY(auto made, ports_.store.runs().insert(new_run(id, std::move(request))));
    co_await nudge(ports_.queue);
    co_return made;
  }

  Async<std::vector<NewRuns>> trigger_all(std::vector<BulkItem> items) override {
    CO_TRY(const auto now, ports_.store.now());
    std::map<TaskRef, std::optional<domain::Task>> tasks;
    for (const auto& it : items) {
      if (tasks.contains(it.task)) continue;
      CO_TRY(tasks[it.task], find_task(it.task));
    }
    std::vector<FieldError> faults;
    std::vector<NewRun> batch;
    std::size_t runs = 0;
    for (std::size_t i = 0; i < items.size(); ++i) {
      auto& it = items[i];
      const auto& task = tasks.at(it.task);
      CO_CHECK(add_faults(it, task, now, fmt::format("/items/{}", i), faults));
      if (!task) continue;
      runs += static_cast<std::size_t>(task->spec.shard_count);
      batch.push_back(new_run(task->id, std::move(it.request)));
    }
    if (runs > kBulkRunsMax)
      faults.push_back({"/items", fmt::format("would make {} runs, shards counted; at most {} are made at once", runs,
                                              kBulkRunsMax)});
    if (!faults.empty())
      co_return fail(ErrorKind::Validation, fmt::format("{}: {}", faults[0].pointer, faults[0].message), faults);
    CO_TRY(auto made, ports_.store.runs().insert_all(std::move(batch)));
    co_await nudge(ports_.queue);
    co_return made;
  }

  Async<domain::Task> pause_task(TaskId id) override {
    CO_TRY(auto task, ports_.store.tasks().get(id));
    if (task.spec.status == domain::TaskStatus::paused) co_return task;
    CO_TRY(const auto now, ports_.store.now());
    CO_TRY(task, decide_due_slots(ports_, std::move(task), now));
    task.spec.status = domain::TaskStatus::paused;
    task.next_fire_at.reset();
    co_return co_await ports_.store.tasks().update(std::move(task), std::nullopt);
  }

  Async<domain::Task> resume_task(TaskId id) override {
    CO_TRY(auto task, ports_.store.tasks().get(id));
    if (task.spec.status == domain::TaskStatus::active) co_return task;
    CO_TRY(const auto now, ports_.store.now());
    task.spec.status = domain::TaskStatus::active;
    std::optional<domain::SlotDecision> missed;
    if (task.spec.schedule) {
      CO_UNWRAP(const auto schedule, schedule_of(task.spec, task.created_at, ports_.zones));
      const auto since = task.watermark.value_or(now);
      missed = unfired_slots(schedule, since, now, domain::Reason::paused);
      task.watermark = std::max(since, now);
      task.next_fire_at = domain::next_slot(schedule, *task.watermark);
    }
    CO_TRY(auto resumed, ports_.store.tasks().update(std::move(task), missed));
    co_await nudge(ports_.queue);
    co_return resumed;
  }

  Async<domain::TaskRun> cancel_run(RunId id) override {
    CO_TRY(auto cancelled, ports_.store.runs().cancel(id));
    if (cancelled.to_stop) {
      const TaskControl control{.kind = TaskControl::Kind::cancel,
                                .run = id,
                                .token = cancelled.to_stop->token,
                                .reason = domain::Reason::cancelled_by_user};
      // A lost message is no loss: the mark is in the store, and the next heartbeat of the worker repeats it.
      const auto sent = co_await ports_.queue.publish_message(worker_queue(cancelled.to_stop->incarnation),
                                                              Message{std::vector{control}});
      if (!sent) log::warning("cancel not sent yet", {{"run", id.value}, {"why", sent.error().message}});
    }
    co_return std::move(cancelled.run);
  }

  Async<NewRuns> restart_run(RunId id, bool downstream) override {
    CO_TRY(const auto run, ports_.store.runs().get(id));
    if (!domain::is_terminal(run.state))
      co_return fail(ErrorKind::Conflict, fmt::format("run {} is {}; only a run that has ended can be run again",
                                                      id.value, name_of(run.state)));
    NewRun again{.task = run.task,
                 .trigger = domain::Trigger::retry,
                 .retry_of = id,
                 .downstream = downstream,
                 .parameters = run.parameters,
                 .idempotency_key = {},
                 .run_at = {}};
    co_return co_await restarted(run, ports_.store.runs().insert(std::move(again)));
  }

  Async<NewRuns> restart_group(RunId any) override {
    CO_TRY(const auto run, ports_.store.runs().get(any));
    co_return co_await restarted(run, ports_.store.runs().retry_group(any));
  }

 private:
  // A deleted task stands in the way of its run, but is not what was asked for.
  Async<NewRuns> restarted(domain::TaskRun run, Async<NewRuns> work) {
    auto made = co_await std::move(work);
    if (!made && made.error().kind == ErrorKind::TaskNotFound)
      co_return fail(
          ErrorKind::Conflict,
          fmt::format("run {} cannot be run again: its task {} ('{}') was deleted; create the task again and "
                      "trigger it",
                      run.id.value, run.task.value, run.task_name));
    if (made) co_await nudge(ports_.queue);
    co_return made;
  }

  static NewRun new_run(TaskId task, TriggerRequest request) {
    return {.task = task,
            .trigger = domain::Trigger::manual,
            .retry_of = {},
            .parameters = std::move(request.parameters),
            .idempotency_key = std::move(request.idempotency_key),
            .run_at = request.run_at};
  }

  // Nothing: there is none.
  Async<std::optional<domain::Task>> find_task(TaskRef ref) {
    auto& tasks = ports_.store.tasks();
    const auto* id = std::get_if<TaskId>(&ref);
    auto task = id ? co_await tasks.get(*id) : co_await tasks.find(std::get<std::string>(ref));
    if (task) co_return *std::move(task);
    if (task.error().kind == ErrorKind::TaskNotFound) co_return std::nullopt;
    co_return std::unexpected(task.error());
  }

  // Of one item of a bulk request, whose place is `at`.
  Async<void> add_faults(const BulkItem& item, const std::optional<domain::Task>& task, TimePoint now, std::string at,
                         std::vector<FieldError>& faults) {
    const auto& request = item.request;
    if (!task) {
      const auto* id = std::get_if<TaskId>(&item.task);
      faults.push_back({at + "/task", id ? fmt::format("no task has the id {}", id->value)
                                         : fmt::format("no task is named '{}'", std::get<std::string>(item.task))});
    } else if (request.parameters) {
      const auto checked = co_await check_parameters(task->spec, *request.parameters);
      if (!checked && checked.error().kind != ErrorKind::Validation &&
          checked.error().kind != ErrorKind::PayloadTooLarge)
        co_return std::unexpected(checked.error());
      if (!checked && checked.error().fields.empty()) faults.push_back({at + "/parameters", checked.error().message});
      if (!checked)
        for (const auto& it : checked.error().fields) faults.push_back({at + it.pointer, it.message});
    }
    if (request.run_at)
      if (auto fault = fault_of_run_at(*request.run_at, now)) faults.push_back({at + "/run_at", *fault});
    if (!is_key(request.idempotency_key)) faults.push_back({at + "/idempotency_key", std::string(kKeyRule)});
    co_return SchedulerResult<void>{};
  }

  // A minute covers clocks that differ and requests that took their time; more is a mistake, of the zone most likely.
  static std::optional<std::string> fault_of_run_at(TimePoint run_at, TimePoint now) {
    if (run_at < now - kPastMax)
      return fmt::format("has passed: it is {} now; leave it out to run at once", format_rfc3339(now));
    if (run_at > now + kAheadMax)
      return fmt::format("must be at most ten years ahead, until {}", format_rfc3339(now + kAheadMax));
    return std::nullopt;
  }

  Async<void> check_parameters(domain::TaskSpec spec, std::string parameters) {
    if (parameters.size() > domain::kParameterBytesMax)
      co_return fail(ErrorKind::PayloadTooLarge,
                     fmt::format("parameters are limited to {} bytes", domain::kParameterBytesMax));
    std::vector<std::string> upstreams;
    for (const auto id : spec.dependencies) {
      auto task = co_await ports_.store.tasks().get(id);
      if (task)
        upstreams.push_back(std::move(task->spec.name));
      else if (task.error().kind != ErrorKind::TaskNotFound)
        co_return std::unexpected(std::move(task).error());
    }
    auto faults = ports_.parameters.check(spec.task_type, parameters, upstreams);
    if (faults.empty()) co_return SchedulerResult<void>{};
    co_return fail(ErrorKind::Validation, fmt::format("{}: {}", faults[0].pointer, faults[0].message), faults);
  }

  static constexpr std::string_view kKeyRule = "must be 1 to 255 bytes long";
  static bool is_key(const std::optional<std::string>& key) { return !key || (!key->empty() && key->size() <= 255); }
  static SchedulerResult<void> check_key(const std::optional<std::string>& key) {
    if (is_key(key)) return {};
    return fail(ErrorKind::Validation, fmt::format("Idempotency-Key {}", kKeyRule),
                {{"Idempotency-Key", std::string(kKeyRule)}});
  }

  ServiceFactory::Ports ports_;
};

}  // namespace

std::unique_ptr<TaskControlService> ServiceFactory::create_task_control_service() const {
  return std::make_unique<TaskControlServiceImpl>(ports_);
}

}  // namespace scheduler::application
