#include "infrastructure/sqlite/sqlite_slot_repository.hpp"

#include "domain/route.hpp"
#include "infrastructure/sqlite/rows.hpp"
#include "infrastructure/sqlite/run_endings.hpp"
#include "infrastructure/sqlite/run_insert.hpp"
#include "infrastructure/store/guards.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>
#include <set>

namespace scheduler::infrastructure {
namespace {

using application::AssignedRun;
using application::Fire;
using application::FireReport;
using application::FireView;
using database::sqlite::column_of;
using domain::OverlapAction;
using domain::Reason;

// All fires of one transaction. What they write is gathered and written by one statement for each table; a decision
// that depends on runs of its own task, which may be among what was gathered, has them written first.
class FireTransaction {
 public:
  FireTransaction(Connection& connection, TimePoint now)
      : connection_(connection), now_(now), endings_(connection, now) {}

  SchedulerResult<FireReport> commit(const std::vector<Fire>& fires) {
    CHECK(read_versions(fires));
    CHECK(advance(fires));
    CHECK(find_recorded(fires));
    TRY(next_run_, next_run_id(connection_));
    for (const auto& fire : fires) CHECK(commit(fire));
    CHECK(write_fired());
    for (const auto& [run, awaited] : waiting_) CHECK(endings_.wait_for(run, *awaited));
    for (const auto task : passed_) CHECK(endings_.note_passed(task));
    CHECK(endings_.settle());
    return std::move(report_);
  }

 private:
  using Slot = std::pair<TaskId, TimePoint>;

  SchedulerResult<void> read_versions(const std::vector<Fire>& fires) {
    std::set<TaskId> upstreams;
    for (const auto& fire : fires)
      for (const auto& [task, version] : fire.upstream_versions) upstreams.insert(task);
    if (upstreams.empty()) return {};
    const auto rows = column_of(upstreams);
    auto versions = connection_.query("SELECT t.id, t.version FROM rows(?1) CROSS JOIN tasks t ON t.id = c1", rows);
    TRY(const auto read, versions.all([this](Statement& row) {
      std::pair<TaskId, std::int64_t> it;
      row.read(it.first, it.second);
      return versions_.insert(it).second;
    }));
    return {};
  }

  // What it waits for was worked out from upstream tasks as they are now.
  [[nodiscard]] bool upstreams_are_as_seen(const Fire& fire) const {
    return std::ranges::all_of(fire.upstream_versions, [this](const auto& seen) {
      const auto now = versions_.find(seen.first);
      return now != versions_.end() && now->second == seen.second;
    });
  }

  // The guard: only the fires that were decided on the task as it is now go on.
  SchedulerResult<void> advance(const std::vector<Fire>& fires) {
    RowSet rows;
    for (const auto& it : fires)
      if (upstreams_are_as_seen(it))
        rows.add(it.task.id, it.task.version, it.task.watermark, it.plan.watermark, it.plan.next_fire_at);
    TRY(const auto won, connection_
                            .query("UPDATE OR FAIL tasks SET watermark = c4, next_fire_at = c5 FROM rows(?1)"
                                   " WHERE tasks.id = c1 AND tasks.version = c2 AND tasks.watermark IS c3"
                                   " AND tasks.archived_at IS NULL RETURNING tasks.id",
                                   rows)
                            .values<TaskId>());
    won_.insert(won.begin(), won.end());
    return {};
  }

  SchedulerResult<void> find_recorded(const std::vector<Fire>& fires) {
    RowSet rows;
    for (const auto& fire : fires)
      for (const auto& slots : fire.plan.slots)
        if (slots.fire) rows.add(slots.last, fire.task.id);
    auto recorded = connection_.query(
        "SELECT DISTINCT s.task_id, s.slot FROM rows(?1) CROSS JOIN schedule_slots s ON s.slot = c1 AND s.task_id = c2",
        rows);
    TRY(const auto found, recorded.all([](Statement& row) {
      Slot slot;
      row.read(slot.first, slot.second);
      return slot;
    }));
    recorded_.insert(found.begin(), found.end());
    return {};
  }

