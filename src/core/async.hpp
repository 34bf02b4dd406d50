// core/async.hpp — coroutines. `Async<T>` is an operation that ends with a value or a SchedulerError.
//
// An Async starts when it is awaited, not before. Its parameters are values, or references to something that outlives
// the await. Everything of one process part runs on one io_context driven by one thread: no locks, no strands.
#pragma once

#include "errors/result.hpp"

#include <boost/asio/awaitable.hpp>

#include <functional>
#include <string_view>

namespace boost::asio {
class io_context;
}

namespace scheduler {

namespace asio = boost::asio;

template <class T>
using Async = asio::awaitable<SchedulerResult<T>>;

// Starts `work` on `io` and forgets it: the owner of what `work` uses must outlive the loop. An exception that leaves
// `work` is our bug and ends the process with `name` in the log.
void spawn(asio::io_context& io, std::string_view name, asio::awaitable<void> work);

// The same on the executor of the calling coroutine.
asio::awaitable<void> spawn_here(std::string_view name, asio::awaitable<void> work);

// Runs `work` on a loop of its own until it has ended. For tests and command line tools, never inside a loop.
void run_blocking(asio::awaitable<void> work);

}  // namespace scheduler
