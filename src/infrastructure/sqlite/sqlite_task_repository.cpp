#include "infrastructure/sqlite/sqlite_task_repository.hpp"

#include "domain/route.hpp"
#include "infrastructure/sqlite/rows.hpp"
#include "infrastructure/sqlite/run_endings.hpp"
#include "infrastructure/sqlite/sqlite_slot_repository.hpp"
#include "infrastructure/store/guards.hpp"
#include "infrastructure/store/json_text.hpp"
#include "infrastructure/store/paging_sql.hpp"
#include "infrastructure/store/refusals.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace scheduler::infrastructure {
namespace {

using application::Page;
using application::Paging;
using application::TaskFilter;
using database::sqlite::column_of;
using domain::Task;

constexpr std::string_view kSpecColumns =
    "name, description, task_type, schedule, timezone, parameters, timeout_seconds, max_retries, backoff_base_seconds,"
    " backoff_factor, backoff_cap_seconds, trigger_rule, overlap_policy, misfire_policy, delivery, priority, labels,"
    " worker_labels, route, shard_count, status, watermark, next_fire_at, schedule_since, retry_on, max_lost_attempts,"
    " misfire_grace_seconds, catch_up_window_seconds, max_concurrent_runs, max_queued_runs";
constexpr std::string_view kSpecValues =
    "?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17,"
    " ?18, ?19, ?20, ?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30";

// Executes `sql`, which takes the values of kSpecColumns and then, from ?31 on, `more`.
template <class... More>
SchedulerResult<std::int64_t> write_spec(Connection& connection, std::string_view sql, const Task& task,
                                         const More&... more) {
  const auto& it = task.spec;
  return connection.execute(sql, it.name, it.description, it.task_type, it.schedule, it.timezone, it.parameters,
                            it.timeout, it.max_retries, it.retry_backoff.base_seconds, it.retry_backoff.factor,
                            it.retry_backoff.cap_seconds, it.trigger_rule, it.overlap_policy, it.misfire_policy,
                            it.delivery, it.priority, to_json_text(it.labels), to_json_text(it.worker_labels),
                            domain::route_of(it), it.shard_count, it.status, task.watermark, task.next_fire_at,
                            task.schedule_since, to_json_text(it.retry_on), it.max_lost_attempts, it.misfire_grace,
                            it.catch_up_window, it.max_concurrent_runs, it.max_queued_runs, more...);
}

SchedulerResult<Task> one_task(std::vector<Task> found, Refusal missing) {
  if (found.empty()) return missing;
  return std::move(found.front());
}

SchedulerResult<Task> get_task(Connection& connection, TaskId id) {
  static const auto kSql = fmt::format("SELECT {} FROM tasks t WHERE t.id = ? AND t.archived_at IS NULL", kTaskColumns);
  TRY(auto found, read_tasks(connection, connection.query(kSql, id)));
  return one_task(std::move(found), no_such_task(id));
}

SchedulerResult<Task> find_task(Connection& connection, std::string_view name) {
  static const auto kSql =
      fmt::format("SELECT {} FROM tasks t WHERE t.name = ? AND t.archived_at IS NULL", kTaskColumns);
  TRY(auto found, read_tasks(connection, connection.query(kSql, name)));
  return one_task(std::move(found), no_such_task(name));
}

SchedulerResult<std::string> name_of_task(Connection& connection, TaskId id) {
  TRY(const auto name, connection.query("SELECT name FROM tasks WHERE id = ?", id).value<std::string>());
  return name.value_or("?");
}

SchedulerResult<void> check_name_is_free(Connection& connection, const Task& task) {
  TRY(const auto other,
      connection
          .query("SELECT id FROM tasks WHERE name = ? AND archived_at IS NULL AND id <> ?", task.spec.name, task.id)
          .value<TaskId>());
  if (!other) return {};
  return name_is_taken(task.spec.name, *other);
}

SchedulerResult<void> check_upstreams_exist(Connection& connection, const std::vector<TaskId>& upstreams) {
  std::vector<bool> known;
  for (const auto id : upstreams) {
    TRY(const auto found,
        connection.query("SELECT 1 FROM tasks WHERE id = ? AND archived_at IS NULL", id).value<int>());
    known.push_back(found.has_value());
  }
  return check_upstreams(upstreams, known);
}

// Everything upstream of `task`, as far as it is stored.
SchedulerResult<domain::DependencyGraph> graph_above(Connection& connection, const Task& task) {
  domain::DependencyGraph graph;
  const auto upstreams = column_of(task.spec.dependencies);
  auto edges = connection.query(
      "WITH RECURSIVE above (id) AS (SELECT c1 FROM rows(?1) UNION SELECT d.upstream_id FROM above"
      " CROSS JOIN task_dependencies d ON d.task_id = above.id)"
      " SELECT d.task_id, d.upstream_id FROM above CROSS JOIN task_dependencies d ON d.task_id = above.id",
      upstreams);
  for (;;) {
    TRY(const bool found, edges.step());
    if (!found) return graph;
    TaskId id, upstream;
    edges.read(id, upstream);
    graph[id].push_back(upstream);
  }
}

// "a -> b -> a" in the message.
SchedulerResult<void> check_no_cycle(Connection& connection, const Task& task) {
  if (task.spec.dependencies.empty()) return {};
  TRY(const auto dependant,
      connection.query("SELECT 1 FROM task_dependencies WHERE upstream_id = ? LIMIT 1", task.id).value<int>());
  if (!dependant && std::ranges::find(task.spec.dependencies, task.id) == task.spec.dependencies.end()) return {};
  TRY(auto graph, graph_above(connection, task));
  graph[task.id] = task.spec.dependencies;
  const auto cycle = domain::find_cycle(graph, task.id);
  if (!cycle) return {};
  std::vector<std::string> names;
  for (const auto id : *cycle) {
    TRY(names.emplace_back(),
        id == task.id ? SchedulerResult<std::string>(task.spec.name) : name_of_task(connection, id));
  }
  return tasks_wait_for_each_other(names);
}

SchedulerResult<void> insert_dependencies(Connection& connection, const Task& task) {
  for (std::size_t i = 0; i < task.spec.dependencies.size(); ++i)
    CHECK(connection.execute("INSERT INTO task_dependencies (task_id, upstream_id, position) VALUES (?, ?, ?)", task.id,
                             task.spec.dependencies[i], i));
  return {};
}

// Unfinished rounds go with the dependencies they were about.
SchedulerResult<void> delete_dependencies(Connection& connection, TaskId task) {
  CHECK(connection.execute("DELETE FROM task_dependencies WHERE task_id = ?", task));
  CHECK(connection.execute("DELETE FROM dependency_rounds WHERE task_id = ?", task));
  return {};
}

// Waiting runs no longer wait for tasks that theirs does not run after any more.
SchedulerResult<void> let_go_of_upstreams(Connection& connection, const Task& task, RunEndings& endings) {
  const auto upstreams = column_of(task.spec.dependencies);
  TRY(const auto freed,
      connection
          .query("DELETE FROM run_upstreams WHERE state IS NULL AND run_id IN (SELECT id FROM task_runs"
                 " WHERE task_id = ?1 AND state = 'waiting') AND upstream_id NOT IN (SELECT c1 FROM rows(?2))"
                 " RETURNING run_id",
                 task.id, upstreams)
          .values<RunId>());
  for (const auto run : freed) CHECK(endings.decide(run));
  return {};
}

SchedulerResult<Task> create_task(Connection& connection, Task task, TimePoint now) {
  task.id = {};
  task.version = 1;
  task.created_at = task.updated_at = now;
  CHECK(check_name_is_free(connection, task));
  CHECK(check_upstreams_exist(connection, task.spec.dependencies));
  static const auto kSql =
      fmt::format("INSERT INTO tasks ({}, version, created_at, updated_at, owner_id) VALUES ({}, ?31, ?32, ?32, ?33)",
                  kSpecColumns, kSpecValues);
  CHECK(write_spec(connection, kSql, task, task.version, now, task.owner));
  task.id = TaskId{connection.last_insert_id()};
  CHECK(insert_dependencies(connection, task));  // nobody can depend on a new task: no cycle
  return task;
}

// Runs that no worker has yet take the new route and priority.
SchedulerResult<void> move_undispatched_runs(Connection& connection, const Task& task) {
  static const auto kSql = fmt::format(
      "UPDATE task_runs SET route = ?1, priority = ?2 WHERE task_id = ?3 AND ended_at IS NULL AND {}"
      " AND (route <> ?1 OR priority <> ?2)",
      may_leave(domain::Event::cancel, Side::store));
  CHECK(connection.execute(kSql, domain::route_of(task.spec), task.spec.priority, task.id));
  return {};
}

// A limit that was raised lets runs go; one that was set counts those that go already.
SchedulerResult<void> apply_limit(Connection& connection, const Task& task, const Task& before, TimePoint now,
                                  RunEndings& endings) {
  if (task.spec.max_concurrent_runs == before.spec.max_concurrent_runs) return {};
  static const auto kCount = fmt::format(
      "UPDATE task_runs AS r SET holds_room = 1 WHERE r.task_id = ?1 AND r.ended_at IS NULL AND r.holds_room IS NULL"
      " AND {}",
      run_goes("?2"));
  if (!before.spec.max_concurrent_runs) CHECK(connection.execute(kCount, task.id, now));
  endings.revisit(task.id);
  return {};
}

SchedulerResult<Task> update_task(Connection& connection, Task task, const std::optional<domain::SlotDecision>& skipped,
                                  TimePoint now) {
  TRY(const auto stored, get_task(connection, task.id));
  if (stored.version != task.version) return task_was_changed(stored, task.version);
  CHECK(check_name_is_free(connection, task));
  CHECK(check_upstreams_exist(connection, task.spec.dependencies));
  CHECK(check_no_cycle(connection, task));
  ++task.version;
  task.created_at = stored.created_at;
  task.owner = stored.owner;
  task.updated_at = now;
  // Slots may have fired since the task was read; that does not change its version.
  if (task.watermark && stored.watermark) task.watermark = std::max(*task.watermark, *stored.watermark);
  if (task.schedule_since != stored.schedule_since && task.schedule_since) task.schedule_since = task.watermark;
  static const auto kSql = fmt::format("UPDATE tasks SET ({}) = ({}), version = ?31, updated_at = ?32 WHERE id = ?33",
                                       kSpecColumns, kSpecValues);
  CHECK(write_spec(connection, kSql, task, task.version, now, task.id));
  if (task.spec.dependencies != stored.spec.dependencies) {
    CHECK(delete_dependencies(connection, task.id));
    CHECK(insert_dependencies(connection, task));
  }
  CHECK(move_undispatched_runs(connection, task));
  RunEndings endings(connection, now);
  CHECK(apply_limit(connection, task, stored, now, endings));
  // Slots that fired meanwhile, or were skipped, keep the disposition that they have.
  const auto left = skipped && stored.watermark ? domain::left_after(*skipped, *stored.watermark) : skipped;
  if (left) CHECK(record_skipped(connection, task.id, *left, now, std::nullopt));
  CHECK(endings.note_passed(task.id));
  if (task.spec.dependencies != stored.spec.dependencies) CHECK(let_go_of_upstreams(connection, task, endings));
  CHECK(endings.settle());
  return task;
}

SchedulerResult<void> archive_task(Connection& connection, TaskId id, TimePoint now) {
  TRY(const auto task, get_task(connection, id));
  TRY(const auto dependant,
      connection.query("SELECT task_id FROM task_dependencies WHERE upstream_id = ? LIMIT 1", id).value<TaskId>());
  if (dependant) {
    TRY(const auto name, name_of_task(connection, *dependant));
    return task_is_needed(task.spec.name, name);
  }
  CHECK(delete_dependencies(connection, id));
  CHECK(connection.execute("UPDATE tasks SET archived_at = ?1, updated_at = ?1, version = version + 1 WHERE id = ?2",
                           now, id));
  RunEndings endings(connection, now);
  CHECK(endings.end_undispatched(id, domain::Event::cancel, domain::Reason::cancelled_by_user, "the task was deleted"));
  CHECK(endings.note_passed(id));
  return endings.settle();
}

constexpr std::string_view kTaskFilter =
    "FROM tasks t WHERE t.archived_at IS NULL AND (?1 IS NULL OR t.status = ?1) AND (?2 IS NULL OR t.task_type = ?2)"
    " AND (?3 IS NULL OR t.name LIKE ?3 ESCAPE '\\')"
    " AND (?4 IS NULL OR EXISTS (SELECT 1 FROM json_each(t.labels) label WHERE label.key = ?4 AND label.value = ?5))";

SchedulerResult<Page<Task>> list_tasks(Connection& connection, const TaskFilter& filter, const Paging& paging) {
  TRY(const auto window, window_of(paging));
  const auto pattern = filter.name_contains.transform(like_pattern);
  const auto key = filter.label ? std::optional(filter.label->first) : std::nullopt;
  const auto value = filter.label ? std::optional(filter.label->second) : std::nullopt;
  static const auto kSql =
      fmt::format("SELECT {} {} AND t.id < ?6 ORDER BY t.id DESC LIMIT ?7 OFFSET ?8", kTaskColumns, kTaskFilter);
  TRY(auto rows, read_tasks(connection, connection.query(kSql, filter.status, filter.task_type, pattern, key, value,
                                                         window.before, window.rows_max, window.offset)));
  static const auto kCount = fmt::format("SELECT count(*) {}", kTaskFilter);
  TRY(const auto total,
      connection.query(kCount, filter.status, filter.task_type, pattern, key, value).value<std::int64_t>());
  auto page = page_of(std::move(rows), window);
  page.total = total;
  return page;
}

}  // namespace

