#include "infrastructure/postgres/postgres_slot_repository.hpp"

#include "domain/route.hpp"
#include "infrastructure/postgres/rows.hpp"
#include "infrastructure/postgres/run_endings.hpp"
#include "infrastructure/store/guards.hpp"
#include "infrastructure/store/room.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

namespace scheduler::infrastructure {
namespace {

using application::AssignedRun;
using application::Fire;
using application::FireReport;
using application::FireView;
using database::postgres::Access;
using domain::OverlapAction;
using domain::OverlapPolicy;
using domain::Reason;
using domain::RunState;
using domain::SlotRecord;
using domain::Wait;
using postgres::instant_of;
using postgres::kMarkForCancel;
using postgres::kUpstreamsColumn;
using postgres::lock_tasks;
using postgres::read_whole_task;
using postgres::Row;
using postgres::Rows;
using postgres::RunEndings;
using postgres::RunInserts;
using postgres::Transaction;

constexpr std::string_view kReplaced = "replaced by the run of a later fire time";

// All fires of one transaction: read together, decided here one after another, written together.
class FireTransaction {
 public:
  FireTransaction(Transaction& tx, TimePoint now) : tx_(tx), now_(now), endings_(tx, now) {}

  Async<FireReport> commit(const std::vector<Fire>& fires) {
    CO_CHECK(load(fires));
    for (const auto& fire : fires) decide(fire);
    CO_CHECK(write());
    CO_CHECK(tx_.commit());
    co_return std::move(report_);
  }

 private:
  // The task as it is stored, and then as this transaction has changed it.
  struct Current {
    std::int64_t version = 0;
    std::optional<TimePoint> watermark, next_fire_at;
    bool won = false;
    // Its runs that go or wait for room, and its fire times whose runs wait, for those or for upstream runs.
    int active = 0, waiting = 0;
    std::optional<RunId> first_active, first_waiting;  // the oldest run of each; may be one of new_run()
    bool replaced = false;                             // its stored runs are to be ended
    std::vector<std::size_t> inserts;                  // its rows in inserts_ that no worker can have yet
  };

  // It may end runs, pass a fire time without one, or make a run that ends at once: then what is downstream follows.
  static bool decides_more_than_its_own(const Fire& fire) {
    return fire.task.spec.overlap_policy != OverlapPolicy::allow || !fire.awaited.empty() ||
           std::ranges::any_of(fire.plan.slots, [](const domain::SlotDecision& it) { return !it.fire; });
  }

  // What it waits for was worked out from upstream tasks as they are now.
  [[nodiscard]] bool upstreams_are_as_seen(const Fire& fire) const {
    return std::ranges::all_of(fire.upstream_versions, [this](const auto& seen) {
      const auto now = versions_.find(seen.first);
      return now != versions_.end() && now->second == seen.second;
    });
  }

