// infrastructure/postgres/blocking.hpp — runs a coroutine to its end, for the start of a program and for operators'
// commands. Never inside a loop.
#pragma once

#include "core/async.hpp"

namespace scheduler::infrastructure::postgres {

template <class T>
asio::awaitable<void> keep_result(Async<T> work, SchedulerResult<T>& into) {
  into = co_await std::move(work);
}

template <class T>
[[nodiscard]] SchedulerResult<T> blocking(Async<T> work) {
  SchedulerResult<T> result;
  run_blocking(keep_result(std::move(work), result));
  return result;
}

}  // namespace scheduler::infrastructure::postgres