Async<Task> SqliteTaskRepository::create(Task task) {
  return database_.write(
      [this, task = std::move(task)](Connection& connection) { return create_task(connection, task, clock_.now()); });
}

Async<Task> SqliteTaskRepository::get(TaskId id) {
  return database_.read([id](Connection& connection) { return get_task(connection, id); });
}

Async<Task> SqliteTaskRepository::find(std::string name) {
  return database_.read([name = std::move(name)](Connection& connection) { return find_task(connection, name); });
}

Async<Page<Task>> SqliteTaskRepository::list(TaskFilter filter, Paging paging) {
  return database_.read(
      [filter = std::move(filter), paging](Connection& connection) { return list_tasks(connection, filter, paging); });
}

Async<Task> SqliteTaskRepository::update(Task task, std::optional<domain::SlotDecision> skipped) {
  return database_.write([this, task = std::move(task), skipped](Connection& connection) {
    return update_task(connection, task, skipped, clock_.now());
  });
}

Async<void> SqliteTaskRepository::archive(TaskId id) {
  return database_.write([this, id](Connection& connection) { return archive_task(connection, id, clock_.now()); });
}

Async<std::vector<TaskId>> SqliteTaskRepository::dependants(TaskId id) {
  return database_.read([id](Connection& connection) {
    return connection.query("SELECT task_id FROM task_dependencies WHERE upstream_id = ? ORDER BY task_id", id)
        .values<TaskId>();
  });
}

