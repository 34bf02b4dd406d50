#include "application/task_service.hpp"

#include "application/decide_due_slots.hpp"
#include "application/nudge.hpp"
#include "application/service_factory.hpp"
#include "application/surroundings.hpp"
#include "application/task_schedule.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <set>
#include <tuple>

namespace scheduler::application {
namespace {

constexpr int kCountMax = 1000;

SchedulerResult<void> check_count(int count) {
  if (count >= 1 && count <= kCountMax) return {};
  const auto what = fmt::format("must be between 1 and {}", kCountMax);
  return fail(ErrorKind::Validation, "count " + what, {{"count", what}});
}

SchedulerResult<void> check_version(const domain::Task& task, std::optional<std::int64_t> wanted) {
  if (!wanted || *wanted == task.version) return {};
  return fail(ErrorKind::PreconditionFailed,
              fmt::format("task {} is at version {}, not {}; read it again and repeat the change", task.id.value,
                          task.version, *wanted));
}

// The error of a schedule or zone, with the field that holds it.
SchedulerError in_field(SchedulerError error) {
  if (error.fields.empty())
    error.fields = {{error.kind == ErrorKind::InvalidSchedule ? "/schedule" : "/timezone", error.message}};
  return error;
}

bool overlaps(std::string_view a, std::string_view b) {
  return a == b || a.starts_with(std::string(b) + "/") || b.starts_with(std::string(a) + "/");
}

// All faults of one input; a field that was judged already is not judged again.
class Faults {
 public:
  explicit Faults(std::vector<FieldError> known) : all_(std::move(known)) {}
  [[nodiscard]] bool judged(std::string_view pointer) const {
    return std::ranges::any_of(all_, [&](const auto& f) { return overlaps(f.pointer, pointer); });
  }
  void add(std::vector<FieldError> more) {
    std::erase_if(more, [this](const auto& f) { return judged(f.pointer); });
    all_.insert(all_.end(), std::make_move_iterator(more.begin()), std::make_move_iterator(more.end()));
  }
  [[nodiscard]] bool none() const { return all_.empty(); }
  // One error for all of them. A bad schedule alone keeps its own kind, so that clients can tell.
  [[nodiscard]] SchedulerError error() && {
    const bool only_schedule = all_.size() == 1 && all_[0].pointer == "/schedule";
    auto message = all_.size() == 1 ? fmt::format("{}: {}", all_[0].pointer, all_[0].message)
                                    : fmt::format("{} fields are not right", all_.size());
    return {only_schedule ? ErrorKind::InvalidSchedule : ErrorKind::Validation, std::move(message), std::move(all_)};
  }

 private:
  std::vector<FieldError> all_;
};

class TaskServiceImpl final : public TaskService {
 public:
  explicit TaskServiceImpl(ServiceFactory::Ports ports) : ports_(ports) {}

  Async<domain::Task> create(TaskDraft draft) override {
    domain::Task task;
    task.owner = draft.owner;
    CO_TRY(task.created_at, ports_.store.now());
    CO_TRY(task.spec, check(std::move(draft), task.created_at, task.created_at));
    CO_ENSURE(plan_first_fire(task, task.created_at));
    CO_TRY(auto created, ports_.store.tasks().create(std::move(task)));
    if (created.next_fire_at) co_await nudge(ports_.queue);
    co_return created;
  }

  Async<domain::Task> update(TaskId id, TaskDraft draft, std::optional<std::int64_t> if_version) override {
    CO_TRY(auto task, ports_.store.tasks().get(id));
    CO_ENSURE(check_version(task, if_version));
    CO_TRY(const auto now, ports_.store.now());
    const bool new_times =
        std::tie(draft.spec.schedule, draft.spec.timezone) != std::tie(task.spec.schedule, task.spec.timezone);
    CO_TRY(auto spec, check(std::move(draft), task.created_at, new_times ? std::optional(now) : std::nullopt));
    const auto rule = [](const domain::TaskSpec& it) { return std::tie(it.schedule, it.timezone, it.name, it.status); };
    const bool same_rule = rule(spec) == rule(task.spec);
    if (!same_rule) {
      CO_TRY(task, decide_due_slots(ports_, std::move(task), now));
      CO_ENSURE(check_version(task, if_version));
    }
    const auto unfired = same_rule ? std::nullopt : slots_of_old_rule(task, now);
    const auto names_of_slots = [](const domain::TaskSpec& it) { return std::tie(it.schedule, it.timezone, it.name); };
    const auto since = names_of_slots(spec) == names_of_slots(task.spec) ? task.schedule_since : std::nullopt;
    if (spec.shard_count > 1) CO_CHECK(check_rounds_of_shards(id, spec));
    const bool new_limit = spec.max_concurrent_runs != task.spec.max_concurrent_runs;  // may have let runs go
    task.spec = std::move(spec);
    if (!same_rule) CO_ENSURE(plan_first_fire(task, std::max(now, task.watermark.value_or(now))));
    if (since) task.schedule_since = since;  // only the status has changed
    CO_TRY(auto updated, ports_.store.tasks().update(std::move(task), unfired));
    if (updated.next_fire_at || new_limit) co_await nudge(ports_.queue);
    co_return updated;
  }

