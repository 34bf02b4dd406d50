// api/run_json.hpp — runs, attempts and statistics as JSON (docs/openapi.yaml).
#pragma once

#include "api/json_writer.hpp"
#include "application/ports/run_repository.hpp"
#include "application/run_service.hpp"
#include "application/task_service.hpp"

namespace scheduler::api {

void write_run(JsonWriter& json, const domain::TaskRun& run);
void write_attempt(JsonWriter& json, const domain::Attempt& attempt);
void write_upstream_run(JsonWriter& json, const domain::UpstreamRun& upstream);
void write_explained(JsonWriter& json, const application::RunExplained& explained);
void write_explained(JsonWriter& json, const application::TaskExplained& explained);
void write_new_runs(JsonWriter& json, const application::NewRuns& made);
void write_bulk(JsonWriter& json, const std::vector<application::NewRuns>& made);  // each holds a run
void write_shard(JsonWriter& json, const domain::TaskRun& run);
void write_group(JsonWriter& json, const domain::RunGroup& group);
void write_dependencies(JsonWriter& json, const application::TaskDependencies& dependencies);
void write_graph(JsonWriter& json, const application::TaskGraph& graph);
void write_task_stats(JsonWriter& json, const application::TaskStats& stats);
[[nodiscard]] std::string run_json(const domain::TaskRun& run);

}  // namespace scheduler::api
