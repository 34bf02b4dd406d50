#include "infrastructure/postgres/postgres_task_repository.hpp"

#include "domain/route.hpp"
#include "infrastructure/postgres/postgres_slot_repository.hpp"
#include "infrastructure/postgres/rows.hpp"
#include "infrastructure/postgres/run_endings.hpp"
#include "infrastructure/store/guards.hpp"
#include "infrastructure/store/json_text.hpp"
#include "infrastructure/store/paging_sql.hpp"
#include "infrastructure/store/refusals.hpp"

#include <fmt/format.h>

namespace scheduler::infrastructure {
namespace {

using application::Page;
using application::Paging;
using application::TaskFilter;
using database::postgres::Access;
using domain::Task;
using postgres::instant_of;
using postgres::kUpstreamsColumn;
using postgres::lock_tasks;
using postgres::read_whole_task;
using postgres::Row;
using postgres::Rows;
using postgres::RunEndings;
using postgres::Transaction;

constexpr std::string_view kSpecColumns =
    "name, description, task_type, schedule, timezone, parameters, timeout_seconds, max_retries, backoff_base_seconds,"
    " backoff_factor, backoff_cap_seconds, trigger_rule, overlap_policy, misfire_policy, delivery, priority, labels,"
    " worker_labels, route, shard_count, status, watermark, next_fire_at, schedule_since, retry_on, max_lost_attempts,"
    " misfire_grace_seconds, catch_up_window_seconds, max_concurrent_runs, max_queued_runs";
constexpr std::string_view kSpecValues =
    "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17,"
    " $18, $19, $20, $21, $22, $23, $24, $25, $26, $27, $28, $29, $30";

// Queues `sql`, which takes the values of kSpecColumns and then, from $31 on, `more`.
template <class... More>
void send_spec(Transaction& tx, std::string_view sql, const Task& task, const More&... more) {
  const auto& it = task.spec;
  tx.send(sql, it.name, it.description, it.task_type, it.schedule, it.timezone, it.parameters, it.timeout,
          it.max_retries, it.retry_backoff.base_seconds, it.retry_backoff.factor, it.retry_backoff.cap_seconds,
          it.trigger_rule, it.overlap_policy, it.misfire_policy, it.delivery, it.priority, to_json_text(it.labels),
          to_json_text(it.worker_labels), domain::route_of(it), it.shard_count, it.status, task.watermark,
          task.next_fire_at, task.schedule_since, to_json_text(it.retry_on), it.max_lost_attempts, it.misfire_grace,
          it.catch_up_window, it.max_concurrent_runs, it.max_queued_runs, more...);
}

// "… WHERE <condition> AND t.archived_at IS NULL", all columns.
std::string select_task(std::string_view condition) {
  return fmt::format("SELECT {}, {} FROM tasks t WHERE {} AND t.archived_at IS NULL", kTaskColumns, kUpstreamsColumn,
                     condition);
}

SchedulerResult<Task> one_task(Rows& rows, const Refusal& missing) {
  TRY(auto task, rows.first(read_whole_task));
  if (!task) return missing;
  return *std::move(task);
}

// ---- checks ---------------------------------------------------------------------------------------------------------

Async<void> check_name_is_free(Transaction& tx, const Task& task) {
  CO_TRY(auto rows, tx.query("SELECT id FROM tasks WHERE name = $1 AND archived_at IS NULL AND id <> $2",
                             task.spec.name, task.id));
  CO_UNWRAP(const auto other, rows.value<TaskId>());
  if (other) co_return name_is_taken(task.spec.name, *other);
  co_return SchedulerResult<void>{};
}

// Locks them, so that none is archived before this task depends on it.
Async<void> check_upstreams_exist(Transaction& tx, const std::vector<TaskId>& upstreams) {
  if (upstreams.empty()) co_return SchedulerResult<void>{};
  CO_TRY(auto rows,
         tx.query("SELECT id FROM tasks WHERE id = ANY ($1) AND archived_at IS NULL ORDER BY id FOR KEY SHARE",
                  upstreams));
  CO_UNWRAP(const auto found, rows.values<TaskId>());
  std::vector<bool> known;
  for (const auto id : upstreams) known.push_back(std::ranges::find(found, id) != found.end());
  co_return check_upstreams(upstreams, known);
}

// Everything upstream of `task`, as far as it is stored; nothing where no other task runs after this one.
Async<domain::DependencyGraph> graph_above(Transaction& tx, const Task& task) {
  CO_TRY(auto rows,
         tx.query("WITH RECURSIVE above (id) AS (SELECT unnest($2::bigint[]) WHERE EXISTS"
                  " (SELECT 1 FROM task_dependencies WHERE upstream_id = $1) UNION SELECT d.upstream_id FROM above"
                  " JOIN task_dependencies d ON d.task_id = above.id)"
                  " SELECT d.task_id, d.upstream_id FROM above JOIN task_dependencies d ON d.task_id = above.id",
                  task.id, task.spec.dependencies));
  domain::DependencyGraph graph;
  const auto read = rows.all([&graph](Row& row) {
    TaskId id, upstream;
    row.read(id, upstream);
    graph[id].push_back(upstream);
    return id;
  });
  if (!read) co_return std::unexpected(read.error());
  co_return graph;
}

Async<std::vector<std::string>> names_of(Transaction& tx, const std::vector<TaskId>& tasks) {
  CO_TRY(auto rows, tx.query("SELECT t.name FROM unnest($1::bigint[]) WITH ORDINALITY AS n (id, place)"
                             " JOIN tasks t ON t.id = n.id ORDER BY place",
                             tasks));
  co_return rows.values<std::string>();
}

// "a -> b -> a" in the message.
Async<void> check_no_cycle(Transaction& tx, const Task& task) {
  if (task.spec.dependencies.empty()) co_return SchedulerResult<void>{};
  CO_TRY(auto graph, graph_above(tx, task));
  graph[task.id] = task.spec.dependencies;
  const auto cycle = domain::find_cycle(graph, task.id);
  if (!cycle) co_return SchedulerResult<void>{};
  CO_TRY(auto names, names_of(tx, *cycle));
  names.front() = names.back() = task.spec.name;  // it may have a new one
  co_return tasks_wait_for_each_other(names);
}

// Two changes of dependencies at the same time could close a cycle together: one waits for the other.
void lock_dependencies(Transaction& tx) {
  tx.send("SELECT pg_advisory_xact_lock('task_dependencies'::regclass::oid::bigint)");
}

void insert_dependencies(Transaction& tx, const Task& task) {
  if (!task.spec.dependencies.empty())
    tx.send(
        "INSERT INTO task_dependencies (task_id, upstream_id, position)"
        " SELECT $1, n.id, n.place - 1 FROM unnest($2::bigint[]) WITH ORDINALITY AS n (id, place)",
        task.id, task.spec.dependencies);
}

// Unfinished rounds go with the dependencies they were about.
void delete_dependencies(Transaction& tx, TaskId task) {
  tx.send("DELETE FROM task_dependencies WHERE task_id = $1", task);
  tx.send("DELETE FROM dependency_rounds WHERE task_id = $1", task);
}

// Waiting runs no longer wait for tasks that theirs does not run after any more. Returns those that did.
Async<std::vector<RunId>> let_go_of_upstreams(Transaction& tx, const Task& task) {
  CO_TRY(auto rows,
         tx.query("DELETE FROM run_upstreams u USING task_runs r WHERE r.task_id = $1 AND r.state = 'waiting'"
                  " AND u.run_id = r.id AND u.state IS NULL AND NOT u.upstream_id = ANY ($2) RETURNING u.run_id",
                  task.id, task.spec.dependencies));
  co_return rows.values<RunId>();
}

// The name was free, and was taken before we came to write it.
SchedulerError taken_meanwhile(SchedulerError error, const std::string& name) {
  if (error.kind == ErrorKind::Conflict)
    return {ErrorKind::DuplicateTaskName, fmt::format("a task named '{}' has just been made", name)};
  return error;
}

// Runs that no worker has yet take the new route and priority.
void move_undispatched_runs(Transaction& tx, const Task& task) {
  static const auto kSql = fmt::format(
      "WITH moved AS (SELECT id FROM task_runs WHERE task_id = $3 AND ended_at IS NULL AND {}"
      " AND (route <> $1 OR priority <> $2) ORDER BY id FOR NO KEY UPDATE)"
      " UPDATE task_runs r SET route = $1, priority = $2 FROM moved WHERE r.id = moved.id",
      may_leave(domain::Event::cancel, Side::store));
  tx.send(kSql, domain::route_of(task.spec), task.spec.priority, task.id);
}

// A limit that was raised lets runs go; one that was set counts those that go already. The task is locked.
void apply_limit(Transaction& tx, const Task& task, std::optional<int> before, TimePoint now, RunEndings& endings) {
  if (task.spec.max_concurrent_runs == before) return;
  static const auto kCount = fmt::format(
      "UPDATE task_runs r SET holds_room = true WHERE r.task_id = $1 AND r.ended_at IS NULL AND r.holds_room IS NULL"
      " AND {}",
      run_goes("$2"));
  if (!before) tx.send(kCount, task.id, now);
  endings.revisit(task.id);
}

constexpr std::string_view kTaskFilter =
    "FROM tasks t WHERE t.archived_at IS NULL AND ($1::text IS NULL OR t.status = $1)"
    " AND ($2::text IS NULL OR t.task_type = $2)"
    " AND ($3::text IS NULL OR lower(t.name) LIKE lower($3 COLLATE \"C\") ESCAPE '\\')"
    " AND ($4::text IS NULL OR t.labels::jsonb ->> $4 = $5)";

}  // namespace

Async<Task> PostgresTaskRepository::create(Task task) {
  static const auto kSql = fmt::format(
      "INSERT INTO tasks ({}, version, created_at, updated_at, owner_id) VALUES ({}, $31, $32, $32, $33) RETURNING id",
      kSpecColumns, kSpecValues);
  CO_TRY(auto tx, database_.begin(Access::write));
  CO_TRY(auto now, tx.query(kSelectNow, clock_.own()));
  task.id = {};
  task.version = 1;
  CO_UNWRAP(task.created_at, instant_of(now));
  task.updated_at = task.created_at;
  CO_CHECK(check_name_is_free(tx, task));
  CO_CHECK(check_upstreams_exist(tx, task.spec.dependencies));
  send_spec(tx, kSql, task, task.version, task.created_at, task.owner);
  auto made = co_await tx.flush();
  if (!made) co_return std::unexpected(taken_meanwhile(made.error(), task.spec.name));
  CO_UNWRAP(const auto id, made->back().value<TaskId>());
  task.id = *id;
  insert_dependencies(tx, task);  // nobody can depend on a new task: no cycle
  CO_CHECK(tx.commit());
  co_return task;
}

Async<Task> PostgresTaskRepository::get(TaskId id) {
  static const auto kSql = select_task("t.id = $1");
  CO_TRY(auto rows, database_.query(kSql, id));
  co_return one_task(rows, no_such_task(id));
}

Async<Task> PostgresTaskRepository::find(std::string name) {
  static const auto kSql = select_task("t.name = $1");
  CO_TRY(auto rows, database_.query(kSql, name));
  co_return one_task(rows, no_such_task(name));
}

Async<Page<Task>> PostgresTaskRepository::list(TaskFilter filter, Paging paging) {
  CO_UNWRAP(const auto window, window_of(paging));
  const auto pattern = filter.name_contains.transform(like_pattern);
  const auto key = filter.label ? std::optional(filter.label->first) : std::nullopt;
  const auto value = filter.label ? std::optional(filter.label->second) : std::nullopt;
  static const auto kSql = fmt::format("SELECT {}, {} {} AND t.id < $6 ORDER BY t.id DESC LIMIT $7 OFFSET $8",
                                       kTaskColumns, kUpstreamsColumn, kTaskFilter);
  static const auto kCount = fmt::format("SELECT count(*) {}", kTaskFilter);
  CO_TRY(auto tx, database_.begin(Access::read));
  tx.send(kSql, filter.status, filter.task_type, pattern, key, value, window.before, window.rows_max, window.offset);
  tx.send(kCount, filter.status, filter.task_type, pattern, key, value);
  CO_TRY(auto results, tx.finish());
  CO_UNWRAP(auto tasks, results[0].all(read_whole_task));
  CO_UNWRAP(const auto total, results[1].value<std::int64_t>());
  auto page = page_of(std::move(tasks), window);
  page.total = total;
  co_return page;
}

Async<Task> PostgresTaskRepository::update(Task task, std::optional<domain::SlotDecision> skipped) {
  static const auto kLock = select_task("t.id = $1") + " FOR NO KEY UPDATE OF t";
  static const auto kSql = fmt::format(
      "UPDATE tasks SET ({}) = ROW({}), version = $31, updated_at = $32 WHERE id = $33", kSpecColumns, kSpecValues);
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send(kSelectNow, clock_.own());
  if (!task.spec.dependencies.empty()) lock_dependencies(tx);
  lock_tasks(tx, {task.id}, {});  // what waits for its fire times may go on
  tx.send(kLock, task.id);
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results.front()));
  CO_UNWRAP(const auto stored, one_task(results.back(), no_such_task(task.id)));
  if (stored.version != task.version) co_return task_was_changed(stored, task.version);
  CO_CHECK(check_name_is_free(tx, task));
  CO_CHECK(check_upstreams_exist(tx, task.spec.dependencies));
  CO_CHECK(check_no_cycle(tx, task));
  ++task.version;
  task.created_at = stored.created_at;
  task.owner = stored.owner;
  task.updated_at = now;
  // Slots may have fired since the task was read; that does not change its version.
  if (task.watermark && stored.watermark) task.watermark = std::max(*task.watermark, *stored.watermark);
  if (task.schedule_since != stored.schedule_since && task.schedule_since) task.schedule_since = task.watermark;
  send_spec(tx, kSql, task, task.version, now, task.id);
  if (task.spec.dependencies != stored.spec.dependencies) {
    delete_dependencies(tx, task.id);
    insert_dependencies(tx, task);
  }
  move_undispatched_runs(tx, task);
  // Slots that fired meanwhile, or were skipped, keep the disposition that they have.
  const auto left = skipped && stored.watermark ? domain::left_after(*skipped, *stored.watermark) : skipped;
  if (left) record_skipped(tx, {task.id}, {*left}, {std::nullopt}, now);
  RunEndings endings(tx, now);
  apply_limit(tx, task, stored.spec.max_concurrent_runs, now, endings);
  endings.note_passed({task.id});
  if (task.spec.dependencies != stored.spec.dependencies) {
    CO_TRY(const auto freed, let_go_of_upstreams(tx, task));
    endings.note_settled(freed);
  }
  const auto settled = co_await endings.settle();
  if (!settled) co_return std::unexpected(taken_meanwhile(settled.error(), task.spec.name));
  if (const auto done = co_await tx.commit(); !done)
    co_return std::unexpected(taken_meanwhile(done.error(), task.spec.name));
  co_return task;
}