  Async<void> load(const std::vector<Fire>& fires) {
    std::vector<TaskId> ending, others, slot_tasks, upstreams;
    std::vector<TimePoint> slots;
    for (const auto& fire : fires) {
      (decides_more_than_its_own(fire) ? ending : others).push_back(fire.task.id);
      for (const auto& [upstream, version] : fire.upstream_versions) upstreams.push_back(upstream);
      for (const auto& it : fire.plan.slots) {
        slot_tasks.push_back(fire.task.id);
        slots.push_back(it.last);
      }
    }
    lock_tasks(tx_, ending, others);
    auto counted = ending;
    counted.insert(counted.end(), others.begin(), others.end());
    static const auto kCounts = fmt::format(
        "SELECT task_id, count(*) FILTER (WHERE earlier), count(DISTINCT slot) FILTER (WHERE queued),"
        " min(id) FILTER (WHERE earlier), min(id) FILTER (WHERE queued), count(*) FILTER (WHERE holds_room)"
        " FROM (SELECT r.task_id, r.id, r.slot, r.holds_room,"
        " {} OR r.waits_for IS NOT DISTINCT FROM 'limit' AS earlier,"
        " r.state = 'waiting' AND r.waits_for IN ('overlap', 'upstreams') AND r.slot IS NOT NULL AS queued"
        " FROM task_runs r WHERE r.task_id = ANY ($1) AND r.ended_at IS NULL) runs GROUP BY task_id",
        run_goes("$2"));
    tx_.send(kCounts, counted, now_);
    tx_.send(
        "SELECT DISTINCT s.task_id, s.slot FROM unnest($1::bigint[], $2::timestamptz[]) AS n (task_id, slot)"
        " JOIN schedule_slots s ON s.task_id = n.task_id AND s.slot = n.slot",
        slot_tasks, slots);
    tx_.send("SELECT id, version FROM tasks WHERE id = ANY ($1)", upstreams);
    CO_TRY(auto results, tx_.flush());
    CO_ENSURE(load_tasks(results[0], results[1]));
    for (const auto& fire : fires)
      if (const auto limit = fire.task.spec.max_concurrent_runs)
        room_.know(fire.task.id, *limit, room_taken_[fire.task.id]);
    CO_UNWRAP(const auto versions, results[3].all([this](Row& row) {
      std::pair<TaskId, std::int64_t> it;
      row.read(it.first, it.second);
      return versions_.insert(it).second;
    }));
    CO_UNWRAP(const auto recorded, results[2].all([this](Row& row) {
      std::pair<TaskId, TimePoint> slot;
      row.read(slot.first, slot.second);
      return recorded_.insert(slot).second;
    }));
    co_return SchedulerResult<void>{};
  }

  SchedulerResult<void> load_tasks(Rows& tasks, Rows& counts) {
    TRY(const auto found, tasks.all([this](Row& row) {
      TaskId id;
      Current it;
      bool is_there = false;
      row.read(id, it.version, it.watermark, is_there);
      if (is_there) tasks_.emplace(id, it);
      return is_there;
    }));
    TRY(const auto counted, counts.all([this](Row& row) {
      TaskId id;
      Current its;
      int holding = 0;
      row.read(id, its.active, its.waiting, its.first_active, its.first_waiting, holding);
      room_taken_[id] = holding;
      if (const auto it = tasks_.find(id); it != tasks_.end()) {
        it->second.active = its.active;
        it->second.waiting = its.waiting;
        it->second.first_active = its.first_active;
        it->second.first_waiting = its.first_waiting;
      }
      return its.active;
    }));
    return {};
  }

  void decide(const Fire& fire) {
    const auto found = tasks_.find(fire.task.id);
    if (found == tasks_.end() || found->second.version != fire.task.version ||
        found->second.watermark != fire.task.watermark || !upstreams_are_as_seen(fire)) {
      ++report_.lost_races;
      return;
    }
    auto& it = found->second;
    it.won = true;
    it.watermark = fire.plan.watermark;
    it.next_fire_at = fire.plan.next_fire_at;
    for (const auto& slots : fire.plan.slots) {
      if (!recorded_.insert({fire.task.id, slots.last}).second) continue;
      if (slots.fire)
        fire_slot(fire, it, slots);
      else
        skip(fire.task.id, slots, std::nullopt);
    }
  }

  void skip(TaskId task, const domain::SlotDecision& slots, std::optional<RunId> cause) {
    skipped_tasks_.push_back(task);
    skipped_.push_back(slots);
    skip_causes_.push_back(cause);
    ++report_.skipped;
  }

  void fire_slot(const Fire& fire, Current& it, const domain::SlotDecision& slot) {
    const auto& spec = fire.task.spec;
    const auto action = domain::on_overlap(spec.overlap_policy, it.active, it.waiting, !spec.dependencies.empty());
    const auto cause = domain::overlap_cause(action, it.first_active, it.first_waiting);
    switch (action) {
      case OverlapAction::start:
        return insert(fire, it, slot, std::nullopt, cause);
      case OverlapAction::wait:
        return insert(fire, it, slot, Wait::overlap, cause);
      case OverlapAction::replace_then_wait:
        replace(it);
        return insert(fire, it, slot, Wait::overlap, cause);
      case OverlapAction::skip:
        return skip(fire.task.id, {slot.first, slot.last, false, Reason::overlap}, cause);
    }
  }

