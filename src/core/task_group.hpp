// core/task_group.hpp — background work with an owner: whoever starts it waits for its end.
#pragma once

#include "core/async.hpp"
#include "core/timer.hpp"

#include <memory>
#include <string_view>

namespace scheduler {

// Single-threaded. The owner awaits join() before it dies; work that was never joined would use a dead owner.
class TaskGroup {
 public:
  TaskGroup(asio::io_context& io, Timer& timer) : io_(io), ended_(timer.wake_signal()) {}
  TaskGroup(const TaskGroup&) = delete;
  TaskGroup& operator=(const TaskGroup&) = delete;

  // `name` must be a literal.
  void spawn(std::string_view name, asio::awaitable<void> work);
  [[nodiscard]] std::size_t size() const { return running_; }
  // Returns when nothing of the group runs any more. One caller at a time.
  asio::awaitable<void> join();

 private:
  asio::awaitable<void> track(asio::awaitable<void> work);

  asio::io_context& io_;
  std::unique_ptr<WakeSignal> ended_;
  std::size_t running_ = 0;
};

}  // namespace scheduler
