// domain/why.hpp — why a run has not started or ended as it did, and what a task's next run waits for.
//
// A run passes gates on its way: its time, earlier runs of its task, a worker that may take it, a free slot there. The
// answer names every closed gate in that order, each with a stable code, a sentence, since when, and what would open
// it.
#pragma once

#include "core/enum_names.hpp"
#include "domain/dependencies.hpp"
#include "domain/dispatch_plan.hpp"
#include "domain/slot_audit.hpp"
#include "domain/task.hpp"
#include "domain/task_run.hpp"

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace scheduler::domain {

enum class GateCode {
  // of a task
  task_paused,      // its fire times pass without a run
  no_trigger,       // no schedule, no upstream task: only people start it
  after_upstreams,  // it runs when other tasks have ended
  never_again,      // its schedule names no time that is still to come
  set_aside,        // its schedule cannot be read, so no dispatcher fires it
  not_fired,        // a fire time has come, and no dispatcher has decided it
  // of a run
  not_due,               // its time has not come
  backoff,               // an attempt failed, and the next one waits
  dependency,            // upstream runs that it waits for have not ended
  overlap,               // an earlier run of the task has not ended
  limit,                 // as many runs of the task go as may at the same time
  no_worker,             // no worker is alive
  no_worker_for_type,    // none of them executes this type
  no_worker_for_labels,  // none of those bears the labels that the task asks for
  workers_draining,      // those that could are to take nothing new
  slots_busy,            // those that could are full
  not_dispatched,        // a worker could take it, and no dispatcher has given it one
  waiting_for_slot,      // its worker has it, and executes others first
  queue_away,            // the message queue is away: neither work nor news travels
  worker_silent,         // its worker has missed a heartbeat
  cancelling,            // it is to be stopped, and its worker has not said so yet
  running,               // nothing holds it: it is being executed
  ended_well,            // succeeded
  exit_code,             // ended otherwise: the reason of the run, by the same name
  signal,
  http_status,
  executor_error,
  timeout,
  worker_lost,
  dependency_failed,
  overlapped,  // … but for `overlap`, which is a gate as well
  misfire,
  paused,
  cancelled_by_user,
  shutdown,
  output_invalid,
  output_missing,
};
constexpr auto enum_names(GateCode) {
  return std::to_array<std::string_view>({"task_paused",
                                          "no_trigger",
                                          "after_upstreams",
                                          "never_again",
                                          "set_aside",
                                          "not_fired",
                                          "not_due",
                                          "backoff",
                                          "dependency",
                                          "overlap",
                                          "limit",
                                          "no_worker",
                                          "no_worker_for_type",
                                          "no_worker_for_labels",
                                          "workers_draining",
                                          "slots_busy",
                                          "not_dispatched",
                                          "waiting_for_slot",
                                          "queue_away",
                                          "worker_silent",
                                          "cancelling",
                                          "running",
                                          "ended_well",
                                          "exit_code",
                                          "signal",
                                          "http_status",
                                          "executor_error",
                                          "timeout",
                                          "worker_lost",
                                          "dependency_failed",
                                          "overlapped",
                                          "misfire",
                                          "paused",
                                          "cancelled_by_user",
                                          "shutdown",
                                          "output_invalid",
                                          "output_missing"});
}

struct Gate {
  GateCode code = GateCode::running;
  std::string sentence;               // what is the case
  std::string remedy;                 // what would open it, or what to look at; empty: it opens by itself
  std::optional<TimePoint> since;     // closed since then, where that is known
  std::optional<TimePoint> opens_at;  // opens then by itself
  std::vector<RunId> runs;            // the runs that it is about
  std::vector<WorkerId> workers;      // the workers that it is about, at most kWhyWorkersMax
};
inline constexpr std::size_t kWhyWorkersMax = 10;
inline constexpr std::size_t kWhyRunsMax = 10;

// What the answer is made from; all by the store's clock, read as closely together as a store allows.
struct WhyView {
  TimePoint now{};
  bool queue_away = false;  // as the asking process sees it
  TaskRun run;
  std::string route;                   // of the task; empty where it was deleted
  std::vector<WorkerLoad> workers;     // the newest incarnation of each worker; dead ones may be among them
  std::vector<RunId> earlier;          // runs of the same task that a waiting run may wait for
  std::optional<int> limit;            // the task's max_concurrent_runs
  std::vector<UpstreamRun> upstreams;  // what a waiting run waits for
};

struct TaskWhyView {
  TimePoint now{};
  Task task;
  std::vector<WorkerLoad> workers;            // as in WhyView
  std::vector<RunId> active;                  // runs of the task that have not ended
  std::optional<std::string> set_aside = {};  // why no dispatcher fires it although it is active and has a schedule
  std::optional<SlotRecord> last_slot = {};   // what the ledger holds about its latest fire time
};

// What the next run of the task waits for; at least one gate.
[[nodiscard]] std::vector<Gate> why(const TaskWhyView& view);

// At least one gate; the first one is the one to look at. `running` and the codes of an end stand alone.
[[nodiscard]] std::vector<Gate> why(const WhyView& view);

}  // namespace scheduler::domain
