#include "dispatcher/presence_loop.hpp"

namespace scheduler::dispatcher {

Async<Tick> PresenceLoop::tick() {
  const auto now = clock_.elapsed();
  if (said_at_ && now - *said_at_ < kPresenceEvery) co_return Tick{};
  CO_CHECK(store_.note_dispatcher(life_, kPresenceSilence));
  said_at_ = now;
  co_return Tick{.done = 1};
}

}  // namespace scheduler::dispatcher