  // Stands for the run of a row of inserts_ until that has its id.
  static RunId new_run(std::size_t row) { return RunId{-1 - static_cast<std::int64_t>(row)}; }
  static void give_ids(std::vector<std::optional<RunId>>& runs, const std::vector<RunId>& ids) {
    for (auto& it : runs)
      if (it && it->value < 0) it = ids[static_cast<std::size_t>(-1 - it->value)];
  }

  // `waits_for`: once it waits for no upstream run.
  void insert(const Fire& of, Current& it, const domain::SlotDecision& slot, std::optional<Wait> waits_for,
              std::optional<RunId> cause) {
    const auto& task = of.task;
    const auto awaited = of.awaited.find(slot.last);
    const auto* upstreams = awaited == of.awaited.end() ? nullptr : &awaited->second;
    if (upstreams) waits_for = Wait::upstreams;
    const auto route = domain::route_of(task.spec);
    const NewFire fire{.task = task.id,
                       .route = route,
                       .priority = task.spec.priority,
                       .trigger = domain::Trigger::schedule,
                       .slot = slot.last,
                       .state = waits_for ? RunState::waiting : RunState::pending,
                       .waits_for = waits_for,
                       .created_at = now_,
                       .due_at = slot.due_at.value_or(slot.last)};
    auto& first = waits_for ? it.first_waiting : it.first_active;
    if (!first) first = new_run(inserts_.size());
    for (int shard = 0; shard < task.spec.shard_count; ++shard) {
      auto run = fire;
      room_.place(run, now_);
      it.inserts.push_back(inserts_.add(run, shard, task.spec.shard_count));
      slot_of_insert_.push_back(slot.last);
      shard_of_insert_.push_back(shard);
      cause_of_insert_.push_back(cause);
      upstreams_of_insert_.push_back(upstreams);
      if (!waits_for) ++it.active;
    }
    if (waits_for) ++it.waiting;
    report_.runs += static_cast<std::size_t>(task.spec.shard_count);
  }

  // What waits is dropped, what is pending is cancelled, and workers are to stop what they have. What a person wants to
  // run later is no earlier run.
  void replace(Current& it) {
    it.replaced = true;
    for (const auto row : it.inserts) {
      const auto to = inserts_.state(row) == RunState::waiting ? RunState::skipped : RunState::cancelled;
      if (to == RunState::cancelled) --it.active;
      inserts_.end(row, to, Reason::overlap, kReplaced);
    }
    it.inserts.clear();
    it.waiting = 0;
    it.first_waiting.reset();
    if (it.first_active && it.first_active->value < 0) it.first_active.reset();
  }

  Async<void> write() {
    std::vector<TaskId> replaced;
    send_tasks(replaced);
    const bool any_replaced = !replaced.empty();
    if (any_replaced) {
      static const auto kMark = fmt::format(
          "WITH held AS (SELECT id FROM task_runs WHERE task_id = ANY ($2) AND ended_at IS NULL AND {0}"
          " ORDER BY id FOR NO KEY UPDATE), marked AS (UPDATE task_runs r SET {1} FROM held"
          " WHERE r.id = held.id RETURNING r.*) SELECT {2} FROM marked ORDER BY id",
          may_leave(domain::Event::cancel, Side::attempt), kMarkForCancel, kAssignedColumns);
      constexpr auto kEarlier = RunEndings::Which::earlier;
      endings_.end_undispatched(replaced, domain::Event::skip, Reason::overlap, kReplaced, kEarlier);
      endings_.end_undispatched(replaced, domain::Event::cancel, Reason::overlap, kReplaced, kEarlier);
      tx_.send(kMark, Reason::overlap, replaced);
    }
    if (!inserts_.empty()) inserts_.send(tx_);
    CO_TRY(auto results, tx_.flush());
    auto next = results.begin() + (won_any_ ? 1 : 0);
    if (any_replaced) {
      CO_ENSURE(endings_.note_all(*next++, RunState::skipped));
      CO_ENSURE(endings_.note_all(*next++, RunState::cancelled));
      CO_UNWRAP(report_.to_cancel, (next++)->all(read_assigned));
    }
    if (!inserts_.empty()) CO_ENSURE(record_fired(*next++));
    if (!skipped_.empty()) record_skipped(tx_, skipped_tasks_, skipped_, skip_causes_, now_);
    endings_.note_passed(skipped_tasks_);
    co_return co_await endings_.settle();
  }

