#include "dispatcher/status_loop.hpp"

#include "core/log.hpp"
#include "domain/transitions.hpp"

#include <set>

namespace scheduler::dispatcher {
namespace {

using namespace application;

constexpr std::size_t kMessagesMax = 256;

std::vector<StatusUpdate> flatten(const std::vector<Delivery>& deliveries) {
  std::vector<StatusUpdate> all;
  for (const auto& delivery : deliveries)
    if (const auto* updates = std::get_if<std::vector<StatusUpdate>>(&delivery.message->payload))
      all.insert(all.end(), updates->begin(), updates->end());
  return all;
}

// An attempt whose end is in the same batch needs no row that says it began.
std::set<std::pair<RunId, Token>> ended_attempts(const std::vector<StatusUpdate>& updates) {
  std::set<std::pair<RunId, Token>> ended;
  for (const auto& it : updates)
    if (it.outcome) ended.insert({it.run, it.token});
  return ended;
}

// Handed back and cancelled meanwhile: it must not be dispatched once more.
Ended never_began(const StatusUpdate& report, domain::Reason why, TimePoint now) {
  return {.run = report.run,
          .token = report.token,
          .attempt_state = domain::AttemptState::cancelled,
          .outcome = {.state = domain::AttemptState::cancelled,
                      .reason = why,
                      .message = domain::cancel_message(why, "before it began")},
          .ended_at = now,
          .next = domain::End{domain::RunState::cancelled}};
}

std::optional<TimePoint> start_of(const StatusUpdate& report, TimePoint now) {
  return report.age ? std::optional(now - *report.age) : std::nullopt;
}

Ended ended(const StatusUpdate& report, domain::AfterAttempt next, TimePoint now) {
  const auto began = start_of(report, now);
  auto outcome = *report.outcome;
  outcome.message = domain::message_of(outcome, next);
  return {.run = report.run,
          .token = report.token,
          .attempt_state = outcome.state,
          .outcome = std::move(outcome),
          .started_at = began,
          .ended_at = began ? *began + report.duration : now,
          .log_lines = report.log_lines,
          .next = std::move(next)};
}

// Most reports say all that is needed: their runs are not read, the guard of the write looks at them.
std::optional<RunChange> plain_change(const StatusUpdate& report, TimePoint now) {
  if (!report.outcome) return Started{report.run, report.token, start_of(report, now).value_or(now)};
  if (report.unstarted) return std::nullopt;
  const auto end = domain::certain_end(*report.outcome);
  return end ? std::optional<RunChange>(ended(report, *end, now)) : std::nullopt;
}

RunChange to_change(const StatusUpdate& report, const RunContext& context, TimePoint now) {
  if (report.unstarted && context.run.cancel_requested()) return never_began(report, context.run.cancel_reason, now);
  if (report.unstarted) return Returned{report.run, report.token};
  return ended(report, domain::after_attempt(context.policy, context.run, *report.outcome, now), now);
}

void count_end(Metrics& metrics, const Ended& ended, TimePoint due_at) {
  if (const auto* end = std::get_if<domain::End>(&ended.next)) {
    switch (end->state) {
      case domain::RunState::succeeded:
        metrics.add(Counter::runs_succeeded);
        break;
      case domain::RunState::timed_out:
        metrics.add(Counter::runs_timed_out);
        break;
      case domain::RunState::cancelled:
        metrics.add(Counter::runs_cancelled);
        break;
      default:
        metrics.add(Counter::runs_failed);
        break;
    }
  } else {
    metrics.add(Counter::attempts_retried);
  }
  if (!ended.started_at) return;
  metrics.observe(Histogram::attempt_duration, ended.ended_at - *ended.started_at);
  metrics.observe(Histogram::start_latency, std::max(Micros{0}, *ended.started_at - due_at));
}

}  // namespace

StatusLoop::StatusLoop(DispatchRepository& runs, MessageQueue& queue, Metrics& metrics, WakeSignal& dispatch,
                       Micros wait_max)
    : runs_(runs),
      reports_(queue.consume(kStatusQueue, kMessagesMax)),
      metrics_(metrics),
      dispatch_(dispatch),
      wait_max_(wait_max) {}

Async<Tick> StatusLoop::tick() {
  CO_TRY(auto deliveries, reports_->receive(kMessagesMax, wait_max_));
  if (deliveries.empty()) co_return Tick{.rest = Micros{0}};
  std::vector<DeliveryTag> tags;
  for (const auto& it : deliveries) tags.push_back(it.tag);
  const auto applied = co_await apply(std::move(deliveries));
  if (!applied) {
    CO_CHECK(reports_->give_back(std::move(tags)));  // nothing is lost: they come again
    co_return std::unexpected(applied.error());
  }
  CO_CHECK(reports_->acknowledge(std::move(tags)));
  co_return Tick{.done = *applied, .rest = Micros{0}};
}

Async<std::size_t> StatusLoop::apply(std::vector<Delivery> deliveries) {
  const auto updates = flatten(deliveries);
  const auto ends = ended_attempts(updates);
  std::vector<RunId> ids;
  for (const auto& it : updates)
    if (!plain_change(it, TimePoint{})) ids.push_back(it.run);
  CO_TRY(const auto contexts, runs_.contexts(std::move(ids)));

  std::vector<RunChange> changes;
  for (const auto& report : updates) {
    if (!report.outcome && ends.contains({report.run, report.token})) continue;
    if (auto plain = plain_change(report, contexts.now)) {
      changes.push_back(*std::move(plain));
      continue;
    }
    const auto found = contexts.runs.find(report.run);
    if (found == contexts.runs.end() || found->second.run.token != report.token) {
      refuse(report.run, report.token);
      continue;
    }
    changes.push_back(to_change(report, found->second, contexts.now));
  }
  if (changes.empty()) co_return 0;

  CO_TRY(const auto applied, runs_.apply(changes));
  std::size_t won = 0;
  for (std::size_t i = 0; i < applied.size(); ++i) {
    const auto* end = std::get_if<Ended>(&changes[i]);
    if (!applied[i]) std::visit([this](const auto& it) { refuse(it.run, it.token); }, changes[i]);
    if (applied[i] && end) count_end(metrics_, *end, applied[i].due_at);
    won += applied[i] ? 1 : 0;
  }
  if (!ends.empty()) dispatch_.notify();  // slots are free, retries or dependants may be due
  co_return won;
}

void StatusLoop::refuse(RunId run, Token token) {
  metrics_.add(Counter::reports_refused);
  log::info("report refused: not about the current attempt", {{"run", run.value}, {"token", token}});
}

}  // namespace scheduler::dispatcher
