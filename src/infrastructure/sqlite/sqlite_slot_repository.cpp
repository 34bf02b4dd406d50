#include "infrastructure/sqlite/sqlite_slot_repository.hpp"

#include "domain/route.hpp"
#include "infrastructure/sqlite/guards.hpp"
#include "infrastructure/sqlite/rows.hpp"
#include "infrastructure/sqlite/run_endings.hpp"
#include "infrastructure/sqlite/run_insert.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

using application::AssignedRun;
using application::Fire;
using application::FireReport;
using application::FireView;
using domain::OverlapAction;
using domain::Reason;

SchedulerResult<void> record_fired(Connection& connection, TaskId task, TimePoint slot, std::size_t shard, RunId run,
                                   TimePoint now) {
  CHECK(connection.execute(
      "INSERT INTO schedule_slots (task_id, slot, shard, first_slot, disposition, reason, run_id, decided_at)"
      " VALUES (?1, ?2, ?3, ?2, 'fired', 'none', ?4, ?5)",
      task, slot, shard, run, now));
  return {};
}

SchedulerResult<bool> is_recorded(Connection& connection, TaskId task, TimePoint slot) {
  TRY(const auto found,
      connection.query("SELECT 1 FROM schedule_slots WHERE task_id = ? AND slot = ? LIMIT 1", task, slot).value<int>());
  return found.has_value();
}

// All fires of one transaction.
class FireTransaction {
 public:
  FireTransaction(Connection& connection, TimePoint now)
      : connection_(connection), now_(now), endings_(connection, now) {}

  SchedulerResult<FireReport> commit(const std::vector<Fire>& fires) {
    for (const auto& fire : fires) CHECK(commit(fire));
    CHECK(endings_.settle());
    return std::move(report_);
  }

 private:
  SchedulerResult<void> commit(const Fire& fire) {
    TRY(const auto won,
        connection_.execute("UPDATE tasks SET watermark = ?1, next_fire_at = ?2 WHERE id = ?3 AND version = ?4"
                            " AND watermark IS ?5 AND archived_at IS NULL",
                            fire.plan.watermark, fire.plan.next_fire_at, fire.task.id, fire.task.version,
                            fire.task.watermark));
    if (won == 0) {
      ++report_.lost_races;
      return {};
    }
    for (const auto& slots : fire.plan.slots)
      CHECK(slots.fire ? fire_slot(fire.task, slots.last) : skip(fire.task, slots));
    return {};
  }

  SchedulerResult<void> skip(const domain::Task& task, const domain::SlotDecision& slots) {
    TRY(const bool recorded, record_skipped(connection_, task.id, slots, now_));
    report_.skipped += recorded;
    return {};
  }

  SchedulerResult<void> fire_slot(const domain::Task& task, TimePoint slot) {
    TRY(const bool recorded, is_recorded(connection_, task.id, slot));
    if (recorded) return {};
    TRY(const auto action, overlap(task));
    switch (action) {
      case OverlapAction::start:
        return insert(task, slot, domain::RunState::pending);
      case OverlapAction::wait:
        return insert(task, slot, domain::RunState::waiting);
      case OverlapAction::replace_then_wait:
        CHECK(replace(task.id));
        return insert(task, slot, domain::RunState::waiting);
      case OverlapAction::skip:
        return skip(task, {slot, slot, false, Reason::overlap});
    }
    return {};
  }

  SchedulerResult<OverlapAction> overlap(const domain::Task& task) {
    if (task.spec.overlap_policy == domain::OverlapPolicy::allow) return OverlapAction::start;  // no need to count
    TRY(const auto all,
        connection_.query("SELECT count(*) FROM task_runs WHERE task_id = ? AND ended_at IS NULL", task.id)
            .value<int>());
    TRY(const auto waiting,
        connection_.query("SELECT count(*) FROM task_runs WHERE task_id = ? AND state = 'waiting'", task.id)
            .value<int>());
    return domain::on_overlap(task.spec.overlap_policy, *all - *waiting, *waiting);
  }

  SchedulerResult<void> insert(const domain::Task& task, TimePoint slot, domain::RunState state) {
    const auto route = domain::route_of(task.spec);
    const NewFire fire{.task = task.id,
                       .route = route,
                       .priority = task.spec.priority,
                       .trigger = domain::Trigger::schedule,
                       .slot = slot,
                       .state = state,
                       .created_at = now_,
                       .due_at = slot};
    TRY(const auto runs, insert_runs(connection_, fire, task.spec.shard_count));
    for (std::size_t shard = 0; shard < runs.size(); ++shard)
      CHECK(record_fired(connection_, task.id, slot, shard, runs[shard], now_));
    report_.runs += runs.size();
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
  return database_.write([task, version](Connection& connection) -> SchedulerResult<void> {
    CHECK(connection.execute("UPDATE tasks SET next_fire_at = NULL WHERE id = ? AND version = ?", task, version));
    return {};
  });
}

}  // namespace scheduler::infrastructure