  SchedulerResult<void> commit(const Fire& fire) {
    if (won_.erase(fire.task.id) == 0) {
      ++report_.lost_races;
      return {};
    }
    const auto& route = routes_.emplace_back(domain::route_of(fire.task.spec));
    for (const auto& slots : fire.plan.slots)
      CHECK(slots.fire ? fire_slot(fire, slots.last, route) : skip(fire.task, slots));
    return {};
  }

  SchedulerResult<void> skip(const domain::Task& task, const domain::SlotDecision& slots) {
    TRY(const bool recorded, record_skipped(connection_, task.id, slots, now_));
    report_.skipped += recorded;
    passed_.insert(task.id);
    return {};
  }

  SchedulerResult<void> fire_slot(const Fire& fire, TimePoint slot, std::string_view route) {
    const auto& task = fire.task;
    if (!recorded_.emplace(task.id, slot).second) return {};
    TRY(const auto action, overlap(task));
    const auto awaited = fire.awaited.find(slot);
    const auto* upstreams = awaited == fire.awaited.end() ? nullptr : &awaited->second;
    switch (action) {
      case OverlapAction::start:
        add_runs(task, slot, route, upstreams ? domain::RunState::waiting : domain::RunState::pending, upstreams);
        return {};
      case OverlapAction::wait:
        add_runs(task, slot, route, domain::RunState::waiting, upstreams);
        return {};
      case OverlapAction::replace_then_wait:
        CHECK(replace(task.id));
        add_runs(task, slot, route, domain::RunState::waiting, upstreams);
        return {};
      case OverlapAction::skip:
        return skip(task, {slot, slot, false, Reason::overlap});
    }
    return {};
  }

  SchedulerResult<OverlapAction> overlap(const domain::Task& task) {
    if (task.spec.overlap_policy == domain::OverlapPolicy::allow) return OverlapAction::start;  // no need to count
    if (last_gathered_ == task.id) CHECK(write_fired());
    TRY(const auto all,
        connection_.query("SELECT count(*) FROM task_runs WHERE task_id = ? AND ended_at IS NULL", task.id)
            .value<int>());
    TRY(const auto waiting,
        connection_.query("SELECT count(*) FROM task_runs WHERE task_id = ? AND state = 'waiting'", task.id)
            .value<int>());
    if (task.spec.dependencies.empty()) return domain::on_overlap(task.spec.overlap_policy, *all - *waiting, *waiting);
    TRY(const auto slots,
        connection_.query("SELECT count(DISTINCT slot) FROM task_runs WHERE task_id = ? AND state = 'waiting'", task.id)
            .value<int>());
    return domain::on_overlap(task.spec.overlap_policy, *all - *waiting, *slots, true);
  }

  // `upstreams`: what the runs wait for; null: nothing.
  void add_runs(const domain::Task& task, TimePoint slot, std::string_view route, domain::RunState state,
                const std::vector<domain::AwaitedRun>* upstreams) {
    const int shards = task.spec.shard_count;
    for (int shard = 0; shard < shards; ++shard) {
      if (upstreams) waiting_.emplace_back(RunId{next_run_}, upstreams);
      fired_.add(next_run_++, task.id, slot, shard, shards, state, route, task.spec.priority);
    }
    report_.runs += static_cast<std::size_t>(shards);
    last_gathered_ = task.id;
  }

  SchedulerResult<void> write_fired() {
    if (fired_.empty()) return {};
    CHECK(connection_.execute(
        "INSERT INTO task_runs (id, task_id, triggered_by, slot, shard_index, shard_total, state, route, priority,"
        " created_at, due_at) SELECT c1, c2, 'schedule', c3, c4, c5, c6, c7, c8, ?2, c3 FROM rows(?1)",
        fired_, now_));
    CHECK(connection_.execute(
        "INSERT INTO schedule_slots (task_id, slot, shard, first_slot, disposition, reason, run_id, decided_at)"
        " SELECT c2, c3, c4, c3, 'fired', 'none', c1, ?2 FROM rows(?1)",
        fired_, now_));
    fired_.clear();
    last_gathered_.reset();
    return {};
  }

