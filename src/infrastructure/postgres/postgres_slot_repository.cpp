#include "infrastructure/postgres/postgres_slot_repository.hpp"

#include "domain/route.hpp"
#include "infrastructure/postgres/rows.hpp"
#include "infrastructure/postgres/run_endings.hpp"
#include "infrastructure/store/guards.hpp"

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
    int active = 0, waiting = 0;       // its runs that have not ended and do not wait; its fire times whose runs do
    bool replaced = false;             // its stored runs are to be ended
    std::vector<std::size_t> inserts;  // its rows in inserts_ that no worker can have yet
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
        if (!it.fire) continue;
        slot_tasks.push_back(fire.task.id);
        slots.push_back(it.last);
      }
    }
    lock_tasks(tx_, ending, others);
    auto counted = ending;
    counted.insert(counted.end(), others.begin(), others.end());
    tx_.send(
        "SELECT task_id, count(*) FILTER (WHERE state <> 'waiting'), count(DISTINCT slot) FILTER (WHERE state ="
        " 'waiting') FROM task_runs WHERE task_id = ANY ($1) AND ended_at IS NULL GROUP BY task_id",
        counted);
    tx_.send(
        "SELECT DISTINCT s.task_id, s.slot FROM unnest($1::bigint[], $2::timestamptz[]) AS n (task_id, slot)"
        " JOIN schedule_slots s ON s.task_id = n.task_id AND s.slot = n.slot",
        slot_tasks, slots);
    tx_.send("SELECT id, version FROM tasks WHERE id = ANY ($1)", upstreams);
    CO_TRY(auto results, tx_.flush());
    CO_ENSURE(load_tasks(results[0], results[1]));
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
      int active = 0, waiting = 0;
      row.read(id, active, waiting);
      if (const auto it = tasks_.find(id); it != tasks_.end()) it->second.active = active, it->second.waiting = waiting;
      return active;
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
      if (slots.fire)
        fire_slot(fire, it, slots.last);
      else
        skip(fire.task.id, slots);
    }
  }

  void skip(TaskId task, const domain::SlotDecision& slots) {
    skipped_tasks_.push_back(task);
    skipped_.push_back(slots);
  }

  void fire_slot(const Fire& fire, Current& it, TimePoint slot) {
    const auto& task = fire.task;
    if (!recorded_.insert({task.id, slot}).second) return;
    const auto awaited = fire.awaited.find(slot);
    const auto* upstreams = awaited == fire.awaited.end() ? nullptr : &awaited->second;
    const bool depends = !task.spec.dependencies.empty();
    switch (domain::on_overlap(task.spec.overlap_policy, it.active, it.waiting, depends)) {
      case OverlapAction::start:
        return insert(task, it, slot, upstreams ? RunState::waiting : RunState::pending, upstreams);
      case OverlapAction::wait:
        return insert(task, it, slot, RunState::waiting, upstreams);
      case OverlapAction::replace_then_wait:
        replace(it);
        return insert(task, it, slot, RunState::waiting, upstreams);
      case OverlapAction::skip:
        return skip(task.id, {slot, slot, false, Reason::overlap});
    }
  }

  // `upstreams`: what the runs wait for; null: nothing.
  void insert(const domain::Task& task, Current& it, TimePoint slot, RunState state,
              const std::vector<domain::AwaitedRun>* upstreams) {
    const auto route = domain::route_of(task.spec);
    const NewFire fire{.task = task.id,
                       .route = route,
                       .priority = task.spec.priority,
                       .trigger = domain::Trigger::schedule,
                       .slot = slot,
                       .state = state,
                       .created_at = now_,
                       .due_at = slot};
    for (int shard = 0; shard < task.spec.shard_count; ++shard) {
      it.inserts.push_back(inserts_.add(fire, shard, task.spec.shard_count));
      slot_of_insert_.push_back(slot);
      shard_of_insert_.push_back(shard);
      upstreams_of_insert_.push_back(upstreams);
      if (state != RunState::waiting) ++it.active;
    }
    if (state == RunState::waiting) ++it.waiting;
    report_.runs += static_cast<std::size_t>(task.spec.shard_count);
  }

  // What waits is dropped, what is pending is cancelled, and workers are to stop what they have.
  void replace(Current& it) {
    it.replaced = true;
    for (const auto row : it.inserts) {
      const auto to = inserts_.state(row) == RunState::waiting ? RunState::skipped : RunState::cancelled;
      if (to == RunState::cancelled) --it.active;
      inserts_.end(row, to, Reason::overlap, kReplaced);
    }
    it.inserts.clear();
    it.waiting = 0;
  }

  Async<void> write() {
    std::vector<TaskId> replaced;
    send_tasks(replaced);
    const bool any_skip = !skipped_.empty(), any_replaced = !replaced.empty();
    if (any_skip) record_skipped(tx_, skipped_tasks_, skipped_, now_);
    if (any_replaced) {
      static const auto kMark = fmt::format(
          "WITH held AS (SELECT id FROM task_runs WHERE task_id = ANY ($2) AND ended_at IS NULL AND {0}"
          " ORDER BY id FOR NO KEY UPDATE), marked AS (UPDATE task_runs r SET {1} FROM held"
          " WHERE r.id = held.id RETURNING r.*) SELECT {2} FROM marked ORDER BY id",
          may_leave(domain::Event::cancel, Side::attempt), kMarkForCancel, kAssignedColumns);
      endings_.end_undispatched(replaced, domain::Event::skip, Reason::overlap, kReplaced);
      endings_.end_undispatched(replaced, domain::Event::cancel, Reason::overlap, kReplaced);
      tx_.send(kMark, Reason::overlap, replaced);
    }
    if (!inserts_.empty()) inserts_.send(tx_);
    CO_TRY(auto results, tx_.flush());
    auto next = results.begin() + (won_any_ ? 1 : 0);
    if (any_skip) report_.skipped += static_cast<std::size_t>((next++)->changed());
    if (any_replaced) {
      CO_ENSURE(endings_.note_all(*next++, RunState::skipped));
      CO_ENSURE(endings_.note_all(*next++, RunState::cancelled));
      CO_UNWRAP(report_.to_cancel, (next++)->all(read_assigned));
    }
    if (!inserts_.empty()) CO_ENSURE(record_fired(*next++));
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
    tx_.send(
        "INSERT INTO schedule_slots (task_id, slot, shard, first_slot, disposition, reason, run_id, decided_at)"
        " SELECT task_id, slot, shard, slot, 'fired', 'none', run_id, $5"
        " FROM unnest($1::bigint[], $2::timestamptz[], $3::bigint[], $4::bigint[]) AS n (task_id, slot, shard,"
        " run_id)",
        tasks, slot_of_insert_, shard_of_insert_, ids, now_);
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
  RunInserts inserts_;
  std::vector<TimePoint> slot_of_insert_;
  std::vector<int> shard_of_insert_;
  std::vector<const std::vector<domain::AwaitedRun>*> upstreams_of_insert_;
  std::map<TaskId, std::int64_t> versions_;  // of upstream tasks
  bool won_any_ = false;
};

}  // namespace

void record_skipped(Transaction& tx, const std::vector<TaskId>& tasks, const std::vector<domain::SlotDecision>& slots,
                    TimePoint now) {
  std::vector<TimePoint> first, last;
  std::vector<Reason> reasons;
  for (const auto& it : slots) {
    first.push_back(it.first);
    last.push_back(it.last);
    reasons.push_back(it.reason);
  }
  tx.send(
      "INSERT INTO schedule_slots (task_id, slot, shard, first_slot, disposition, reason, decided_at)"
      " SELECT task_id, slot, 0, first_slot, 'skipped', reason, $5 FROM unnest($1::bigint[], $2::timestamptz[],"
      " $3::timestamptz[], $4::text[]) AS n (task_id, slot, first_slot, reason) ON CONFLICT DO NOTHING",
      tasks, last, first, reasons, now);
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

}  // namespace scheduler::infrastructure
