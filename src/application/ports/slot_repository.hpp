// application/ports/slot_repository.hpp — the ledger of fire times.
//
// Always true: a slot (task, instant, shard) is recorded at most once, whoever and however many try; slot rows, runs
// and the task's new watermark are one transaction.
#pragma once

#include "application/ports/dispatch_repository.hpp"
#include "core/async.hpp"
#include "domain/fire_plan.hpp"
#include "domain/slot_audit.hpp"
#include "domain/task.hpp"
#include "domain/upstream_slots.hpp"

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace scheduler::application {

// A task that due tasks run after, as far as its fire times need it.
struct UpstreamTask {
  TaskId id;
  std::int64_t version = 1;
  std::string name, timezone;
  std::optional<std::string> schedule;
  TimePoint created_at{};
  std::optional<TimePoint> schedule_since;
};

struct FireView {
  TimePoint now{};
  std::vector<domain::Task> due;          // active, next_fire_at <= now, earliest first
  std::vector<UpstreamTask> upstreams;    // of all of them
  std::optional<TimePoint> next_fire_at;  // the earliest one after now among the others
};

struct Fire {
  domain::Task task;  // as it was read: committed only where version and watermark are still the same
  domain::FirePlan plan;
  // Of a task that runs after others: for each fired slot what its runs wait for, and the versions of the upstream
  // tasks that this was worked out from; committed only where they are still the same.
  std::map<TimePoint, std::vector<domain::AwaitedRun>> awaited = {};
  std::vector<std::pair<TaskId, std::int64_t>> upstream_versions = {};
};

struct FireReport {
  std::size_t runs = 0;                // pending or waiting runs made
  std::size_t skipped = 0;             // slots or ranges skipped
  std::size_t lost_races = 0;          // fires that found another version or watermark, and changed nothing
  std::vector<AssignedRun> to_cancel;  // dispatched or running runs marked for cancel by overlap policy `replace`
};

class SlotRepository {
 public:
  virtual ~SlotRepository() = default;
  virtual Async<FireView> due(std::size_t limit) = 0;
  // One transaction for all of them. Overlap is decided inside it by domain::on_overlap; each fired slot makes
  // `shard_count` runs. Those that wait for upstream runs are waiting, or skipped where that is certain already. The
  // ledger keeps what the overlap policy did, and the run that was the cause.
  virtual Async<FireReport> commit(std::vector<Fire> fires) = 0;
  // Takes a task whose schedule cannot be read out of the due list until it is edited, so that it stalls nobody.
  virtual Async<void> quarantine(TaskId task, std::int64_t version) = 0;
  // What is on record about these slots (ascending) of a task: each record that covers any of them, in any order. Reads
  // a bounded number of rows for each slot, however long the ledger is.
  virtual Async<std::vector<domain::SlotRecord>> recorded(TaskId task, std::vector<TimePoint> slots) = 0;
};

}  // namespace scheduler::application
