// support/run_async.hpp — runs coroutines to their end on a loop of their own, and gives back what they returned.
#pragma once

#include "core/async.hpp"

#include <boost/asio/io_context.hpp>

#include <optional>
#include <vector>

namespace scheduler::testing_support {

template <class T>
asio::awaitable<void> keep_result(Async<T> work, std::optional<SchedulerResult<T>>& into) {
  into.emplace(co_await std::move(work));
}

template <class T>
SchedulerResult<T> run_async(Async<T> work) {
  std::optional<SchedulerResult<T>> result;
  run_blocking(keep_result(std::move(work), result));
  return *std::move(result);
}

// All at the same time; results in the order of the works.
template <class T>
std::vector<SchedulerResult<T>> run_all(std::vector<Async<T>> works) {
  std::vector<std::optional<SchedulerResult<T>>> kept(works.size());
  asio::io_context io(1);
  for (std::size_t i = 0; i < works.size(); ++i) spawn(io, "test", keep_result(std::move(works[i]), kept[i]));
  io.run();
  std::vector<SchedulerResult<T>> results;
  for (auto& it : kept) results.push_back(*std::move(it));
  return results;
}

}  // namespace scheduler::testing_support
