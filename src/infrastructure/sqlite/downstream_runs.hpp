// infrastructure/sqlite/downstream_runs.hpp — a run is run again, and with it what was skipped because of it.
#pragma once

#include "infrastructure/sqlite/run_insert.hpp"

namespace scheduler::infrastructure {

// `again` was made in the place of `ended`. Each run that was skipped (dependency_failed) over `ended`, and in turn
// over such a run, is made again as well: waiting for the new runs, and for all else as the skipped one did. Left out
// are runs that were made again since and have not ended badly, tasks that were deleted or do not run after theirs any
// more, and what lies behind a task with shards. Returns the new runs; Conflict for more than kDownstreamRunsMax.
[[nodiscard]] SchedulerResult<std::vector<RunId>> run_downstream_again(Connection& connection, RunId ended, RunId again,
                                                                       TimePoint now);

}  // namespace scheduler::infrastructure