  Async<domain::Task> get(TaskId id) override { return ports_.store.tasks().get(id); }
  Async<domain::Task> find(std::string name) override { return ports_.store.tasks().find(std::move(name)); }
  Async<Page<domain::Task>> list(TaskFilter filter, Paging paging) override {
    return ports_.store.tasks().list(std::move(filter), paging);
  }

  Async<void> archive(TaskId id, std::optional<std::int64_t> if_version) override {
    CO_TRY(const auto task, ports_.store.tasks().get(id));
    CO_ENSURE(check_version(task, if_version));
    co_return co_await ports_.store.tasks().archive(id);
  }

  Async<std::vector<TimePoint>> next(TaskId id, std::optional<TimePoint> from, int count) override {
    CO_ENSURE(check_count(count));
    CO_TRY(const auto task, ports_.store.tasks().get(id));
    CO_TRY(const auto now, ports_.store.now());
    if (!task.spec.schedule) co_return std::vector<TimePoint>{};
    CO_UNWRAP(const auto schedule, schedule_of(task.spec, task.created_at, ports_.zones));
    co_return domain::slots(schedule, from.value_or(now), TimePoint::max(), static_cast<std::size_t>(count));
  }

  Async<SlotReport> slots(TaskId id, SlotQuery query) override {
    return slot_report(ports_.store, ports_.zones, id, query);
  }

  Async<TaskExplained> explain(TaskId id) override {
    domain::TaskWhyView view;
    CO_TRY(view.task, ports_.store.tasks().get(id));
    if (view.task.spec.schedule) view.set_aside = set_aside(view.task, ports_.zones);
    CO_TRY(auto around, surroundings(ports_.store));
    view.now = around.now;
    view.workers = std::move(around.workers);
    CO_TRY(view.active, active_runs(ports_.store, id));
    CO_TRY(view.last_slot, last_slot_of(view.task));
    auto gates = domain::why(view);
    co_return TaskExplained{std::move(view.task), std::move(gates)};
  }

  Async<void> check_history(TaskId id) override {
    const auto task = co_await ports_.store.tasks().get(id);
    if (task) co_return SchedulerResult<void>{};
    if (task.error().kind == ErrorKind::TaskNotFound) {
      CO_TRY(const auto left, ports_.store.runs().list({.task = id}, {.limit = 1}));
      if (!left.items.empty()) co_return SchedulerResult<void>{};
    }
    co_return std::unexpected(task.error());
  }

  Async<TaskStats> stats(TaskId id) override {
    CO_CHECK(check_history(id));
    co_return co_await ports_.store.runs().stats(id);
  }

  Async<TaskDependencies> dependencies(TaskId id) override {
    CO_TRY(const auto task, ports_.store.tasks().get(id));
    CO_TRY(auto dependants, ports_.store.tasks().dependants(id));
    if (dependants.size() > kGraphTasksMax) dependants.resize(kGraphTasksMax);
    auto wanted = task.spec.dependencies;
    wanted.push_back(id);
    CO_TRY(auto standings, ports_.store.tasks().standings(std::move(wanted)));
    TaskDependencies all;
    for (const auto upstream : task.spec.dependencies)
      if (const auto it = std::ranges::find(standings, upstream, &TaskStanding::id); it != standings.end())
        all.upstreams.push_back(*it);
    const auto self = std::ranges::find(standings, id, &TaskStanding::id);
    if (self == standings.end())
      co_return fail(ErrorKind::TaskNotFound, fmt::format("task {} has just been deleted", id.value));
    all.task = *self;
    CO_TRY(all.dependants, ports_.store.tasks().standings(std::move(dependants)));
    co_return all;
  }

  // Step by step outwards, so that what is left out is what is farthest away.
  Async<TaskGraph> graph(TaskId id, int depth) override {
    CO_TRY(const auto root, ports_.store.tasks().get(id));
    constexpr std::size_t kEdgesMax = 10 * kGraphTasksMax;
    TaskGraph graph;
    std::set<TaskId> seen{root.id};
    std::set<DependencyEdge> edges;
    std::vector<TaskId> frontier{root.id};
    for (int step = 0; !frontier.empty(); ++step) {
      CO_TRY(const auto found, ports_.store.tasks().edges(std::exchange(frontier, {}), kEdgesMax));
      graph.truncated |= found.size() == kEdgesMax;
      for (const auto& edge : found) {
        for (const auto end : {edge.task, edge.upstream}) {
          if (step == depth || seen.contains(end)) continue;
          if (seen.size() == kGraphTasksMax)
            graph.truncated = true;
          else if (seen.insert(end).second)
            frontier.push_back(end);
        }
        edges.insert(edge);
      }
    }
    std::ranges::copy_if(edges, std::back_inserter(graph.edges), [&](const DependencyEdge& it) {
      return seen.contains(it.task) && seen.contains(it.upstream);
    });
    CO_TRY(graph.tasks, ports_.store.tasks().standings({seen.begin(), seen.end()}));
    co_return graph;
  }

