// infrastructure/store/upstream_json.hpp — what upstream runs left, as an execution carries it: the same in every
// store.
#pragma once

#include "application/ports/dispatch_repository.hpp"

#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

namespace scheduler::infrastructure {

// How many bytes the upstream runs of one run left together.
struct UpstreamSize {
  RunId run;
  std::int64_t bytes = 0;
};

// Those of `runs`, from the front, whose data is read now: as many as fit into `bytes_max`, and one at least. A run for
// which there is too much is among them and counts nothing: its data is not read.
struct UpstreamChoice {
  std::vector<RunId> to_read;
  std::unordered_map<RunId, application::UpstreamOutput> refused;
};
[[nodiscard]] UpstreamChoice choose_upstreams(std::span<const RunId> runs, std::span<const UpstreamSize> sizes,
                                              std::size_t bytes_max);

// A run that `run` waited for. Nothing of it: the fire time that it waited for made none.
struct UpstreamRow {
  RunId run;
  std::string task_name;
  std::optional<RunId> id;
  std::optional<domain::RunState> state;
  std::optional<TimePoint> slot;
  std::optional<int> shard_index;
  std::optional<std::string> output;
};
inline constexpr std::string_view kUpstreamColumns = "b.run_id, t.name, r.id, r.state, r.slot, r.shard_index, o.output";
inline constexpr auto read_upstream = [](auto& row) {
  UpstreamRow it;
  row.read(it.run, it.task_name, it.id, it.state, it.slot, it.shard_index, it.output);
  return it;
};

// One for each run of the choice. `rows`: of those to read; they stand together by run, and within it by task.
[[nodiscard]] std::unordered_map<RunId, application::UpstreamOutput> upstream_outputs_of(
    UpstreamChoice choice, std::span<const UpstreamRow> rows);

}  // namespace scheduler::infrastructure
