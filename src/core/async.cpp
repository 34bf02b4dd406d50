#include "core/async.hpp"

#include "core/log.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/this_coro.hpp>

#include <cstdlib>
#include <exception>
#include <string>

namespace scheduler {
namespace {

void start(const asio::any_io_executor& executor, std::string_view name, asio::awaitable<void> work) {
  asio::co_spawn(executor, std::move(work), [name = std::string(name)](std::exception_ptr thrown) {
    if (!thrown) return;
    std::string what = "unknown exception";
    try {
      std::rethrow_exception(thrown);
    } catch (const std::exception& e) {
      what = e.what();
    } catch (...) {
    }
    log::error("a coroutine threw; stopping, because continuing could be wrong", {{"coroutine", name}, {"what", what}});
    std::abort();
  });
}

}  // namespace

void spawn(asio::io_context& io, std::string_view name, asio::awaitable<void> work) {
  start(io.get_executor(), name, std::move(work));
}

asio::awaitable<void> spawn_here(std::string_view name, asio::awaitable<void> work) {
  start(co_await asio::this_coro::executor, name, std::move(work));
}

void run_blocking(asio::awaitable<void> work) {
  asio::io_context io(1);
  asio::co_spawn(io, std::move(work), [](std::exception_ptr thrown) {
    if (thrown) std::rethrow_exception(thrown);
  });
  io.run();
}

}  // namespace scheduler
