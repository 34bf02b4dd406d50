// tests/support/run_on.hpp — runs one coroutine to its end on a loop that a test drives.
#pragma once

#include "core/async.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <cstdlib>
#include <exception>
#include <optional>

namespace scheduler::testing_support {

// Drives `io` until nothing is ready any more. Ends the test program when `work` has not ended then: it waits for time
// that nobody lets pass.
template <class T>
T run_on(asio::io_context& io, asio::awaitable<T> work) {
  std::optional<T> result;
  asio::co_spawn(io, std::move(work), [&result](std::exception_ptr thrown, T value) {
    if (thrown) std::rethrow_exception(thrown);
    result = std::move(value);
  });
  io.restart();
  io.poll();
  if (!result) std::abort();
  return *std::move(result);
}

}  // namespace scheduler::testing_support
