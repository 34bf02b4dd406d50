#include "application/task_control_service.hpp"

#include "application/nudge.hpp"
#include "application/service_factory.hpp"
#include "application/task_schedule.hpp"
#include "core/log.hpp"

#include <fmt/format.h>

namespace scheduler::application {
namespace {

class TaskControlServiceImpl final : public TaskControlService {
 public:
  explicit TaskControlServiceImpl(ServiceFactory::Ports ports) : ports_(ports) {}

  Async<NewRuns> trigger_task(TaskId id, TriggerRequest request) override {
    CO_TRY(const auto task, ports_.store.tasks().get(id));
    if (request.parameters) CO_ENSURE(check_parameters(task.spec.task_type, *request.parameters));
    CO_ENSURE(check_key(request.idempotency_key));
    NewRun run{.task = id,
               .trigger = domain::Trigger::manual,
               .parameters = request.parameters,
               .idempotency_key = std::move(request.idempotency_key)};
    CO_TRY(auto made, ports_.store.runs().insert(std::move(run)));
    if (made.existed && made.runs.front().parameters != request.parameters)
      co_return fail(ErrorKind::Conflict,
                     fmt::format("the Idempotency-Key was used for run {} with other parameters; use another key",
                                 made.runs.front().id.value));
    co_await nudge(ports_.queue);
    co_return made;
  }

  Async<domain::Task> pause_task(TaskId id) override {
    CO_TRY(auto task, ports_.store.tasks().get(id));
    if (task.spec.status == domain::TaskStatus::paused) co_return task;
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
                 .parameters = run.parameters};
    auto made = co_await ports_.store.runs().insert(std::move(again));
    if (!made && made.error().kind == ErrorKind::TaskNotFound)
      co_return fail(
          ErrorKind::Conflict,
          fmt::format("run {} cannot be run again: its task {} ('{}') was deleted; create the task again and "
                      "trigger it",
                      id.value, run.task.value, run.task_name));
    if (made) co_await nudge(ports_.queue);
    co_return made;
  }

 private:
  SchedulerResult<void> check_parameters(std::string_view task_type, std::string_view parameters) const {
    if (parameters.size() > domain::kParameterBytesMax)
      return fail(ErrorKind::PayloadTooLarge,
                  fmt::format("parameters are limited to {} bytes", domain::kParameterBytesMax));
    auto faults = ports_.parameters.check(task_type, parameters);
    if (faults.empty()) return {};
    return fail(ErrorKind::Validation, fmt::format("{}: {}", faults[0].pointer, faults[0].message), faults);
  }

  static SchedulerResult<void> check_key(const std::optional<std::string>& key) {
    if (!key || (!key->empty() && key->size() <= 255)) return {};
    return fail(ErrorKind::Validation, "Idempotency-Key must be 1 to 255 bytes long",
                {{"Idempotency-Key", "must be 1 to 255 bytes long"}});
  }

  ServiceFactory::Ports ports_;
};

}  // namespace

std::unique_ptr<TaskControlService> ServiceFactory::create_task_control_service() const {
  return std::make_unique<TaskControlServiceImpl>(ports_);
}

}  // namespace scheduler::application