// FOR UPDATE waits for everyone who is about to make a run of the task, or another task that depends on it.
Async<void> PostgresTaskRepository::archive(TaskId id) {
  CO_TRY(auto tx, database_.begin(Access::write));
  tx.send(kSelectNow, clock_.own());
  lock_tasks(tx, {id}, {});
  tx.send("SELECT name FROM tasks WHERE id = $1 AND archived_at IS NULL FOR UPDATE", id);
  tx.send("SELECT t.name FROM task_dependencies d JOIN tasks t ON t.id = d.task_id WHERE d.upstream_id = $1 LIMIT 1",
          id);
  CO_TRY(auto results, tx.flush());
  CO_UNWRAP(const auto now, instant_of(results[0]));
  CO_UNWRAP(const auto name, results[2].value<std::string>());
  if (!name) co_return no_such_task(id);
  CO_UNWRAP(const auto dependant, results[3].value<std::string>());
  if (dependant) co_return task_is_needed(*name, *dependant);
  delete_dependencies(tx, id);
  tx.send("UPDATE tasks SET archived_at = $1, updated_at = $1, version = version + 1 WHERE id = $2", now, id);
  RunEndings endings(tx, now);
  endings.end_undispatched({id}, domain::Event::cancel, domain::Reason::cancelled_by_user, "the task was deleted");
  CO_TRY(auto ended, tx.flush());
  CO_ENSURE(endings.note_all(ended.back(), domain::RunState::cancelled));
  endings.note_passed({id});
  CO_CHECK(endings.settle());
  co_return co_await tx.commit();
}