  void send_tasks(std::vector<TaskId>& replaced) {
    std::vector<TaskId> ids;
    std::vector<std::optional<TimePoint>> watermarks, next_fires;
    for (const auto& [id, it] : tasks_) {
      if (!it.won) continue;
      ids.push_back(id);
      watermarks.push_back(it.watermark);
      next_fires.push_back(it.next_fire_at);
      if (it.replaced) replaced.push_back(id);
    }
    won_any_ = !ids.empty();
    if (won_any_)
      tx_.send(
          "UPDATE tasks t SET watermark = n.watermark, next_fire_at = n.next_fire_at"
          " FROM unnest($1::bigint[], $2::timestamptz[], $3::timestamptz[]) AS n (id, watermark, next_fire_at)"
          " WHERE t.id = n.id",
          ids, watermarks, next_fires);
  }

  SchedulerResult<void> record_fired(Rows& made) {
    TRY(const auto ids, made.values<RunId>());
    std::vector<TaskId> tasks;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      tasks.push_back(inserts_.task(i));
      if (domain::is_terminal(inserts_.state(i)))
        endings_.note(ids[i], inserts_.task(i), inserts_.state(i));
      else if (const auto* upstreams = upstreams_of_insert_[i])
        endings_.wait_for(ids[i], *upstreams);
    }
    give_ids(cause_of_insert_, ids);
    give_ids(skip_causes_, ids);
    tx_.send(
        "INSERT INTO schedule_slots (task_id, slot, shard, first_slot, disposition, reason, run_id, cause_run_id,"
        " decided_at) SELECT task_id, slot, shard, slot, 'fired',"
        " CASE WHEN cause_run_id IS NULL THEN 'none' ELSE 'overlap' END, run_id, cause_run_id, $6"
        " FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::bigint[], $5::bigint[])"
        " AS n (task_id, slot, shard, run_id, cause_run_id)",
        tasks, slot_of_insert_, shard_of_insert_, ids, cause_of_insert_, now_);
    return {};
  }

  Transaction& tx_;
  TimePoint now_;
  RunEndings endings_;
  FireReport report_;
  std::map<TaskId, Current> tasks_;
  std::set<std::pair<TaskId, TimePoint>> recorded_;
  std::vector<TaskId> skipped_tasks_;
  std::vector<domain::SlotDecision> skipped_;
  std::vector<std::optional<RunId>> skip_causes_;
  Room room_;
  std::map<TaskId, int> room_taken_;
  RunInserts inserts_;
  std::vector<TimePoint> slot_of_insert_;
  std::vector<int> shard_of_insert_;
  std::vector<std::optional<RunId>> cause_of_insert_;
  std::vector<const std::vector<domain::AwaitedRun>*> upstreams_of_insert_;  // null: it waits for none
  std::map<TaskId, std::int64_t> versions_;                                  // of upstream tasks
  bool won_any_ = false;
};

}  // namespace

void record_skipped(Transaction& tx, const std::vector<TaskId>& tasks, const std::vector<domain::SlotDecision>& slots,
                    const std::vector<std::optional<RunId>>& causes, TimePoint now) {
  std::vector<TimePoint> first, last;
  std::vector<Reason> reasons;
  for (const auto& it : slots) {
    first.push_back(it.first);
    last.push_back(it.last);
    reasons.push_back(it.reason);
  }
  tx.send(
      "INSERT INTO schedule_slots (task_id, slot, shard, first_slot, disposition, reason, cause_run_id, decided_at)"
      " SELECT task_id, slot, 0, first_slot, 'skipped', reason, cause, $6 FROM unnest($1::bigint[], $2::timestamptz[],"
      " $3::timestamptz[], $4::text[], $5::bigint[]) AS n (task_id, slot, first_slot, reason, cause)"
      " ON CONFLICT DO NOTHING",
      tasks, last, first, reasons, causes, now);
}

