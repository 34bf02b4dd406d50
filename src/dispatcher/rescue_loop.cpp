#include "dispatcher/rescue_loop.hpp"

#include "core/log.hpp"
#include "dispatcher/control.hpp"

#include <fmt/format.h>

namespace scheduler::dispatcher {
namespace {

using namespace application;

constexpr std::size_t kRunsMax = 500;

AssignedRun holder_of(const domain::TaskRun& run) {
  return {
      .run = run.id, .token = run.token, .incarnation = run.incarnation.value_or(IncarnationId{}), .state = run.state};
}

// Its worker has no say in it any more.
Ended revoked(const RunContext& it, domain::Outcome outcome, domain::AfterAttempt next, TimePoint now) {
  outcome.message = domain::message_of(outcome, next);
  return {.run = it.run.id,
          .token = it.run.token,
          .attempt_state = outcome.state,
          .outcome = std::move(outcome),
          .ended_at = now,
          .next = std::move(next),
          .revoke = true};
}

Ended lost(const RunContext& it, TimePoint now) {
  const auto worker = it.run.worker.value_or(WorkerId{}).value;
  domain::Outcome outcome{.state = domain::AttemptState::lost,
                          .reason = domain::Reason::worker_lost,
                          .message = fmt::format("worker '{}' was lost during attempt {}", worker, it.run.attempt)};
  return revoked(it, std::move(outcome), domain::after_loss(it.policy, it.run, now), now);
}

// The worker should have ended it long ago: it hangs, or its clock does.
Ended overdue(const RunContext& it, TimePoint now) {
  domain::Outcome outcome{.state = domain::AttemptState::timed_out,
                          .reason = domain::Reason::timeout,
                          .message = "ran past its timeout, and its worker did not stop it"};
  auto next = domain::after_attempt(it.policy, it.run, outcome, now);
  return revoked(it, std::move(outcome), std::move(next), now);
}

}  // namespace

Async<Tick> RescueLoop::tick() {
  CO_TRY(const auto dead, bury(clock_.elapsed()));
  CO_TRY(auto view, store_.dispatch().to_rescue(kRunsMax));
  const bool more = view.orphaned.size() + view.overdue.size() >= kRunsMax;
  CO_TRY(const auto rescued, take_back(std::move(view)));
  co_return Tick{.done = rescued + dead, .rest = more ? Micros{0} : std::min(kPoll, Micros{worker_timeout_} / 4)};
}

// Declares the silent ones dead. While the broker is away nobody is heard, and nobody is judged; a dispatcher that does
// hear them may.
Async<std::size_t> RescueLoop::bury(Micros now) {
  if (hearing_.is_deaf) {
    last_heard_.reset();
    co_return 0;
  }
  CO_CHECK(forgive_own_silence(now));
  CO_TRY(const auto dead, store_.workers().expire());
  last_heard_ = now;
  for (const auto& worker : dead)
    log::warning("worker declared dead: its heartbeats stopped",
                 {{"worker", worker.id.value}, {"incarnation", worker.incarnation.value}});
  metrics_.add(Counter::workers_dead, dead.size());
  co_return dead.size();
}

// After a pause of this process, an outage of store or broker, or at the start nobody can know who was silent: everyone
// gets one more timeout.
Async<void> RescueLoop::forgive_own_silence(Micros now) {
  const bool was_away = !last_heard_ || now - *last_heard_ > Micros{worker_timeout_} / 2;
  if (was_away) co_return co_await store_.workers().extend_deadlines(worker_timeout_);
  co_return SchedulerResult<void>{};
}

Async<std::size_t> RescueLoop::take_back(RescueView view) {
  std::vector<RunChange> changes;
  std::vector<Addressed> kills;
  for (const auto& it : view.orphaned) changes.push_back(lost(it, view.now));
  for (const auto& it : view.overdue) {
    changes.push_back(overdue(it, view.now));
    kills.push_back(cancel_of(holder_of(it.run), domain::Reason::timeout));
  }
  if (changes.empty()) co_return 0;
  CO_TRY(const auto won, store_.dispatch().apply(std::move(changes)));
  const auto rescued = static_cast<std::size_t>(std::ranges::count(won, true));
  metrics_.add(Counter::runs_rescued, rescued);
  log::info("runs taken back", {{"runs", rescued}});
  co_await send_control(queue_, std::move(kills));
  dispatch_.notify();
  co_return rescued;
}

}  // namespace scheduler::dispatcher