Async<std::vector<TaskId>> PostgresTaskRepository::dependants(TaskId id) {
  CO_TRY(auto rows,
         database_.query("SELECT task_id FROM task_dependencies WHERE upstream_id = $1 ORDER BY task_id", id));
  co_return rows.values<TaskId>();
}

Async<std::vector<application::DependencyEdge>> PostgresTaskRepository::edges(std::vector<TaskId> of,
                                                                              std::size_t limit) {
  CO_TRY(auto rows,
         database_.query("SELECT task_id, upstream_id FROM (SELECT task_id, upstream_id, position FROM"
                         " task_dependencies WHERE task_id = ANY ($1) UNION SELECT task_id, upstream_id, position"
                         " FROM task_dependencies WHERE upstream_id = ANY ($1)) d ORDER BY task_id, position LIMIT $2",
                         of, limit));
  co_return rows.all([](Row& row) {
    application::DependencyEdge it;
    row.read(it.task, it.upstream);
    return it;
  });
}

// The runs of a task are in two indexes: the newest of each, and then the newer one.
Async<std::vector<application::TaskStanding>> PostgresTaskRepository::standings(std::vector<TaskId> ids) {
  static const auto kSql = fmt::format(
      "SELECT {}, r.id, r.state FROM tasks t LEFT JOIN LATERAL"
      " ((SELECT id, state FROM task_runs WHERE task_id = t.id AND ended_at IS NULL ORDER BY id DESC LIMIT 1) UNION ALL"
      " (SELECT id, state FROM task_runs WHERE task_id = t.id AND ended_at IS NOT NULL ORDER BY id DESC LIMIT 1)"
      " ORDER BY id DESC LIMIT 1) r ON true WHERE t.id = ANY ($1) AND t.archived_at IS NULL ORDER BY t.id",
      kStandingColumns);
  CO_TRY(auto rows, database_.query(kSql, ids));
  co_return rows.all(read_standing);
}

}  // namespace scheduler::infrastructure