Async<std::vector<application::DependencyEdge>> SqliteTaskRepository::edges(std::vector<TaskId> of, std::size_t limit) {
  return database_.read([of = std::move(of), limit](Connection& connection) {
    const auto tasks = column_of(of);
    return connection
        .query(
            "SELECT task_id, upstream_id FROM (SELECT d.task_id, d.upstream_id, d.position FROM rows(?1)"
            " CROSS JOIN task_dependencies d ON d.task_id = c1 UNION SELECT d.task_id, d.upstream_id, d.position"
            " FROM rows(?1) CROSS JOIN task_dependencies d ON d.upstream_id = c1)"
            " ORDER BY task_id, position LIMIT ?2",
            tasks, limit)
        .all([](Statement& row) {
          application::DependencyEdge it;
          row.read(it.task, it.upstream);
          return it;
        });
  });
}

Async<std::vector<application::TaskStanding>> SqliteTaskRepository::standings(std::vector<TaskId> ids) {
  static const auto kSql = fmt::format(
      "SELECT {}, r.id, r.state FROM rows(?1) CROSS JOIN tasks t ON t.id = c1 AND t.archived_at IS NULL LEFT JOIN"
      " task_runs r ON r.id = (SELECT max(id) FROM task_runs INDEXED BY task_runs_history WHERE task_id = t.id)"
      " ORDER BY t.id",
      kStandingColumns);
  return database_.read([ids = std::move(ids)](Connection& connection) {
    const auto rows = column_of(ids);
    return connection.query(kSql, rows).all(read_standing);
  });
}

}  // namespace scheduler::infrastructure