  // What waits is dropped, what is pending is cancelled, and workers are to stop what they have.
  SchedulerResult<void> replace(TaskId task) {
    constexpr std::string_view kWhy = "replaced by the run of a later fire time";
    CHECK(endings_.end_undispatched(task, domain::Event::skip, Reason::overlap, kWhy));
    CHECK(endings_.end_undispatched(task, domain::Event::cancel, Reason::overlap, kWhy));
    static const auto kSql =
        fmt::format("UPDATE task_runs SET {} WHERE task_id = ?2 AND ended_at IS NULL AND {} RETURNING {}",
                    kMarkForCancel, may_leave(domain::Event::cancel, Side::attempt), kAssignedColumns);
    TRY(const auto held, connection_.query(kSql, Reason::overlap, task).all(read_assigned));
    report_.to_cancel.insert(report_.to_cancel.end(), held.begin(), held.end());
    return {};
  }

  Connection& connection_;
  TimePoint now_;
  RunEndings endings_;
  FireReport report_;
  std::set<TaskId> won_;
  std::set<Slot> recorded_;
  std::deque<std::string> routes_;  // `fired_` looks at them
  RowSet fired_;
  std::optional<TaskId> last_gathered_;                                            // fires of one task stand together
  std::map<TaskId, std::int64_t> versions_;                                        // of upstream tasks
  std::vector<std::pair<RunId, const std::vector<domain::AwaitedRun>*>> waiting_;  // for upstream runs
  std::set<TaskId> passed_;                                                        // tasks with a slot that was skipped
  std::int64_t next_run_ = 0;
};

SchedulerResult<FireView> fire_view(Connection& connection, TimePoint now, std::size_t limit) {
  static const auto kSql = fmt::format(
      "SELECT {} FROM tasks t WHERE t.status = 'active' AND t.archived_at IS NULL AND t.next_fire_at <= ?"
      " ORDER BY t.next_fire_at, t.id LIMIT ?",
      kTaskColumns);
  FireView view{.now = now};
  TRY(view.due, read_tasks(connection, connection.query(kSql, now, limit)));
  TRY(view.next_fire_at, connection
                             .query("SELECT next_fire_at FROM tasks WHERE status = 'active' AND archived_at IS NULL"
                                    " AND next_fire_at > ? ORDER BY next_fire_at LIMIT 1",
                                    now)
                             .value<TimePoint>());
  std::set<TaskId> upstreams;
  for (const auto& task : view.due) upstreams.insert(task.spec.dependencies.begin(), task.spec.dependencies.end());
  if (upstreams.empty()) return view;
  static const auto kUpstreams =
      fmt::format("SELECT {} FROM rows(?1) CROSS JOIN tasks t ON t.id = c1", kUpstreamTaskColumns);
  const auto rows = column_of(upstreams);
  TRY(view.upstreams, connection.query(kUpstreams, rows).all(read_upstream_task));
  return view;
}

}  // namespace

SchedulerResult<bool> record_skipped(Connection& connection, TaskId task, const domain::SlotDecision& slots,
                                     TimePoint now) {
  TRY(const auto inserted,
      connection.execute(
          "INSERT INTO schedule_slots (task_id, slot, shard, first_slot, disposition, reason, decided_at)"
          " VALUES (?, ?, 0, ?, 'skipped', ?, ?) ON CONFLICT DO NOTHING",
          task, slots.last, slots.first, slots.reason, now));
  return inserted == 1;
}

Async<FireView> SqliteSlotRepository::due(std::size_t limit) {
  return database_.read([this, limit](Connection& connection) { return fire_view(connection, clock_.now(), limit); });
}

Async<FireReport> SqliteSlotRepository::commit(std::vector<Fire> fires) {
  return database_.write([this, fires = std::move(fires)](Connection& connection) {
    return FireTransaction(connection, clock_.now()).commit(fires);
  });
}

Async<void> SqliteSlotRepository::quarantine(TaskId task, std::int64_t version) {
  return database_.write([this, task, version](Connection& connection) -> SchedulerResult<void> {
    CHECK(connection.execute("UPDATE tasks SET next_fire_at = NULL WHERE id = ? AND version = ?", task, version));
    RunEndings endings(connection, clock_.now());
    CHECK(endings.note_passed(task));
    return endings.settle();
  });
}

}  // namespace scheduler::infrastructure
