// infrastructure/store/upstream_sql.hpp — how rows of run_upstreams are settled, in the SQL that both engines read.
//
// Always true of a row without a state: with `upstream_run_id` it waits for that very run; without it, but with a slot,
// for the runs of that fire time; with neither, for the next run of the upstream task that ends.
#pragma once

#include <string_view>

namespace scheduler::infrastructure {

// UPDATE run_upstreams … WHERE <rows> AND {kOfSlot}. A row whose fire time made runs that have all ended takes the
// first one that did not succeed, or the first one. Others stay as they are.
inline constexpr std::string_view kSettleByRuns =
    "SET (upstream_run_id, state) = (SELECT CASE WHEN r.ended_at IS NOT NULL THEN r.id END,"
    " CASE WHEN r.ended_at IS NOT NULL THEN r.state END FROM schedule_slots s JOIN task_runs r ON r.id = s.run_id"
    " WHERE s.slot = run_upstreams.slot AND s.task_id = run_upstreams.upstream_id"
    " ORDER BY r.ended_at IS NOT NULL, r.state = 'succeeded', s.shard LIMIT 1)";
inline constexpr std::string_view kOfSlot = "state IS NULL AND upstream_run_id IS NULL AND slot IS NOT NULL";

// UPDATE run_upstreams SET state = 'skipped' WHERE <rows> AND {kOfSlot} AND {kWillNotCome}. A fire time that made no
// run, and that its task will not come to any more: it lies before the next one.
inline constexpr std::string_view kWillNotCome =
    "NOT EXISTS (SELECT 1 FROM schedule_slots s WHERE s.slot = run_upstreams.slot"
    " AND s.task_id = run_upstreams.upstream_id AND s.run_id IS NOT NULL)"
    " AND EXISTS (SELECT 1 FROM tasks t WHERE t.id = run_upstreams.upstream_id AND (t.archived_at IS NOT NULL"
    " OR t.next_fire_at IS NULL OR t.next_fire_at > run_upstreams.slot))";

}  // namespace scheduler::infrastructure
