// application/ports/dispatch_repository.hpp — the hot path of a run: to a worker, through its reports, to its end.
//
// Always true of every write here:
//   - it is one transaction for the whole batch (apply may take two);
//   - each item is guarded on its own by the run's state (domain/transitions.hpp) and token; an item whose guard fails
//     changes nothing and is reported as not won;
//   - when a run ends, the same transaction lets waiting runs of the same task go (domain/limits.hpp), and completes
//   the
//     rounds of tasks that depend on it.
// No read looks at history: costs grow with active runs only.
#pragma once

#include "application/messages.hpp"
#include "core/async.hpp"
#include "domain/dispatch_plan.hpp"
#include "domain/retry.hpp"
#include "domain/task_run.hpp"

#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace scheduler::application {

struct DispatchView {
  TimePoint now{};
  std::vector<domain::WorkerLoad> workers;  // alive ones, by id; in_flight counts dispatched and running runs
  std::vector<std::string> routes;          // every route with a pending run that is due
  std::optional<TimePoint> next_due;        // the earliest due_at after now of a run that is pending or waits for it
  bool has_timely = false;                  // runs that wait for their time, and it has come: see join_line()
};

// A due run; `execution.attempt` and `execution.token` are those that it will have once dispatched (seen + 1).
struct DueRun {
  domain::Candidate candidate;
  TaskExecution execution;     // without what its upstream runs left
  bool has_upstreams = false;  // it waited for runs of other tasks: upstream_outputs() tells what they left
};

// TaskExecution::upstream and upstream_fault of one run: one of the two.
struct UpstreamOutput {
  std::optional<std::string> json, fault;
  bool operator==(const UpstreamOutput&) const = default;
};

struct Dispatching {
  RunId run;
  Token token_seen = 0;
  WorkerId worker;
  IncarnationId incarnation;
};

// An active run and who holds it.
struct AssignedRun {
  RunId run;
  Token token = 0;
  IncarnationId incarnation;
  domain::RunState state = domain::RunState::dispatched;
  TimePoint dispatched_at{};
  bool missing = false;  // the worker's inventory did not list it last time
  domain::Reason cancel_reason = domain::Reason::none;
};

struct RunContext {
  domain::TaskRun run;
  domain::Policy policy;
};
struct RunContexts {
  TimePoint now{};
  std::unordered_map<RunId, RunContext> runs;  // unknown ids are absent
};

struct Started {
  RunId run;
  Token token = 0;
  TimePoint started_at{};
};

// An attempt is over. Writes the attempt's row and the run's next state together, and what a run that ends well left.
struct Ended {
  RunId run;
  Token token = 0;  // the current one
  domain::AttemptState attempt_state = domain::AttemptState::succeeded;
  domain::Outcome outcome;              // reason and message of the attempt, and of the run where `next` ends it
  std::optional<TimePoint> started_at;  // where the report tells; keeps an earlier value otherwise
  TimePoint ended_at{};
  std::int64_t log_lines = 0;
  domain::AfterAttempt next;
  bool revoke = false;  // the worker may still be at it (lost, overdue): token + 1
};
// The worker hands a run back that it never began: pending again, due at once, as if it had not been dispatched
// (attempt - 1), but with a larger token.
struct Returned {
  RunId run;
  Token token = 0;
};
using RunChange = std::variant<Started, Ended, Returned>;

// What became of a RunChange.
struct Applied {
  bool won = false;
  TimePoint due_at{};  // of the run, before the change; where it won
  operator bool() const { return won; }
};

// Runs whose worker cannot end them any more.
struct RescueView {
  TimePoint now{};
  std::vector<RunContext> orphaned;  // their incarnation is dead, or they are missing from its inventory since long
  std::vector<RunContext> overdue;   // running past timeout + kOverdueGrace
};
inline constexpr Seconds kOverdueGrace{30};
inline constexpr Seconds kMissingGrace{10};

inline constexpr std::size_t kJoinMax = 1000;

class DispatchRepository {
 public:
  virtual ~DispatchRepository() = default;

  virtual Async<DispatchView> view() = 0;
  // Due pending runs of these routes, the most urgent first (domain/urgency.hpp), then the smallest id; at most
  // `limit`.
  virtual Async<std::vector<DueRun>> due(std::vector<std::string> routes, std::size_t limit, Seconds ageing) = 0;
  // Runs of tasks with a limit whose time has come stand in line now, and go where there is room. At most kJoinMax.
  virtual Async<std::size_t> join_line() = 0;
  // What the upstream runs of these runs left. Of as many from the front as fit into `bytes_max`, and of one at least;
  // the others are absent.
  virtual Async<std::unordered_map<RunId, UpstreamOutput>> upstream_outputs(std::vector<RunId> runs,
                                                                            std::size_t bytes_max) = 0;
  // pending -> dispatched, token + 1, attempt + 1, where state and token are as seen and the incarnation has not left,
  // died or begun to drain since it was. won[i] belongs to batch[i].
  virtual Async<std::vector<bool>> mark_dispatched(std::vector<Dispatching> batch) = 0;

  virtual Async<RunContexts> contexts(std::vector<RunId> runs) = 0;
  // Where the token is the run's current one and the transition is allowed. The i-th answer belongs to batch[i]. May be
  // several transactions, one after another; changes of one run keep their order. A run that was
  // marked for cancel meanwhile ends cancelled where the change would make it pending again.
  virtual Async<std::vector<Applied>> apply(std::vector<RunChange> batch) = 0;

  // What this incarnation holds according to the store, of the runs dispatched before `before`; by run id.
  virtual Async<std::vector<AssignedRun>> assigned(IncarnationId incarnation, TimePoint before) = 0;
  virtual Async<void> mark_missing(std::vector<RunId> missing, std::vector<RunId> found) = 0;
  virtual Async<RescueView> to_rescue(std::size_t limit) = 0;
};

}  // namespace scheduler::application