  Async<Preview> preview(PreviewRequest request) override {
    CO_ENSURE(check_count(request.count));
    CO_TRY(const auto now, ports_.store.now());
    const auto from = request.from.value_or(now);
    domain::TaskSpec spec;
    spec.name = request.task_name;
    spec.schedule = request.schedule;
    spec.timezone = request.timezone;
    const auto schedule = schedule_of(spec, from, ports_.zones);
    if (!schedule) co_return std::unexpected(in_field(schedule.error()));
    co_return Preview{domain::explain(*schedule),
                      domain::slots(*schedule, from, TimePoint::max(), static_cast<std::size_t>(request.count))};
  }

 private:
  // What the ledger holds about the latest fire time that is decided; nothing where there is none.
  Async<std::optional<domain::SlotRecord>> last_slot_of(domain::Task task) {
    std::optional<domain::SlotRecord> none;
    if (!task.spec.schedule || !task.watermark) co_return none;
    const auto schedule = schedule_of(task.spec, task.created_at, ports_.zones);
    if (!schedule) co_return none;
    const auto last = domain::last_slot(*schedule, task.schedule_since.value_or(task.created_at), *task.watermark);
    if (!last) co_return none;
    CO_TRY(auto records, ports_.store.slots().recorded(task.id, {*last}));
    co_return records.empty() ? none : std::optional(std::move(records.front()));
  }

  // Zone and schedule are judged each on its own: under a zone that is not known, the text is read as if in UTC.
  // `fires_after`: set where the schedule is a new one, which must still have something to do.
  [[nodiscard]] std::vector<FieldError> check_schedule(domain::TaskSpec spec, TimePoint created_at,
                                                       std::optional<TimePoint> fires_after) const {
    std::vector<FieldError> faults;
    if (const auto zone = ports_.zones.find(spec.timezone); !zone) {
      faults.push_back({"/timezone", zone.error().message});
      spec.timezone = "UTC";
    }
    if (!spec.schedule) return faults;
    const auto add = [&](SchedulerError error) {
      for (auto& fault : in_field(std::move(error)).fields) faults.push_back(std::move(fault));
    };
    auto schedule = schedule_of(spec, created_at, ports_.zones);
    if (!schedule)
      add(std::move(schedule).error());
    else if (auto over = fires_after ? check_fires_after(*schedule, *fires_after) : SchedulerResult<void>(); !over)
      add(std::move(over).error());
    return faults;
  }

  // A few of the next fire times stand for all of them; a dispatcher looks again at each.
  [[nodiscard]] std::vector<FieldError> check_awaited(const domain::TaskSpec& spec,
                                                      const std::vector<domain::Task>& upstreams,
                                                      TimePoint created_at) const {
    constexpr std::size_t kFireTimes = 4;
    if (!spec.schedule || upstreams.empty()) return {};
    const auto own = schedule_of(spec, created_at, ports_.zones);
    if (!own) return {};
    std::vector<domain::UpstreamSchedule> schedules;
    for (const auto& it : upstreams) {
      schedules.push_back({.task = it.id, .schedule = {}});
      if (auto schedule = it.spec.schedule ? schedule_of(it.spec, it.created_at, ports_.zones)
                                           : SchedulerResult<domain::Schedule>(std::unexpected(SchedulerError{})))
        schedules.back().schedule = *std::move(schedule);
    }
    for (const auto slot : domain::slots(*own, created_at, TimePoint::max(), kFireTimes)) {
      const auto runs = domain::awaited_runs(*own, slot, schedules).size() * static_cast<std::size_t>(spec.shard_count);
      if (runs > domain::kAwaitedRunsMax)
        return {{"/dependencies",
                 fmt::format("one fire time would wait for more than {} runs of upstream tasks; let this task fire "
                             "more often, or let another one that fires in between gather their results",
                             domain::kAwaitedRunsMax)}};
    }
    return {};
  }

  static std::vector<std::string> names_of(const std::vector<domain::Task>& tasks) {
    std::vector<std::string> names;
    for (const auto& it : tasks) names.push_back(it.spec.name);
    return names;
  }

