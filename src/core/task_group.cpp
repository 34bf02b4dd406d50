#include "core/task_group.hpp"

namespace scheduler {

void TaskGroup::spawn(std::string_view name, asio::awaitable<void> work) {
  ++running_;
  scheduler::spawn(io_, name, track(std::move(work)));
}

asio::awaitable<void> TaskGroup::join() {
  while (running_ > 0) co_await ended_->wait(std::chrono::hours{1});
}

asio::awaitable<void> TaskGroup::track(asio::awaitable<void> work) {
  co_await std::move(work);
  if (--running_ == 0) ended_->notify();
}

}  // namespace scheduler
