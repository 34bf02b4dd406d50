// infrastructure/executors/http_client.hpp — HTTP requests for coroutines: libcurl on one thread of its own.
//
// Always true of send():
//   - the answer's body goes to the sink as it comes, its first kBodyBytesMax bytes; the rest is read and dropped, so
//     that the server can finish;
//   - only http and https are spoken, after a redirect too; at most 10 redirects are followed;
//   - a stop aborts the transfer at once.
#pragma once

#include "application/ports/task_executor.hpp"
#include "core/timer.hpp"

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace scheduler::infrastructure {

struct HttpRequest {
  std::string url;
  std::string method;                // "GET"
  std::vector<std::string> headers;  // "Name: value"; "Name;" for an empty value
  std::optional<std::string> body;
  std::optional<Millis> timeout;  // for the whole exchange
  bool follow_redirects = true;
};

struct HttpReply {
  enum class End { answered, failed, timed_out, stopped } end = End::answered;
  int status = 0;     // of the last answer, where there was one
  std::string error;  // curl's sentence unless answered
  std::optional<Millis> retry_after;
  std::string content_type;         // of the last answer, as the server said it
  std::int64_t bytes_left_out = 0;  // of the body, after decoding
};

class HttpClient {
 public:
  static constexpr std::int64_t kBodyBytesMax = 1 << 20;

  // `io` and `timer` outlive the client, the client its calls.
  HttpClient(asio::io_context& io, Timer& timer, std::string user_agent);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  asio::awaitable<HttpReply> send(HttpRequest request, application::OutputSink& sink, StopSignal& stop);

 private:
  class Transfer;
  class Thread;
  asio::io_context& io_;
  Timer& timer_;
  std::string user_agent_;
  std::unique_ptr<Thread> thread_;
};

}  // namespace scheduler::infrastructure
