#include "dispatcher/heartbeat_loop.hpp"

#include "core/log.hpp"
#include "dispatcher/control.hpp"

namespace scheduler::dispatcher {
namespace {

using namespace application;

constexpr std::size_t kMessagesMax = 64;

}  // namespace

HeartbeatLoop::HeartbeatLoop(Store& store, MessageQueue& queue, Seconds worker_timeout, Wakes wakes, Hearing& hearing,
                             Micros wait_max)
    : store_(store),
      queue_(queue),
      beats_(queue.consume(kHeartbeatQueue, kMessagesMax)),
      worker_timeout_(worker_timeout),
      wakes_(wakes),
      hearing_(hearing),
      wait_max_(wait_max) {}

Async<Tick> HeartbeatLoop::tick() {
  const auto received = co_await beats_->receive(kMessagesMax, wait_max_);
  hearing_.is_deaf = !received;
  if (!received) co_return std::unexpected(received.error());
  const auto& deliveries = *received;
  std::vector<DeliveryTag> tags;
  for (const auto& it : deliveries) tags.push_back(it.tag);
  for (const auto& it : deliveries) {
    const auto* beat = std::get_if<WorkerHeartbeat>(&it.message->payload);
    if (!beat) continue;
    auto accepted = beat->leaving ? co_await let_go(*beat) : co_await accept(*beat);
    if (accepted) continue;
    CO_CHECK(beats_->give_back(std::move(tags)));
    co_return std::unexpected(std::move(accepted).error());
  }
  CO_CHECK(beats_->acknowledge(std::move(tags)));
  const auto leaving = leaving_;
  for (const auto& [incarnation, it] : leaving) CO_CHECK(let_go(it.farewell));
  co_return Tick{.done = deliveries.size(), .rest = Micros{0}};
}

// Gone at once where nothing is open. Else it counts as draining until its reports have been applied, for a while: what
// it has done must not be done again because its farewell was faster.
Async<void> HeartbeatLoop::let_go(WorkerHeartbeat beat) {
  CO_TRY(const auto now, store_.now());
  const auto [it, is_new] = leaving_.try_emplace(beat.worker.incarnation, beat, now + kLeaveGrace);
  CO_TRY(const bool awaited, is_awaited(beat, now));
  if (!awaited || now >= it->second.until) {
    CO_CHECK(accept(beat));
    leaving_.erase(beat.worker.incarnation);
  } else if (is_new) {
    beat.leaving = false;
    beat.worker.state = domain::WorkerState::draining;
    CO_CHECK(store_.workers().heartbeat(beat, worker_timeout_));
  }
  co_return SchedulerResult<void>{};
}

// Whether the store gives it a run on which it may have reported: it lists those on which it will not.
Async<bool> HeartbeatLoop::is_awaited(const WorkerHeartbeat& beat, TimePoint now) {
  CO_TRY(const auto open, store_.dispatch().assigned(beat.worker.incarnation, now + kLeaveGrace));
  co_return std::ranges::any_of(open, [&](const AssignedRun& run) {
    return std::ranges::none_of(beat.held, [&](const auto& it) { return it.run == run.run && it.token == run.token; });
  });
}

Async<void> HeartbeatLoop::accept(WorkerHeartbeat beat) {
  const auto& worker = beat.worker;
  CO_TRY(const auto reply, store_.workers().heartbeat(beat, worker_timeout_));
  if (reply.dead) {
    co_await dismiss(worker.incarnation, reply.replaced ? TaskControl::Kind::replaced : TaskControl::Kind::retire);
    co_return SchedulerResult<void>{};
  }
  if (reply.registered)
    log::info("worker registered",
              {{"worker", worker.id.value}, {"incarnation", worker.incarnation.value}, {"slots", worker.slots}});
  for (const auto old : reply.declared_dead) {
    log::info("earlier incarnation replaced", {{"worker", worker.id.value}, {"incarnation", old.value}});
    co_await dismiss(old, TaskControl::Kind::replaced);
  }
  if (beat.leaving) log::info("worker left", {{"worker", worker.id.value}, {"incarnation", worker.incarnation.value}});
  if (beat.leaving || !reply.declared_dead.empty()) wakes_.rescue.notify();
  wakes_.dispatch.notify();  // it may have registered, or have more room than before
  if (!beat.leaving) CO_CHECK(compare(std::move(beat)));
  co_return SchedulerResult<void>{};
}

Async<void> HeartbeatLoop::compare(WorkerHeartbeat beat) {
  CO_TRY(const auto now, store_.now());
  CO_TRY(const auto assigned, store_.dispatch().assigned(beat.worker.incarnation, now - kMissingGrace));
  std::vector<domain::Expected> expected;
  for (const auto& it : assigned) expected.push_back({it.run, it.token, it.missing, it.cancel_reason});
  std::ranges::sort(beat.held, {}, &domain::Held::run);  // as it should be, but a message is only what somebody sent
  const auto result = domain::reconcile(expected, beat.held);
  if (!result.missing.empty() || !result.found.empty())
    CO_CHECK(store_.dispatch().mark_missing(result.missing, result.found));
  std::vector<Addressed> cancels;
  for (const auto& it : result.to_cancel)
    cancels.push_back({beat.worker.incarnation, {.run = it.run, .token = it.token, .reason = it.why}});
  co_await send_control(queue_, std::move(cancels));
  co_return SchedulerResult<void>{};
}

asio::awaitable<void> HeartbeatLoop::dismiss(IncarnationId incarnation, TaskControl::Kind kind) {
  std::vector<Addressed> farewell{{incarnation, {.kind = kind, .reason = domain::Reason::worker_lost}}};
  co_await send_control(queue_, std::move(farewell));
}

}  // namespace scheduler::dispatcher
