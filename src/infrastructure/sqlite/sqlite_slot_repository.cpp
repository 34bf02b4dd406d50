#include "infrastructure/sqlite/sqlite_slot_repository.hpp"

#include "domain/route.hpp"
#include "infrastructure/sqlite/rows.hpp"
#include "infrastructure/sqlite/run_endings.hpp"
#include "infrastructure/sqlite/run_insert.hpp"
#include "infrastructure/store/guards.hpp"
#include "infrastructure/store/room.hpp"

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
using database::sqlite::Statement;
using domain::OverlapAction;
using domain::Reason;
using domain::SlotRecord;

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
      CHECK(slots.fire ? fire_slot(fire, slots, route) : skip(fire.task, slots, std::nullopt));
    return {};
  }

  SchedulerResult<void> skip(const domain::Task& task, const domain::SlotDecision& slots, std::optional<RunId> cause) {
    TRY(const bool recorded, record_skipped(connection_, task.id, slots, now_, cause));
    report_.skipped += recorded;
    passed_.insert(task.id);
    return {};
  }

  SchedulerResult<void> fire_slot(const Fire& fire, const domain::SlotDecision& slot, std::string_view route) {
    const auto& task = fire.task;
    if (!recorded_.emplace(task.id, slot.last).second) return {};
    TRY(const auto overlap, overlap_of(task));
    if (overlap.action == OverlapAction::skip)
      return skip(task, {slot.first, slot.last, false, Reason::overlap}, overlap.cause);
    if (overlap.action == OverlapAction::replace_then_wait) CHECK(replace(task.id));
    CHECK(find_room(task));
    const auto awaited = fire.awaited.find(slot.last);
    add_runs(task, slot, route, overlap, awaited == fire.awaited.end() ? nullptr : &awaited->second);
    return {};
  }

  struct Overlap {
    OverlapAction action = OverlapAction::start;
    std::optional<RunId> cause;
  };
  SchedulerResult<Overlap> overlap_of(const domain::Task& task) {
    if (task.spec.overlap_policy == domain::OverlapPolicy::allow) return Overlap{};  // no need to count
    if (last_gathered_ == task.id) CHECK(write_fired());
    static const auto kEarlier = fmt::format(
        "SELECT count(*), min(id) FROM task_runs r WHERE r.task_id = ?1 AND r.ended_at IS NULL"
        " AND (r.waits_for = 'limit' OR {})",
        run_goes("?2"));
    struct Runs {
      int count = 0;
      std::optional<RunId> oldest;
    };
    const auto read = [](Statement& row) {
      Runs runs;
      row.read(runs.count, runs.oldest);
      return runs;
    };
    TRY(const auto earlier, connection_.query(kEarlier, task.id, now_).first(read));
    // Fire times, not runs: those of a task that runs after others wait in several shards before one goes.
    TRY(const auto queued,
        connection_
            .query("SELECT count(DISTINCT slot), min(id) FROM task_runs WHERE task_id = ? AND state = 'waiting'"
                   " AND waits_for IN ('overlap', 'upstreams') AND slot IS NOT NULL",
                   task.id)
            .first(read));
    const auto action =
        domain::on_overlap(task.spec.overlap_policy, earlier->count, queued->count, !task.spec.dependencies.empty());
    return Overlap{action, domain::overlap_cause(action, earlier->oldest, queued->oldest)};
  }

  SchedulerResult<void> find_room(const domain::Task& task) {
    const auto limit = task.spec.max_concurrent_runs;
    if (!limit) return {};
    if (last_gathered_ == task.id) CHECK(write_fired());
    TRY(const auto taken, room_taken(connection_, task.id));
    room_.know(task.id, *limit, taken);
    return {};
  }

  // `upstreams`: what the runs wait for first of all; null: nothing.
  void add_runs(const domain::Task& task, const domain::SlotDecision& slot, std::string_view route,
                const Overlap& overlap, const std::vector<domain::AwaitedRun>* upstreams) {
    const int shards = task.spec.shard_count;
    const auto reason = overlap.cause ? Reason::overlap : Reason::none;
    const auto due_at = slot.due_at.value_or(slot.last);
    const auto group = shards > 1 ? std::optional(next_run_) : std::nullopt;
    NewFire fire{.task = task.id, .due_at = due_at};
    if (upstreams)
      fire.waits_for = domain::Wait::upstreams;
    else if (overlap.action != OverlapAction::start)
      fire.waits_for = domain::Wait::overlap;
    if (fire.waits_for) fire.state = domain::RunState::waiting;
    for (int shard = 0; shard < shards; ++shard) {
      auto run = fire;
      room_.place(run, now_);
      if (upstreams) waiting_.emplace_back(RunId{next_run_}, upstreams);
      fired_.add(next_run_++, task.id, slot.last, shard, shards, run.state, route, task.spec.priority, due_at, reason,
                 overlap.cause, run.waits_for, run.holds_room ? std::optional(1) : std::nullopt, group);
    }
    report_.runs += static_cast<std::size_t>(shards);
    last_gathered_ = task.id;
  }

  SchedulerResult<void> write_fired() {
    if (fired_.empty()) return {};
    CHECK(connection_.execute(
        "INSERT INTO task_runs (id, task_id, triggered_by, slot, shard_index, shard_total, state, route, priority,"
        " waits_for, holds_room, group_id, created_at, due_at)"
        " SELECT c1, c2, 'schedule', c3, c4, c5, c6, c7, c8, c12, c13, c14, ?2, c9 FROM rows(?1)",
        fired_, now_));
    CHECK(connection_.execute(
        "INSERT INTO schedule_slots (task_id, slot, shard, first_slot, disposition, reason, run_id, cause_run_id,"
        " decided_at) SELECT c2, c3, c4, c3, 'fired', c10, c1, c11, ?2 FROM rows(?1)",
        fired_, now_));
    fired_.clear();
    last_gathered_.reset();
    return {};
  }

  // What waits is dropped, what is pending is cancelled, and workers are to stop what they have. What a person wants to
  // run later is no earlier run.
  SchedulerResult<void> replace(TaskId task) {
    constexpr std::string_view kWhy = "replaced by the run of a later fire time";
    constexpr auto kEarlier = RunEndings::Which::earlier;
    CHECK(endings_.end_undispatched(task, domain::Event::skip, Reason::overlap, kWhy, kEarlier));
    CHECK(endings_.end_undispatched(task, domain::Event::cancel, Reason::overlap, kWhy, kEarlier));
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
  Room room_;
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

SchedulerResult<std::vector<SlotRecord>> recorded_slots(Connection& connection, TaskId task,
                                                        const std::vector<TimePoint>& slots) {
  std::vector<SlotRecord> records;
  if (slots.empty()) return records;
  static const auto kFired = fmt::format(
      "SELECT {} FROM rows(?1) CROSS JOIN schedule_slots s ON s.slot = c1 AND s.task_id = ?2"
      " WHERE s.disposition = 'fired' GROUP BY s.slot",
      kFiredSlotColumns);
  const auto instants = column_of(slots);
  TRY(records, connection.query(kFired, instants, task).all(read_slot_record));
  // The last row may be a range that goes on behind the last slot that was asked for.
  static const auto kSkipped = fmt::format(
      "SELECT {0} FROM schedule_slots s WHERE s.task_id = ?1 AND s.disposition = 'skipped' AND s.slot BETWEEN ?2 AND ?3"
      " UNION ALL SELECT * FROM (SELECT {0} FROM schedule_slots s WHERE s.task_id = ?1 AND s.disposition = 'skipped'"
      " AND s.slot > ?3 ORDER BY s.slot LIMIT 1) WHERE first_slot <= ?3",
      kSkippedSlotColumns);
  TRY(const auto skipped, connection.query(kSkipped, task, slots.front(), slots.back()).all(read_slot_record));
  records.insert(records.end(), skipped.begin(), skipped.end());
  return records;
}

}  // namespace

SchedulerResult<bool> record_skipped(Connection& connection, TaskId task, const domain::SlotDecision& slots,
                                     TimePoint now, std::optional<RunId> cause) {
  TRY(const auto inserted, connection.execute("INSERT INTO schedule_slots (task_id, slot, shard, first_slot,"
                                              " disposition, reason, cause_run_id, decided_at)"
                                              " VALUES (?, ?, 0, ?, 'skipped', ?, ?, ?) ON CONFLICT DO NOTHING",
                                              task, slots.last, slots.first, slots.reason, cause, now));
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

Async<std::vector<SlotRecord>> SqliteSlotRepository::recorded(TaskId task, std::vector<TimePoint> slots) {
  return database_.read(
      [task, slots = std::move(slots)](Connection& connection) { return recorded_slots(connection, task, slots); });
}

}  // namespace scheduler::infrastructure
