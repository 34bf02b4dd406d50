#include "dispatcher/dispatcher.hpp"

#include "core/log.hpp"
#include "dispatcher/dispatch_loop.hpp"
#include "dispatcher/fire_loop.hpp"
#include "dispatcher/heartbeat_loop.hpp"
#include "dispatcher/log_loop.hpp"
#include "dispatcher/nudge_loop.hpp"
#include "dispatcher/presence_loop.hpp"
#include "dispatcher/rescue_loop.hpp"
#include "dispatcher/status_loop.hpp"

#include <algorithm>

namespace scheduler::dispatcher {
namespace {

using namespace std::chrono_literals;

constexpr Micros kErrorPauseMin = 50ms;
constexpr Micros kErrorPauseMax = kPoll;  // what was away and is back is found as soon as anything else

}  // namespace

Dispatcher::Dispatcher(Ports ports, Settings settings)
    : ports_(ports),
      worker_timeout_(settings.worker_timeout),
      life_{static_cast<std::int64_t>(ports.random.next() >> 11 | 1)},
      fire_(ports.timer.wake_signal()),
      dispatch_(ports.timer.wake_signal()),
      rescue_(ports.timer.wake_signal()),
      resting_(ports.timer.wake_signal()) {
  const Wakes wakes{*fire_, *dispatch_, *rescue_};
  const auto wait = settings.receive_wait;
  auto& [store, queue, zones, metrics, clock, timer, random] = ports_;
  const auto add = [this](WakeSignal& rests_on, std::unique_ptr<Loop> loop) {
    loops_.push_back(std::move(loop));
    wake_of_.push_back(&rests_on);
    pauses_.push_back(ports_.timer.wake_signal());
  };
  add(*fire_, std::make_unique<FireLoop>(store.slots(), queue, zones, metrics, *dispatch_));
  add(*dispatch_, std::make_unique<DispatchLoop>(store.dispatch(), queue, metrics, random, settings.strategy,
                                                 settings.priority_ageing));
  add(*resting_, std::make_unique<StatusLoop>(store.dispatch(), queue, metrics, *dispatch_, wait));
  add(*resting_, std::make_unique<HeartbeatLoop>(store, queue, settings.worker_timeout, wakes, hearing_, wait));
  add(*rescue_,
      std::make_unique<RescueLoop>(store, queue, metrics, clock, settings.worker_timeout, hearing_, *dispatch_));
  add(*resting_, std::make_unique<LogLoop>(store.logs(), queue, wait));
  add(*resting_, std::make_unique<NudgeLoop>(queue, wakes, wait));
  add(*resting_, std::make_unique<PresenceLoop>(store, clock, life_));
}

Dispatcher::~Dispatcher() = default;

Async<std::size_t> Dispatcher::retire_known_workers() {
  auto& workers = ports_.store.workers();
  CO_TRY(const auto known, workers.list());
  std::size_t retired = 0;
  for (const auto& it : known) {
    if (it.state == domain::WorkerState::dead) continue;
    CO_TRY(const auto reply, workers.heartbeat({.worker = it, .leaving = true}, worker_timeout_));
    retired += 1 + reply.declared_dead.size();
  }
  co_return retired;
}

asio::awaitable<void> Dispatcher::run(asio::io_context& io) {
  TaskGroup group(io, ports_.timer);
  for (std::size_t i = 0; i < loops_.size(); ++i) group.spawn(loops_[i]->name(), drive(i));
  co_await group.join();
  // Best effort: one that cannot say so is missed a little later.
  if (const auto said = co_await ports_.store.note_dispatcher(life_, Seconds{0}); !said)
    log::info("could not say in the store that this dispatcher leaves", {{"why", said.error().message}});
}

void Dispatcher::stop() {
  stopping_ = true;
  for (const auto& loop : loops_) loop->interrupt();
  for (auto* signal : {fire_.get(), dispatch_.get(), rescue_.get(), resting_.get()}) signal->notify();
  for (const auto& pause : pauses_) pause->notify();
}

// An error pauses the loop, longer each time; it is logged when it begins and when it is over, not at every tick.
asio::awaitable<void> Dispatcher::drive(std::size_t index) {
  auto& loop = *loops_[index];
  auto& wake = *wake_of_[index];
  Micros pause{0};
  while (!stopping_) {
    const auto began = ports_.clock.elapsed();
    const auto tick = co_await loop.tick();
    ports_.metrics.observe_tick(loop.name(), ports_.clock.elapsed() - began);
    if (tick) {
      if (pause > 0s) log::info("loop works again", {{"loop", loop.name()}});
      pause = 0s;
      if (tick->rest > 0s) co_await wake.wait(tick->rest);
      continue;
    }
    ports_.metrics.add(application::Counter::tick_errors);
    if (pause == 0s) log::error("loop failed; trying again", {{"loop", loop.name()}, {"why", tick.error().message}});
    pause = std::clamp(pause * 2, kErrorPauseMin, kErrorPauseMax);
    co_await pauses_[index]->wait(pause);  // nothing but stop() ends it early: a nudge does not mend a store
  }
}

}  // namespace scheduler::dispatcher
