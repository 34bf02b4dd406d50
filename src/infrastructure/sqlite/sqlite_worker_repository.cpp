#include "infrastructure/sqlite/sqlite_worker_repository.hpp"

#include "infrastructure/sqlite/rows.hpp"
#include "infrastructure/store/json_text.hpp"
#include "infrastructure/store/refusals.hpp"
#include "infrastructure/store/worker_words.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

using application::HeartbeatReply;
using application::WorkerHeartbeat;
using domain::WorkerInfo;
using domain::WorkerState;

using Known = KnownIncarnation;

SchedulerResult<std::optional<Known>> find_incarnation(Connection& connection, IncarnationId id) {
  return connection.query("SELECT state, state_reason FROM workers WHERE incarnation = ?", id)
      .first([](Statement& row) {
        Known known;
        row.read(known.state, known.reason);
        return known;
      });
}

// A column list and its values, for a new incarnation and for a later heartbeat of it alike.
constexpr std::string_view kBeatColumns =
    "host, pid, version, task_types, labels, slots, capacity, busy, load, memory_bytes, state, state_reason,"
    " heartbeat_at, heartbeat_due";
constexpr std::string_view kBeatValues = "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14";

template <class... More>
SchedulerResult<std::int64_t> write_beat(Connection& connection, std::string_view sql, const WorkerInfo& it,
                                         const Known& state, TimePoint now, Seconds timeout, const More&... more) {
  return connection.execute(sql, it.host, it.pid, it.version, to_json_text(it.task_types), to_json_text(it.labels),
                            it.slots, it.capacity, it.busy, it.load, it.memory_bytes, state.state, state.reason, now,
                            now + timeout, more...);
}

SchedulerResult<std::vector<IncarnationId>> declare_earlier_dead(Connection& connection, const WorkerInfo& it) {
  return connection
      .query(
          "UPDATE workers SET state = 'dead', state_reason = ?1 WHERE worker_id = ?2 AND state <> 'dead'"
          " AND id < (SELECT id FROM workers WHERE incarnation = ?3) RETURNING incarnation",
          kReplacedIncarnation, it.id, it.incarnation)
      .values<IncarnationId>();
}

SchedulerResult<HeartbeatReply> register_incarnation(Connection& connection, const WorkerHeartbeat& beat,
                                                     const Known& state, TimePoint now, Seconds timeout) {
  static const auto kSql =
      fmt::format("INSERT INTO workers ({}, registered_at, worker_id, incarnation) VALUES ({}, ?13, ?15, ?16)",
                  kBeatColumns, kBeatValues);
  CHECK(write_beat(connection, kSql, beat.worker, state, now, timeout, beat.worker.id, beat.worker.incarnation));
  return HeartbeatReply{.registered = true};
}

SchedulerResult<HeartbeatReply> take_heartbeat(Connection& connection, const WorkerHeartbeat& beat, TimePoint now,
                                               Seconds timeout) {
  TRY(const auto known, find_incarnation(connection, beat.worker.incarnation));
  if (known && known->state == WorkerState::dead)
    return HeartbeatReply{.dead = true, .replaced = known->reason == kReplacedIncarnation};
  const auto state = state_after(beat, known);
  if (!known) return register_incarnation(connection, beat, state, now, timeout);
  static const auto kSql =
      fmt::format("UPDATE workers SET ({}) = ({}) WHERE incarnation = ?15", kBeatColumns, kBeatValues);
  CHECK(write_beat(connection, kSql, beat.worker, state, now, timeout, beat.worker.incarnation));
  HeartbeatReply reply{.draining = known->state == WorkerState::draining};
  TRY(reply.declared_dead, declare_earlier_dead(connection, beat.worker));
  return reply;
}

SchedulerResult<std::vector<WorkerInfo>> expire_silent(Connection& connection, TimePoint now) {
  static const auto kSql = fmt::format(
      "UPDATE workers SET state = 'dead', state_reason = 'no heartbeat within its timeout'"
      " WHERE state IN ('alive', 'draining') AND heartbeat_due <= ? RETURNING {}",
      kWorkerColumns);
  return connection.query(kSql, now).all(read_worker);
}

SchedulerResult<WorkerInfo> get_worker(Connection& connection, const WorkerId& id) {
  static const auto kSql =
      fmt::format("SELECT {} FROM workers WHERE worker_id = ? ORDER BY id DESC LIMIT 1", kWorkerColumns);
  TRY(auto worker, connection.query(kSql, id).first(read_worker));
  if (!worker) return no_such_worker(id);
  return *std::move(worker);
}

SchedulerResult<WorkerInfo> drain(Connection& connection, const WorkerId& id, bool draining) {
  TRY(auto worker, get_worker(connection, id));
  if (worker.state == WorkerState::dead) return worker_is_dead(worker);
  worker.state = draining ? WorkerState::draining : WorkerState::alive;
  CHECK(connection.execute("UPDATE workers SET state = ? WHERE incarnation = ?", worker.state, worker.incarnation));
  return worker;
}

}  // namespace

Async<HeartbeatReply> SqliteWorkerRepository::heartbeat(WorkerHeartbeat beat, Seconds timeout) {
  return database_.write([this, beat = std::move(beat), timeout](Connection& connection) {
    return take_heartbeat(connection, beat, clock_.now(), timeout);
  });
}

Async<std::vector<WorkerInfo>> SqliteWorkerRepository::expire() {
  return database_.write([this](Connection& connection) { return expire_silent(connection, clock_.now()); });
}

Async<void> SqliteWorkerRepository::extend_deadlines(Seconds timeout) {
  return database_.write([this, timeout](Connection& connection) -> SchedulerResult<void> {
    CHECK(
        connection.execute("UPDATE workers SET heartbeat_due = ?1 WHERE state IN ('alive', 'draining')"
                           " AND heartbeat_due < ?1",
                           clock_.now() + timeout));
    return {};
  });
}

Async<std::vector<WorkerInfo>> SqliteWorkerRepository::list() {
  return database_.read([this](Connection& connection) {
    static const auto kSql = fmt::format(
        "SELECT {} FROM workers WHERE id IN (SELECT max(id) FROM workers GROUP BY worker_id) AND heartbeat_at > ?"
        " ORDER BY worker_id",
        kWorkerColumns);
    return connection.query(kSql, clock_.now() - kWorkerListedFor).all(read_worker);
  });
}

Async<WorkerInfo> SqliteWorkerRepository::get(WorkerId id) {
  return database_.read([id = std::move(id)](Connection& connection) { return get_worker(connection, id); });
}

Async<WorkerInfo> SqliteWorkerRepository::set_draining(WorkerId id, bool draining) {
  return database_.write(
      [id = std::move(id), draining](Connection& connection) { return drain(connection, id, draining); });
}

}  // namespace scheduler::infrastructure
