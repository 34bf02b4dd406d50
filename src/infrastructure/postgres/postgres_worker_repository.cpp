#include "infrastructure/postgres/postgres_worker_repository.hpp"

#include "infrastructure/postgres/rows.hpp"
#include "infrastructure/store/json_text.hpp"
#include "infrastructure/store/refusals.hpp"
#include "infrastructure/store/worker_words.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

using application::HeartbeatReply;
using application::WorkerHeartbeat;
using database::postgres::Access;
using domain::WorkerInfo;
using domain::WorkerState;
using postgres::Row;
using postgres::Rows;
using postgres::Transaction;

// A column list and its values, for a new incarnation and for a later heartbeat of it alike. $1 is the clock's.
constexpr std::string_view kBeatColumns =
    "host, pid, version, task_types, labels, slots, capacity, busy, load, memory_bytes, state, state_reason,"
    " heartbeat_at, heartbeat_due";
constexpr std::string_view kBeatValues = "$2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, " SCHEDULER_NOW
                                         ", " SCHEDULER_NOW " + $14 * interval '1 second'";

template <class... More>
void send_beat(Transaction& tx, std::string_view sql, const StoreClock& clock, const WorkerInfo& it,
               const KnownIncarnation& state, Seconds timeout, const More&... more) {
  tx.send(sql, clock.own(), it.host, it.pid, it.version, to_json_text(it.task_types), to_json_text(it.labels), it.slots,
          it.capacity, it.busy, it.load, it.memory_bytes, state.state, state.reason, timeout, more...);
}

constexpr auto kFind = "SELECT state, state_reason FROM workers WHERE incarnation = $1 FOR NO KEY UPDATE";

SchedulerResult<std::optional<KnownIncarnation>> known_of(Rows& rows) {
  return rows.first([](Row& row) {
    KnownIncarnation known;
    row.read(known.state, known.reason);
    return known;
  });
}

const std::string& select_worker() {
  static const auto kSql =
      fmt::format("SELECT {} FROM workers WHERE worker_id = $1 ORDER BY id DESC LIMIT 1", kWorkerColumns);
  return kSql;
}

SchedulerResult<WorkerInfo> one_worker(Rows& rows, const WorkerId& id) {
  TRY(auto worker, rows.first(read_worker));
  if (!worker) return no_such_worker(id);
  return *std::move(worker);
}

}  // namespace

Async<HeartbeatReply> PostgresWorkerRepository::heartbeat(WorkerHeartbeat beat, Seconds timeout) {
  static const auto kInsert =
      fmt::format("INSERT INTO workers ({}, registered_at, worker_id, incarnation) VALUES ({}, " SCHEDULER_NOW
                  ", $15, $16) ON CONFLICT (incarnation) DO NOTHING",
                  kBeatColumns, kBeatValues);
  static const auto kUpdate =
      fmt::format("UPDATE workers SET ({}) = ({}) WHERE incarnation = $15", kBeatColumns, kBeatValues);
  const auto& worker = beat.worker;
  CO_TRY(auto tx, database_.begin(Access::write));
  CO_TRY(auto found, tx.query(kFind, worker.incarnation));
  CO_UNWRAP(auto known, known_of(found));
  if (!known) {
    send_beat(tx, kInsert, clock_, worker, state_after(beat, known), timeout, worker.id, worker.incarnation);
    CO_TRY(const auto inserted, tx.flush());
    if (inserted.back().changed() == 1) {
      CO_CHECK(tx.commit());
      co_return HeartbeatReply{.registered = true};
    }
    CO_TRY(found, tx.query(kFind, worker.incarnation));  // the same message, heard twice at the same time
    CO_UNWRAP(known, known_of(found));
  }
  if (known && known->state == WorkerState::dead)
    co_return HeartbeatReply{.dead = true, .replaced = known->reason == kReplacedIncarnation};
  send_beat(tx, kUpdate, clock_, worker, state_after(beat, known), timeout, worker.incarnation);
  tx.send(
      "UPDATE workers SET state = 'dead', state_reason = $1 WHERE worker_id = $2 AND state <> 'dead'"
      " AND id < (SELECT id FROM workers WHERE incarnation = $3) RETURNING incarnation",
      kReplacedIncarnation, worker.id, worker.incarnation);
  CO_TRY(auto results, tx.finish());
  HeartbeatReply reply{.draining = known && known->state == WorkerState::draining};
  CO_UNWRAP(reply.declared_dead, results.back().values<IncarnationId>());
  co_return reply;
}

// One that is locked is being heard at this moment.
Async<std::vector<WorkerInfo>> PostgresWorkerRepository::expire() {
  static const auto kSql = fmt::format(
      "WITH silent AS (SELECT id FROM workers WHERE state IN ('alive', 'draining') AND heartbeat_due <= " SCHEDULER_NOW
      " ORDER BY id FOR NO KEY UPDATE SKIP LOCKED), expired AS (UPDATE workers w SET state = 'dead',"
      " state_reason = 'no heartbeat within its timeout' FROM silent WHERE w.id = silent.id RETURNING w.*)"
      " SELECT {} FROM expired ORDER BY id",
      kWorkerColumns);
  CO_TRY(auto rows, database_.query(kSql, clock_.own()));
  co_return rows.all(read_worker);
}

Async<void> PostgresWorkerRepository::extend_deadlines(Seconds timeout) {
  CO_TRY(
      const auto rows,
      database_.query("WITH living AS (SELECT id FROM workers WHERE state IN ('alive', 'draining') ORDER BY id"
                      " FOR NO KEY UPDATE) UPDATE workers w SET heartbeat_due = greatest(heartbeat_due, " SCHEDULER_NOW
                      " + $2 * interval '1 second') FROM living WHERE w.id = living.id",
                      clock_.own(), timeout));
  co_return SchedulerResult<void>{};
}

Async<std::vector<WorkerInfo>> PostgresWorkerRepository::list() {
  static const auto kSql = fmt::format(
      "SELECT {} FROM workers WHERE id IN (SELECT max(id) FROM workers GROUP BY worker_id)"
      " AND heartbeat_at > " SCHEDULER_NOW " - $2 * interval '1 second' ORDER BY worker_id",
      kWorkerColumns);
  CO_TRY(auto rows, database_.query(kSql, clock_.own(), kWorkerListedFor));
  co_return rows.all(read_worker);
}

Async<WorkerInfo> PostgresWorkerRepository::get(WorkerId id) {
  CO_TRY(auto rows, database_.query(select_worker(), id));
  co_return one_worker(rows, id);
}

Async<WorkerInfo> PostgresWorkerRepository::set_draining(WorkerId id, bool draining) {
  static const auto kLock = select_worker() + " FOR NO KEY UPDATE";
  CO_TRY(auto tx, database_.begin(Access::write));
  CO_TRY(auto rows, tx.query(kLock, id));
  CO_UNWRAP(auto worker, one_worker(rows, id));
  if (worker.state == WorkerState::dead) co_return worker_is_dead(worker);
  worker.state = draining ? WorkerState::draining : WorkerState::alive;
  tx.send("UPDATE workers SET state = $1 WHERE incarnation = $2", worker.state, worker.incarnation);
  CO_CHECK(tx.commit());
  co_return worker;
}

}  // namespace scheduler::infrastructure
