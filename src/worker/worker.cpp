#include "worker/worker.hpp"

#include "core/log.hpp"

namespace scheduler::worker {

Worker::Worker(asio::io_context& io, Ports ports, Settings settings)
    : io_(io), ports_(std::move(ports)), settings_(std::move(settings)) {}

asio::awaitable<Worker::End> Worker::run() {
  while (!stopping_) {
    const auto incarnation = new_incarnation();
    co_await ports_.begin_life(incarnation);
    life_ = std::make_unique<Life>(io_, ports_, settings_, incarnation);
    if (stopping_) life_->drain();
    const auto end = co_await life_->run();
    if (end == Life::End::replaced) {
      log::error("another process registered as this worker; stopping. Give each worker its own worker.worker_id",
                 {{"worker", settings_.id.value}});
      co_return End::replaced;
    }
    if (end == Life::End::retired)
      log::warning("declared dead by the dispatchers; beginning again", {{"worker", settings_.id.value}});
  }
  co_return End::stopped;
}

void Worker::stop() {
  stopping_ = true;
  if (life_) life_->drain();
}

void Worker::stop_now() {
  stop();
  if (life_) life_->hurry();
}

// Ids stay below 2^53, so that every JSON reader keeps them; 0 means none.
IncarnationId Worker::new_incarnation() { return {static_cast<std::int64_t>(ports_.random.next() >> 11 | 1)}; }

}  // namespace scheduler::worker