Async<FireView> PostgresSlotRepository::due(std::size_t limit) {
  static const auto kDue = fmt::format(
      "SELECT {}, {} FROM tasks t WHERE t.status = 'active' AND t.archived_at IS NULL AND t.next_fire_at "
      "<= " SCHEDULER_NOW " ORDER BY t.next_fire_at, t.id LIMIT $2",
      kTaskColumns, kUpstreamsColumn);
  CO_TRY(auto tx, database_.begin(Access::read));
  tx.send(kSelectNow, clock_.own());
  tx.send(kDue, clock_.own(), limit);
  tx.send(
      "SELECT next_fire_at FROM tasks WHERE status = 'active' AND archived_at IS NULL"
      " AND next_fire_at > " SCHEDULER_NOW " ORDER BY next_fire_at LIMIT 1",
      clock_.own());
  CO_TRY(auto results, tx.finish());
  FireView view;
  CO_UNWRAP(view.now, instant_of(results[0]));
  CO_UNWRAP(view.due, results[1].all(read_whole_task));
  CO_UNWRAP(view.next_fire_at, results[2].value<TimePoint>());
  std::set<TaskId> upstreams;
  for (const auto& task : view.due) upstreams.insert(task.spec.dependencies.begin(), task.spec.dependencies.end());
  if (upstreams.empty()) co_return view;
  static const auto kUpstreams = fmt::format("SELECT {} FROM tasks t WHERE t.id = ANY ($1)", kUpstreamTaskColumns);
  CO_TRY(auto rows, database_.query(kUpstreams, std::vector(upstreams.begin(), upstreams.end())));
  CO_UNWRAP(view.upstreams, rows.all(read_upstream_task));
  co_return view;
}

Async<FireReport> PostgresSlotRepository::commit(std::vector<Fire> fires) {
  CO_TRY(auto tx, database_.begin(Access::write));
  CO_TRY(auto now, tx.query(kSelectNow, clock_.own()));
  CO_UNWRAP(const auto at, instant_of(now));
  FireTransaction transaction(tx, at);
  co_return co_await transaction.commit(fires);
}

Async<void> PostgresSlotRepository::quarantine(TaskId task, std::int64_t version) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send(kSelectNow, clock_.own());
  lock_tasks(tx, {task}, {});
  tx.send("UPDATE tasks SET next_fire_at = NULL WHERE id = $1 AND version = $2", task, version);
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results.front()));
  RunEndings endings(tx, now);
  endings.note_passed({task});
  CO_CHECK(endings.settle());
  co_return co_await tx.commit();
}

Async<std::vector<SlotRecord>> PostgresSlotRepository::recorded(TaskId task, std::vector<TimePoint> slots) {
  if (slots.empty()) co_return std::vector<SlotRecord>{};
  static const auto kFired = fmt::format(
      "SELECT {} FROM unnest($2::timestamptz[]) AS n (slot) JOIN schedule_slots s ON s.slot = n.slot AND s.task_id = $1"
      " WHERE s.disposition = 'fired' GROUP BY s.slot",
      kFiredSlotColumns);
  // The last row may be a range that goes on behind the last slot that was asked for.
  static const auto kSkipped = fmt::format(
      "SELECT {0} FROM schedule_slots s WHERE s.task_id = $1 AND s.disposition = 'skipped' AND s.slot BETWEEN $2 AND $3"
      " UNION ALL SELECT * FROM (SELECT {0} FROM schedule_slots s WHERE s.task_id = $1 AND s.disposition = 'skipped'"
      " AND s.slot > $3 ORDER BY s.slot LIMIT 1) AS next WHERE first_slot <= $3",
      kSkippedSlotColumns);
  CO_TRY(auto tx, database_.begin(Access::read));
  tx.send(kFired, task, slots);
  tx.send(kSkipped, task, slots.front(), slots.back());
  CO_TRY(auto results, tx.finish());
  CO_UNWRAP(auto records, results[0].all(read_slot_record));
  CO_UNWRAP(const auto skipped, results[1].all(read_slot_record));
  records.insert(records.end(), skipped.begin(), skipped.end());
  co_return records;
}

}  // namespace scheduler::infrastructure
