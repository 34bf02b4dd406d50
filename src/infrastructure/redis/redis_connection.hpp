// infrastructure/redis/redis_connection.hpp — calls to one Redis server, on one loop.
//
// Always true:
//   - calls from any number of coroutines share one connection and are pipelined;
//   - a call that needs a connection makes one; after a failure nobody tries again before a pause that grows, and until
//     then every call fails at once with Unavailable. One caller tries, the others wait for how that ends;
//   - every call ends: a server that says nothing for too long is dropped, with everything that waits for it.
// Single-threaded. It may go away while calls are in progress; they end as Unavailable.
#pragma once

#include "config/broker_url.hpp"
#include "core/async.hpp"
#include "core/time.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace scheduler::infrastructure {

struct RedisReply {
  enum class Kind { nothing, number, text, list, error } kind = Kind::nothing;
  std::int64_t number = 0;
  std::string text;  // of an error: "NOGROUP No such key …"
  std::vector<RedisReply> list;

  [[nodiscard]] bool is_error(std::string_view code) const { return kind == Kind::error && text.starts_with(code); }
};

class RedisConnection {
 public:
  struct Settings {
    std::string host = "127.0.0.1";
    int port = 6379;
    std::string user, password;  // empty: none
    int database = 0;
    std::string name = "scheduler";  // as CLIENT LIST shows it
    Micros deadline = std::chrono::seconds{5};
    Micros pause_min = std::chrono::milliseconds{100}, pause_max = std::chrono::seconds{1};
    std::size_t bytes_max = 64 << 20;  // of calls that were not sent yet; more are refused

    [[nodiscard]] static Settings of(const config::BrokerUrl& url);
  };

  RedisConnection(asio::io_context& io, Settings settings);
  // Whether the last connection or call ended because the server does not let us in: it knows user, password, database
  // or permissions differently, and will say the same again.
  [[nodiscard]] bool is_refused() const;
  ~RedisConnection();
  RedisConnection(const RedisConnection&) = delete;
  RedisConnection& operator=(const RedisConnection&) = delete;

  // What the server answers, errors of the command included. `blocking` is how long the command itself may wait.
  Async<RedisReply> ask(std::vector<std::string> words, Micros blocking = Micros{0});
  // The same with errors as errors: Unavailable where the server says that it cannot now, else MessageQueue.
  Async<RedisReply> call(std::vector<std::string> words, Micros blocking = Micros{0});
  [[nodiscard]] SchedulerError to_error(const RedisReply& error) const;
  // The server's number of the connection that stands; 0: none.
  [[nodiscard]] std::int64_t client_id() const;

 private:
  class Core;
  std::shared_ptr<Core> core_;
};

}  // namespace scheduler::infrastructure
