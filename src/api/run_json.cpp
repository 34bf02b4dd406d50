#include "api/run_json.hpp"

namespace scheduler::api {
namespace {

std::optional<std::int64_t> duration_ms(std::optional<TimePoint> from, std::optional<TimePoint> to) {
  if (!from || !to) return std::nullopt;
  return std::chrono::duration_cast<Millis>(*to - *from).count();
}

void write_reason(JsonWriter& json, domain::Reason reason, const std::string& message) {
  json.key("reason");
  if (reason == domain::Reason::none)
    json.null();
  else
    json.value(name_of(reason));
  json.member("message", message);
}

// Where to look.
std::vector<std::string> evidence_of(const domain::Gate& gate) {
  std::vector<std::string> links;
  for (const auto run : gate.runs) links.push_back("/api/runs/" + std::to_string(run.value));
  for (const auto& worker : gate.workers) links.push_back("/api/workers/" + worker.value);
  return links;
}

void write_gate(JsonWriter& json, const domain::Gate& gate) {
  json.begin_object()
      .member("code", name_of(gate.code))
      .member("sentence", gate.sentence)
      .member("remedy", gate.remedy.empty() ? std::nullopt : std::optional(gate.remedy))
      .member("since", gate.since)
      .member("opens_at", gate.opens_at)
      .member("runs", gate.runs)
      .member("workers", gate.workers)
      .member("evidence", evidence_of(gate))
      .end_object();
}

void write_standing(JsonWriter& json, const application::TaskStanding& task) {
  json.begin_object()
      .member("task_id", task.id)
      .member("task_name", task.name)
      .member("status", name_of(task.status))
      .member("schedule", task.schedule)
      .member("trigger_rule", name_of(task.trigger_rule))
      .member("last_run_id", task.last_run)
      .member("last_run_state", task.last_state.transform([](domain::RunState it) { return name_of(it); }))
      .end_object();
}

void write_edge(JsonWriter& json, const application::DependencyEdge& edge) {
  json.begin_object().member("task_id", edge.task).member("upstream_id", edge.upstream).end_object();
}

}  // namespace

// The mark in the row is for a worker that has yet to stop it; a run that no worker held was cancelled without one.
void write_run(JsonWriter& json, const domain::TaskRun& run) {
  json.begin_object()
      .member("id", run.id)
      .member("task_id", run.task)
      .member("task_name", run.task_name)
      .member("trigger", name_of(run.trigger))
      .member("slot", run.slot)
      .member("retry_of", run.retry_of)
      .member("group_id", run.group);
  json.key("parameters").raw(run.parameters ? std::string_view(*run.parameters) : "null");
  json.member("shard_index", run.shard_index)
      .member("shard_total", run.shard_total)
      .member("state", name_of(run.state))
      .member("waits_for", run.waits_for.transform([](domain::Wait it) { return std::string(name_of(it)); }))
      .member("priority", run.priority)
      .member("created_at", run.created_at)
      .member("due_at", run.due_at)
      .member("attempt", run.attempt)
      .member("lost_attempts", run.lost_attempts)
      .member("token", run.token)
      .member("worker", run.worker)
      .member("incarnation", run.incarnation)
      .member("dispatched_at", run.dispatched_at)
      .member("started_at", run.started_at)
      .member("ended_at", run.ended_at)
      .member("duration_ms", duration_ms(run.started_at, run.ended_at))
      .member("cancel_requested", run.cancel_requested());
  write_reason(json, run.reason, run.message);
  json.member("exit_code", run.exit_code).member("http_status", run.http_status).end_object();
}

void write_attempt(JsonWriter& json, const domain::Attempt& attempt) {
  json.begin_object()
      .member("run_id", attempt.run)
      .member("number", attempt.number)
      .member("token", attempt.token)
      .member("state", name_of(attempt.state))
      .member("worker", attempt.worker)
      .member("incarnation", attempt.incarnation)
      .member("dispatched_at", attempt.dispatched_at)
      .member("started_at", attempt.started_at)
      .member("ended_at", attempt.ended_at)
      .member("duration_ms", duration_ms(attempt.started_at, attempt.ended_at));
  write_reason(json, attempt.reason, attempt.message);
  json.member("exit_code", attempt.exit_code).member("http_status", attempt.http_status).end_object();
}

void write_upstream_run(JsonWriter& json, const domain::UpstreamRun& upstream) {
  json.begin_object()
      .member("task_id", upstream.task)
      .member("task_name", upstream.task_name)
      .member("slot", upstream.slot)
      .member("run_id", upstream.run)
      .member("state", upstream.state.transform([](domain::RunState it) { return name_of(it); }))
      .end_object();
}

void write_explained(JsonWriter& json, const application::RunExplained& explained) {
  json.begin_object()
      .member("run_id", explained.run.id)
      .member("state", name_of(explained.run.state))
      .member("answer", explained.gates.front().sentence);
  json.key("gates").array(explained.gates, write_gate).end_object();
}

void write_explained(JsonWriter& json, const application::TaskExplained& explained) {
  json.begin_object()
      .member("task_id", explained.task.id)
      .member("status", name_of(explained.task.spec.status))
      .member("answer", explained.gates.front().sentence);
  json.key("gates").array(explained.gates, write_gate).end_object();
}

void write_new_runs(JsonWriter& json, const application::NewRuns& made) {
  json.begin_object().key("runs").array(made.runs, write_run).member("existed", made.existed);
  json.key("downstream").array(made.downstream, write_run).end_object();
}

void write_dependencies(JsonWriter& json, const application::TaskDependencies& dependencies) {
  json.begin_object().key("task");
  write_standing(json, dependencies.task);
  json.key("upstreams").array(dependencies.upstreams, write_standing);
  json.key("dependants").array(dependencies.dependants, write_standing).end_object();
}

void write_graph(JsonWriter& json, const application::TaskGraph& graph) {
  json.begin_object().key("tasks").array(graph.tasks, write_standing);
  json.key("edges").array(graph.edges, write_edge).member("truncated", graph.truncated).end_object();
}

void write_bulk(JsonWriter& json, const std::vector<application::NewRuns>& made) {
  json.begin_object().key("items").begin_array();
  for (const auto& it : made) {
    std::vector<RunId> ids;
    for (const auto& run : it.runs) ids.push_back(run.id);
    json.begin_object()
        .member("task_id", it.runs.front().task)
        .member("run_ids", ids)
        .member("existed", it.existed)
        .end_object();
  }
  json.end_array().end_object();
}

// What tells one shard from another. The rest, parameters of a megabyte among it, is at /api/runs/{id}.
void write_shard(JsonWriter& json, const domain::TaskRun& run) {
  json.begin_object()
      .member("id", run.id)
      .member("shard_index", run.shard_index)
      .member("retry_of", run.retry_of)
      .member("state", name_of(run.state))
      .member("attempt", run.attempt)
      .member("worker", run.worker)
      .member("started_at", run.started_at)
      .member("ended_at", run.ended_at)
      .member("duration_ms", duration_ms(run.started_at, run.ended_at));
  write_reason(json, run.reason, run.message);
  json.end_object();
}

void write_group(JsonWriter& json, const domain::RunGroup& group) {
  std::map<std::string, std::int64_t> by_state;
  for (const auto& [state, count] : group.by_state) by_state[std::string(name_of(state))] = count;
  json.begin_object()
      .member("group_id", group.id)
      .member("task_id", group.task)
      .member("state", name_of(group.state))
      .member("shards", group.shards)
      .member("by_state", by_state)
      .member("ended_at", group.ended_at);
  json.key("runs").array(group.runs, write_shard).end_object();
}

void write_task_stats(JsonWriter& json, const application::TaskStats& stats) {
  json.begin_object()
      .member("runs", stats.runs)
      .member("by_state", stats.by_state)
      .member("active", stats.active)
      .member("success_ratio", stats.success_ratio)
      .member("duration_avg_ms", stats.duration_avg_ms)
      .member("duration_p95_ms", stats.duration_p95_ms)
      .member("last_success_at", stats.last_success_at)
      .member("last_failure_at", stats.last_failure_at)
      .end_object();
}

std::string run_json(const domain::TaskRun& run) {
  JsonWriter json;
  write_run(json, run);
  return json.take();
}

}  // namespace scheduler::api