  // The spec with its dependencies as ids, or every fault of the draft at once.
  Async<domain::TaskSpec> check(TaskDraft draft, TimePoint created_at, std::optional<TimePoint> fires_after) {
    Faults faults(std::move(draft.faults));
    auto spec = std::move(draft.spec);
    CO_TRY(auto resolved, resolve(std::move(draft.dependencies), spec.schedule.has_value()));
    spec.dependencies = std::move(resolved.ids);
    faults.add(std::move(resolved.faults));
    faults.add(domain::validate(spec));
    if (!faults.judged("/task_type"))
      faults.add(ports_.parameters.check(spec.task_type, spec.parameters, names_of(resolved.tasks)));
    faults.add(check_schedule(spec, created_at, fires_after));
    if (!faults.judged("/schedule") && !faults.judged("/dependencies"))
      faults.add(check_awaited(spec, resolved.tasks, created_at));
    if (!faults.none()) co_return std::unexpected(std::move(faults).error());
    co_return spec;
  }

  // A round counts runs, and the runs of one fire of a sharded task are several. A fire time counts them as one.
  Async<void> check_rounds_of_shards(TaskId id, domain::TaskSpec spec) {
    CO_TRY(auto dependants, ports_.store.tasks().dependants(id));
    if (dependants.empty()) co_return SchedulerResult<void>{};
    CO_TRY(const auto standings, ports_.store.tasks().standings(std::move(dependants)));
    const auto in_rounds = std::ranges::find_if(
        standings, [&](const TaskStanding& it) { return !spec.schedule.has_value() || !it.schedule.has_value(); });
    if (in_rounds == standings.end()) co_return SchedulerResult<void>{};
    const auto what =
        fmt::format("must be 1 while task '{}' runs after this one, unless both have a schedule", in_rounds->name);
    co_return fail(ErrorKind::Validation, "/shard_count: " + what, {{"/shard_count", what}});
  }

  struct Resolved {
    std::vector<TaskId> ids;
    std::vector<domain::Task> tasks;
    std::vector<FieldError> faults;
  };
  Async<Resolved> resolve(std::vector<TaskRef> refs, bool scheduled) {
    Resolved all;
    for (std::size_t i = 0; i < refs.size() && i <= domain::kDependenciesMax; ++i) {
      const auto* id = std::get_if<TaskId>(&refs[i]);
      auto task = id ? co_await ports_.store.tasks().get(*id)
                     : co_await ports_.store.tasks().find(std::get<std::string>(refs[i]));
      const auto pointer = fmt::format("/dependencies/{}", i);
      if (!task && task.error().kind != ErrorKind::TaskNotFound) co_return std::unexpected(std::move(task).error());
      if (task && task->spec.shard_count > 1 && !(scheduled && task->spec.schedule))
        all.faults.push_back(
            {pointer, fmt::format("task '{}' runs in {} shards: only a task with a schedule can run after it, and only "
                                  "while it has one too",
                                  task->spec.name, task->spec.shard_count)});
      if (task) {
        all.ids.push_back(task->id);
        all.tasks.push_back(*std::move(task));
      } else {
        all.faults.push_back(
            {pointer, id ? fmt::format("there is no task {}", id->value)
                         : fmt::format("there is no task named '{}'", std::get<std::string>(refs[i]))});
      }
    }
    co_return all;
  }

  // The slots up to `now` that the rule named before it changed, and that no fire has decided. A rule that cannot be
  // read any more names none.
  [[nodiscard]] std::optional<domain::SlotDecision> slots_of_old_rule(const domain::Task& task, TimePoint now) const {
    if (!task.spec.schedule || !task.watermark) return std::nullopt;
    const auto schedule = schedule_of(task.spec, task.created_at, ports_.zones);
    if (!schedule) return std::nullopt;
    const bool paused = task.spec.status == domain::TaskStatus::paused;
    return unfired_slots(*schedule, *task.watermark, now, paused ? domain::Reason::paused : domain::Reason::misfire);
  }

  // Slots up to `from` are none of this schedule's business; the first one after it is the next to fire.
  SchedulerResult<void> plan_first_fire(domain::Task& task, TimePoint from) const {
    task.watermark.reset();
    task.next_fire_at.reset();
    task.schedule_since.reset();
    if (!task.spec.schedule) return {};
    TRY(const auto schedule, schedule_of(task.spec, task.created_at, ports_.zones));
    task.watermark = from;
    task.schedule_since = from;
    if (task.spec.status == domain::TaskStatus::active) task.next_fire_at = domain::next_slot(schedule, from);
    return {};
  }

  ServiceFactory::Ports ports_;
};

}  // namespace

std::unique_ptr<TaskService> ServiceFactory::create_task_service() const {
  return std::make_unique<TaskServiceImpl>(ports_);
}

}  // namespace scheduler::application
