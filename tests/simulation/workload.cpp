#include "simulation/workload.hpp"

#include "application/task_schedule.hpp"

#include <fmt/format.h>

#include <iterator>

namespace scheduler::simulation {

using namespace application;
using namespace std::chrono_literals;
using domain::TaskSpec;

namespace {

constexpr const char* kSchedules[] = {"*/5 * * * * *", "@every 7s", "*/13 * * * * *", "* * * * *", "@every 3s"};

void any_schedule(TaskSpec& spec, FaultSource& dice) { spec.schedule = kSchedules[dice.below(std::size(kSchedules))]; }

constexpr Archetype kArchetypes[] = {
    {"by schedule, any policy", 100, 3,
     [](TaskSpec& spec, int, std::span<const TaskId>, FaultSource& dice) { any_schedule(spec, dice); }},
    {"a schedule whose runs overlap", 60, 1,
     [](TaskSpec& spec, int, std::span<const TaskId>, FaultSource& dice) {
       spec.schedule = "*/3 * * * * *";
       spec.timeout = 9s;
       if (spec.overlap_policy == domain::OverlapPolicy::allow) spec.overlap_policy = domain::OverlapPolicy::replace;
       if (dice.happens(50)) spec.overlap_policy = domain::OverlapPolicy::queue_one;
     }},
    {"by hand", 100, 2, [](TaskSpec&, int, std::span<const TaskId>, FaultSource&) {}},
    {"in shards", 30, 1,
     [](TaskSpec& spec, int, std::span<const TaskId>, FaultSource& dice) {
       spec.shard_count = 3;
       if (dice.happens(60)) any_schedule(spec, dice);
     }},
    {"a chain", 50, 3,
     [](TaskSpec& spec, int index, std::span<const TaskId> earlier, FaultSource& dice) {
       if (index > 0) spec.dependencies = {earlier[static_cast<std::size_t>(index) - 1]};
       if (index == 0 && dice.happens(70)) any_schedule(spec, dice);
     }},
    {"a diamond", 50, 4,
     [](TaskSpec& spec, int index, std::span<const TaskId> earlier, FaultSource& dice) {
       if (index == 0 && dice.happens(70)) spec.schedule = "@every 6s";
       if (index == 1 || index == 2) spec.dependencies = {earlier[0]};
       if (index == 3) spec.dependencies = {earlier[1], earlier[2]};
     }},
    {"does not heed a stop", 15, 1,
     [](TaskSpec& spec, int, std::span<const TaskId>, FaultSource&) {
       spec.task_type = kDeafType;
       spec.timeout = 2s;
     }},
    {"cannot be read", 25, 1,
     [](TaskSpec& spec, int, std::span<const TaskId>, FaultSource&) {
       spec.schedule = "@every 4s";
       spec.timezone = kGoneZone;
     }},
};

// Every field that a policy lives in, at random.
TaskSpec basics(FaultSource& dice) {
  TaskSpec spec;
  spec.task_type = kObedientType;
  spec.timeout = Seconds{2 + static_cast<int>(dice.below(8))};
  spec.max_retries = static_cast<int>(dice.below(3));
  spec.trigger_rule = static_cast<domain::TriggerRule>(dice.below(4));
  spec.overlap_policy = static_cast<domain::OverlapPolicy>(dice.below(4));
  spec.misfire_policy = static_cast<domain::MisfirePolicy>(dice.below(3));
  spec.delivery = dice.happens(30) ? domain::Delivery::at_most_once : domain::Delivery::at_least_once;
  spec.priority = static_cast<int>(dice.below(10));
  return spec;
}

}  // namespace

std::span<const Archetype> archetypes() { return kArchetypes; }

asio::awaitable<void> Workload::make_tasks(Store& store) {
  for (const auto& archetype : archetypes()) {
    if (!source_.happens(archetype.percent)) continue;
    std::vector<TaskId> made;
    for (int i = 0; i < archetype.tasks; ++i) {
      domain::Task task;
      task.spec = basics(source_);
      archetype.make(task.spec, i, made, source_);
      task.spec.name = fmt::format("{} {}", archetype.name, i);
      if (task.spec.schedule) {
        const auto schedule = domain::parse_schedule(
            {.text = *task.spec.schedule, .zone = &domain::utc(), .anchor = std::chrono::floor<Seconds>(time_.now())});
        task.watermark = time_.now();
        task.next_fire_at = domain::next_slot(*schedule, time_.now());
      }
      const auto created = co_await store.tasks().create(std::move(task));
      if (!created) co_return checker_.broken("a task could not be created: " + created.error().message);
      made.push_back(created->id);
      tasks_.push_back(created->id);
    }
  }
  (void)co_await checker_.observe();
}

asio::awaitable<void> Workload::be_a_client(ServiceFactory services, const bool& faulty) {
  using Action = asio::awaitable<void> (Workload::*)(Services&);
  constexpr std::pair<int, Action> kActions[] = {
      {35, &Workload::trigger}, {10, &Workload::trigger_with_key}, {15, &Workload::trigger_and_cancel},
      {15, &Workload::cancel},  {10, &Workload::pause_or_resume},  {7, &Workload::edit},
      {8, &Workload::restart},
  };
  while (faulty) {
    co_await time_.sleep(source_.between(50ms, 2s));
    int at = static_cast<int>(source_.below(100));
    for (const auto& [percent, action] : kActions) {
      at -= percent;
      if (at >= 0) continue;
      co_await (this->*action)(services);
      break;
    }
  }
}

asio::awaitable<void> Workload::trigger(Services& services) {
  const auto task = any_task();
  const auto made = co_await services.create_task_control_service()->trigger_task(task, {});
  if (made) checker_.told(*made, task, std::nullopt);
}

// A client that got no answer asks again with the same key.
asio::awaitable<void> Workload::trigger_with_key(Services& services) {
  const auto task = any_task();
  const TriggerRequest request{.idempotency_key = fmt::format("key {}", keys_++)};
  for (int i = 0; i < 2; ++i) {
    const auto made = co_await services.create_task_control_service()->trigger_task(task, request);
    if (made) checker_.told(*made, task, request.idempotency_key);
    co_await time_.sleep(source_.between(1ms, 200ms));
  }
}

asio::awaitable<void> Workload::do_cancel(Services& services, RunId run) {
  checker_.will_cancel(run);
  const auto cancelled = co_await services.create_task_control_service()->cancel_run(run);
  if (cancelled) checker_.told_cancelled(run);
}

asio::awaitable<void> Workload::trigger_and_cancel(Services& services) {
  const auto task = any_task();
  const auto made = co_await services.create_task_control_service()->trigger_task(task, {});
  if (!made) co_return;
  checker_.told(*made, task, std::nullopt);
  co_await time_.sleep(source_.happens(50) ? source_.between(0ms, 30ms) : source_.between(0ms, 4s));
  co_await do_cancel(services, made->runs.front().id);
}

asio::awaitable<void> Workload::cancel(Services& services) {
  const auto& open = checker_.open();
  if (open.empty()) co_return;
  co_await do_cancel(services, *std::next(open.begin(), static_cast<std::ptrdiff_t>(source_.below(open.size()))));
}

asio::awaitable<void> Workload::pause_or_resume(Services& services) {
  const auto control = services.create_task_control_service();
  const auto task = any_task();
  if (source_.happens(50))
    (void)co_await control->pause_task(task);
  else
    (void)co_await control->resume_task(task);
}

asio::awaitable<void> Workload::edit(Services& services) {
  const auto tasks = services.create_task_service();
  const auto task = co_await tasks->get(any_task());
  if (!task || !task->spec.schedule) co_return;
  TaskDraft draft{.spec = task->spec};
  for (const auto upstream : task->spec.dependencies) draft.dependencies.emplace_back(upstream);
  any_schedule(draft.spec, source_);
  draft.spec.timezone = "UTC";  // mends the one that cannot be read
  draft.spec.priority = static_cast<int>(source_.below(10));
  (void)co_await tasks->update(task->id, std::move(draft), task->version);
}

asio::awaitable<void> Workload::restart(Services& services) {
  const auto& runs = checker_.runs();
  if (runs.empty()) co_return;
  const auto run = std::next(runs.begin(), static_cast<std::ptrdiff_t>(source_.below(runs.size())))->second;
  const auto made = co_await services.create_task_control_service()->restart_run(run.id, false);
  if (made) checker_.told(*made, run.task, std::nullopt);
}

asio::awaitable<void> Workload::pause_all_tasks(Store& store) {
  for (const auto id : tasks_) {
    auto task = co_await store.tasks().get(id);
    if (!task) co_return checker_.broken("a task is gone: " + task.error().message);
    task->spec.status = domain::TaskStatus::paused;
    task->next_fire_at.reset();
    const auto paused = co_await store.tasks().update(*task, std::nullopt);
    if (!paused) checker_.broken("a task could not be paused: " + paused.error().message);
  }
  (void)co_await checker_.observe();
}

}  // namespace scheduler::simulation
