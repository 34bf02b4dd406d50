#include "domain/why.hpp"

#include "domain/retry.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <ranges>

namespace scheduler::domain {
namespace {

// A due run is given out at once, or within a second when every nudge is lost; so long nobody need worry.
constexpr Seconds kDispatchSoon{3};

constexpr std::string_view kLookAtDispatchers =
    "look whether a dispatcher runs and reaches the store and the queue: scheduler-cli system health";

using Workers = std::vector<const WorkerLoad*>;

std::string type_of(std::string_view route) { return std::string(route.substr(0, route.find('|'))); }
std::string labels_of(std::string_view route) {
  const auto at = route.find('|');
  return at == std::string_view::npos ? std::string() : std::string(route.substr(at + 1));
}

std::vector<WorkerId> ids_of(const Workers& workers) {
  std::vector<WorkerId> ids;
  for (const auto* it : workers | std::views::take(kWhyWorkersMax)) ids.push_back(it->worker.id);
  return ids;
}

template <class Test>
Workers those(const Workers& workers, Test test) {
  Workers kept;
  std::ranges::copy_if(workers, std::back_inserter(kept), test);
  return kept;
}

std::string plural(std::size_t n, std::string_view noun) { return fmt::format("{} {}{}", n, noun, n == 1 ? "" : "s"); }

// The first thing about the workers that keeps the run from one, or nothing.
std::optional<Gate> worker_gate(std::string_view route, std::span<const WorkerLoad> workers) {
  Workers living;
  for (const auto& it : workers)
    if (it.worker.state != WorkerState::dead) living.push_back(&it);
  if (living.empty())
    return Gate{.code = GateCode::no_worker,
                .sentence = "no worker is alive",
                .remedy = "start one: scheduler-worker, or scheduler with worker.enabled"};

  const auto type = type_of(route);
  const auto of_type = those(living, [&](const auto* it) { return serves(it->worker, type); });
  if (of_type.empty())
    return Gate{.code = GateCode::no_worker_for_type,
                .sentence = fmt::format("none of {} executes the type '{}'", plural(living.size(), "worker"), type),
                .remedy = fmt::format("start a worker with '{}' among its worker.task_types", type),
                .workers = ids_of(living)};

  const auto matching = those(of_type, [&](const auto* it) { return serves(it->worker, route); });
  if (matching.empty())
    return Gate{.code = GateCode::no_worker_for_labels,
                .sentence = fmt::format("the task asks for the labels {}, and none of {} for the type '{}' bears them",
                                        labels_of(route), plural(of_type.size(), "worker"), type),
                .remedy = "start a worker with these worker.labels, or change the task's worker_labels",
                .workers = ids_of(of_type)};

  const auto taking = those(matching, [](const auto* it) { return it->worker.state == WorkerState::alive; });
  if (taking.empty())
    return Gate{.code = GateCode::workers_draining,
                .sentence = fmt::format("{} could take it, but {} to take nothing new",
                                        plural(matching.size(), "worker"), matching.size() == 1 ? "it is" : "they are"),
                .remedy = "take one back: POST /api/workers/ID/undrain; or start another",
                .workers = ids_of(matching)};

  const auto free = those(taking, [](const auto* it) { return it->in_flight < it->worker.capacity; });
  if (!free.empty()) return std::nullopt;
  int held = 0;
  for (const auto* it : taking) held += it->in_flight;
  return Gate{
      .code = GateCode::slots_busy,
      .sentence = fmt::format("{} could take it, but {} full: {} there now", plural(taking.size(), "worker"),
                              taking.size() == 1 ? "it is" : "all are", plural(static_cast<std::size_t>(held), "run")),
      .remedy = "wait, start another worker, raise worker.slots, or give the task a higher priority",
      .workers = ids_of(taking)};
}

// Its time, then its worker. A pending run that passes both is about to go.
void add_pending_gates(const WhyView& view, std::vector<Gate>& gates) {
  const auto& run = view.run;
  const bool due = run.due_at <= view.now;
  if (!due && run.attempt > 0)
    gates.push_back({.code = GateCode::backoff,
                     .sentence = fmt::format("attempt {} ended badly; attempt {} is due at {}", run.attempt,
                                             run.attempt + 1, format_rfc3339(run.due_at)),
                     .remedy = "",
                     .since = run.dispatched_at,
                     .opens_at = run.due_at});
  else if (!due)
    gates.push_back({.code = GateCode::not_due,
                     .sentence = fmt::format("it is due at {}", format_rfc3339(run.due_at)),
                     .remedy = "",
                     .since = run.created_at,
                     .opens_at = run.due_at});
  if (auto gate = worker_gate(view.route, view.workers)) {
    if (due) gate->since = run.due_at;
    gates.push_back(*std::move(gate));
  } else if (due && run.state == RunState::pending) {
    const bool late = view.now - run.due_at > kDispatchSoon;
    gates.push_back({.code = GateCode::not_dispatched,
                     .sentence = late ? "a worker could take it, but no dispatcher has given it one"
                                      : "it is due, and about to be given to a worker",
                     .remedy = late ? std::string(kLookAtDispatchers) : "",
                     .since = run.due_at});
  }
}

Gate queue_away() {
  return {.code = GateCode::queue_away,
          .sentence = "the message queue is away: neither work nor news travels; nobody is declared dead for it",
          .remedy = "look at the broker: scheduler-cli system health"};
}

const WorkerLoad* worker_of(const WhyView& view) {
  const auto found = std::ranges::find_if(
      view.workers, [&](const WorkerLoad& it) { return it.worker.incarnation == view.run.incarnation; });
  return found == view.workers.end() ? nullptr : &*found;
}

// Its worker has it.
void add_held_gates(const WhyView& view, std::vector<Gate>& gates) {
  const auto& run = view.run;
  const auto name = run.worker ? run.worker->value : "?";
  const std::vector workers{run.worker.value_or(WorkerId{})};
  if (run.cancel_requested())
    gates.push_back({.code = GateCode::cancelling,
                     .sentence = fmt::format("it is to be stopped; worker '{}' has not said yet that it has", name),
                     .remedy = "",
                     .workers = workers});
  const auto* worker = worker_of(view);
  if (view.queue_away) {
    gates.push_back(queue_away());
    gates.back().workers = workers;
    return;
  }
  if (!worker || worker->worker.state == WorkerState::dead)
    gates.push_back({.code = GateCode::worker_silent,
                     .sentence = fmt::format("its worker '{}' is gone; a dispatcher will take the run back", name),
                     .remedy = "",
                     .since = worker ? std::optional(worker->worker.heartbeat_at) : std::nullopt,
                     .workers = workers});
  else if (is_silent(worker->worker, view.now))
    gates.push_back({.code = GateCode::worker_silent,
                     .sentence = fmt::format("its worker '{}' has not been heard of since {}; once it is declared dead "
                                             "the run is taken back",
                                             name, format_rfc3339(worker->worker.heartbeat_at)),
                     .remedy = "look at the worker's log and host",
                     .since = worker->worker.heartbeat_at,
                     .workers = workers});
  if (!gates.empty()) return;
  if (run.state == RunState::running)
    gates.push_back({.code = GateCode::running,
                     .sentence = fmt::format("attempt {} runs on worker '{}'", run.attempt, name),
                     .remedy = fmt::format("read along: scheduler-cli run logs {} --follow", run.id.value),
                     .since = run.started_at,
                     .workers = workers});
  else
    gates.push_back({.code = GateCode::waiting_for_slot,
                     .sentence = fmt::format("worker '{}' has it and runs {} of {} slots", name, worker->worker.busy,
                                             worker->worker.slots),
                     .remedy = "",
                     .since = run.dispatched_at,
                     .workers = workers});
}

GateCode code_of(const TaskRun& run) {
  switch (run.reason) {
    case Reason::none:
      return GateCode::ended_well;
    case Reason::overlap:
      return GateCode::overlapped;
    default:
      return *parse_enum<GateCode>(name_of(run.reason));
  }
}

std::string remedy_of(const TaskRun& run) {
  const auto id = run.id.value;
  switch (run.reason) {
    case Reason::exit_code:
    case Reason::signal:
    case Reason::http_status:
      return fmt::format("read its output: scheduler-cli run logs {}; once mended: scheduler-cli run retry {}", id, id);
    case Reason::executor_error:
      return fmt::format("mend the task's parameters, or the host of worker '{}'",
                         run.worker ? run.worker->value : "?");
    case Reason::output_invalid:
      return fmt::format(
          "let it write one JSON object of at most {} bytes, or nothing; its output: scheduler-cli run logs {}",
          kOutputBytesMax, id);
    case Reason::output_missing:
      return "look at what its upstream runs left: scheduler-cli run output ID; then mend the task's parameters";
    case Reason::timeout:
      return "find out what it waited for, or raise the task's timeout_seconds";
    case Reason::worker_lost:
      return fmt::format(
          "look at the log of worker '{}'; a run that kills its workers is given up after max_lost_attempts",
          run.worker ? run.worker->value : "?");
    case Reason::dependency_failed:
      return "run the upstream task again once it is mended";
    case Reason::overlap:
      return "choose overlap_policy allow or queue_one if it should have run";
    case Reason::misfire:
      return "choose misfire_policy latest or all if late fire times should run";
    default:
      return {};
  }
}

Gate end_of(const TaskRun& run) {
  const auto tries = run.attempt > 1 ? fmt::format(" after {} attempts", run.attempt) : "";
  const auto because = run.message.empty() ? std::string() : ": " + run.message;
  return {.code = code_of(run),
          .sentence = fmt::format("it {}{}{}",
                                  run.state == RunState::succeeded   ? "succeeded"
                                  : run.state == RunState::failed    ? "failed"
                                  : run.state == RunState::timed_out ? "ran out of time"
                                  : run.state == RunState::skipped   ? "was skipped"
                                                                     : "was cancelled",
                                  tries, because),
          .remedy = remedy_of(run),
          .since = run.ended_at,
          .workers = run.worker ? std::vector{*run.worker} : std::vector<WorkerId>{}};
}

// No room under the task's limit.
Gate limit_of(const WhyView& view) {
  std::vector<std::int64_t> ids;
  for (const auto run : view.earlier) ids.push_back(run.value);
  const auto limit = view.limit.value_or(0);  // taken away since: it is about to go
  const auto more = limit > static_cast<int>(ids.size()) ? ", …" : "";
  return {.code = GateCode::limit,
          .sentence =
              fmt::format("max_concurrent_runs: {0} of {0} in use by runs {1}{2}", limit, fmt::join(ids, ", "), more),
          .remedy = "wait for one of them, cancel one, or raise the task's max_concurrent_runs",
          .since = view.run.due_at,
          .runs = view.earlier};
}

// The upstream runs that a waiting run waits for; nothing when all have ended.
std::optional<Gate> upstream_gate(const WhyView& view) {
  Gate gate{.code = GateCode::dependency, .sentence = "", .remedy = "", .since = view.run.created_at};
  std::size_t open = 0;
  for (const auto& it : view.upstreams) {
    if (it.state) continue;
    ++open;
    if (gate.runs.size() < kWhyRunsMax && it.run) gate.runs.push_back(*it.run);
    if (open > 3) continue;  // a sentence, not a list
    gate.sentence += gate.sentence.empty() ? "" : ", ";
    gate.sentence += it.run    ? fmt::format("run {} of '{}'", it.run->value, it.task_name)
                     : it.slot ? fmt::format("'{}' at {}", it.task_name, format_rfc3339(*it.slot))
                               : fmt::format("the next run of '{}'", it.task_name);
  }
  if (open == 0) return std::nullopt;
  gate.sentence =
      fmt::format("it waits for {}{} to end", gate.sentence, open > 3 ? fmt::format(" and {} more", open - 3) : "");
  gate.remedy = fmt::format("look at all of them: scheduler-cli run upstreams {}", view.run.id.value);
  return gate;
}

std::string upstreams_have(const Task& task) {
  const auto count = task.spec.dependencies.size();
  return count == 1 ? "its upstream task has" : fmt::format("its {} upstream tasks have", count);
}

// What starts it, and when it does.
Gate start_of(const TaskWhyView& view) {
  const auto& task = view.task;
  const auto now = view.now;
  if (!task.spec.schedule)
    return task.spec.dependencies.empty()
               ? Gate{.code = GateCode::no_trigger,
                      .sentence = "it has no schedule and runs after no other task",
                      .remedy = fmt::format("run it now: scheduler-cli task trigger {}; or give it a schedule",
                                            task.spec.name)}
               : Gate{.code = GateCode::after_upstreams,
                      .sentence = fmt::format("it runs when {} ended, trigger rule {}", upstreams_have(task),
                                              name_of(task.spec.trigger_rule)),
                      .remedy = ""};
  if (task.spec.status == TaskStatus::paused)
    return {.code = GateCode::task_paused,
            .sentence = "it is paused: fire times pass without a run",
            .remedy = fmt::format("scheduler-cli task resume {}", task.spec.name)};
  if (view.set_aside)
    return {.code = GateCode::set_aside,
            .sentence = *view.set_aside,
            .remedy = fmt::format("bring back what its schedule needs (time zones are in the package tzdata), then "
                                  "scheduler-cli task pause {0} and resume {0}; or give it another schedule",
                                  task.spec.name)};
  if (!task.next_fire_at)
    return {.code = GateCode::never_again,
            .sentence = fmt::format("its schedule '{}' names no time that is still to come", *task.spec.schedule),
            .remedy = "give it another schedule"};
  const auto at = *task.next_fire_at;
  if (at > now)
    return {.code = GateCode::not_due,
            .sentence = fmt::format("it fires at {}", format_rfc3339(at)),
            .remedy = "",
            .opens_at = at};
  return {.code = GateCode::not_fired,
          .sentence = fmt::format("it was due at {}, and no dispatcher has decided it yet", format_rfc3339(at)),
          .remedy = now - at > kDispatchSoon ? std::string(kLookAtDispatchers) : "",
          .since = at};
}

// Its latest fire time made no run.
std::optional<Gate> last_slot_skipped(const TaskWhyView& view) {
  if (!view.last_slot || view.last_slot->fired) return std::nullopt;
  const auto& it = *view.last_slot;
  Gate gate{.sentence = fmt::format("its latest fire time, {}, made no run: ", format_rfc3339(it.last)),
            .since = it.decided_at};
  switch (it.reason) {
    case Reason::overlap:
      gate.code = GateCode::overlapped;
      gate.sentence +=
          fmt::format("an earlier run had not ended, and overlap_policy is {}", name_of(view.task.spec.overlap_policy));
      gate.remedy = "choose overlap_policy allow or queue_one if it should have run";
      break;
    case Reason::paused:
      gate.code = GateCode::paused;
      gate.sentence += "the task was paused";
      break;
    default:
      gate.code = GateCode::misfire;
      gate.sentence += fmt::format("it was decided more than {} s late, and misfire_policy is {}",
                                   view.task.spec.misfire_grace.count(), name_of(view.task.spec.misfire_policy));
      gate.remedy = "choose misfire_policy latest or all, or a longer misfire_grace_seconds, if it should have run";
  }
  if (it.cause) gate.runs.push_back(*it.cause);
  return gate;
}

}  // namespace

std::vector<Gate> why(const TaskWhyView& view) {
  std::vector gates{start_of(view)};
  if (view.task.spec.schedule && !view.task.spec.dependencies.empty())
    gates.push_back({.code = GateCode::after_upstreams,
                     .sentence = fmt::format("its runs then wait until {} ended for that fire time, trigger rule {}",
                                             upstreams_have(view.task), name_of(view.task.spec.trigger_rule)),
                     .remedy = fmt::format("look at them: scheduler-cli task deps {}", view.task.id.value)});
  if (!view.active.empty() && view.task.spec.overlap_policy != OverlapPolicy::allow && view.task.spec.schedule)
    gates.push_back({.code = GateCode::overlap,
                     .sentence = fmt::format("{} not ended; overlap_policy {} decides what a fire does then",
                                             view.active.size() == 1 ? "a run has" : "runs have",
                                             name_of(view.task.spec.overlap_policy)),
                     .remedy = "",
                     .runs = view.active});
  if (auto gate = worker_gate(route_of(view.task.spec), view.workers)) gates.push_back(*std::move(gate));
  if (auto gate = last_slot_skipped(view)) gates.push_back(*std::move(gate));
  return gates;
}

std::vector<Gate> why(const WhyView& view) {
  const auto& run = view.run;
  if (is_terminal(run.state)) return {end_of(run)};
  std::vector<Gate> gates;
  if (run.state == RunState::dispatched || run.state == RunState::running) {
    add_held_gates(view, gates);
    return gates;
  }
  if (run.state == RunState::waiting && run.waits_for == Wait::upstreams)
    if (auto gate = upstream_gate(view)) gates.push_back(*std::move(gate));
  if (run.waits_for == Wait::limit) gates.push_back(limit_of(view));
  if (run.state == RunState::waiting && run.waits_for.value_or(Wait::overlap) == Wait::overlap)
    gates.push_back({.code = GateCode::overlap,
                     .sentence =
                         "an earlier run of the task has not ended, and the task's overlap_policy lets one at a "
                         "time go",
                     .remedy = "wait for it, cancel it, or set overlap_policy to allow",
                     .since = run.created_at,
                     .runs = view.earlier});
  if (view.queue_away) gates.push_back(queue_away());
  add_pending_gates(view, gates);
  return gates;
}

}  // namespace scheduler::domain
