// A real server over the fakes, on a loopback socket and a thread of its own, and a client that sends raw bytes.
#pragma once

#include "api/fakes.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/json.hpp>

#include <memory>
#include <string>
#include <thread>

namespace scheduler::api {

struct Response {
  int status = 0;
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // without chunk framing
  [[nodiscard]] boost::json::value json() const;
  [[nodiscard]] boost::json::value data() const { return json().at("data"); }
  [[nodiscard]] std::string code() const;                        // error.code, "" for a success
  [[nodiscard]] std::vector<std::string> faulty_fields() const;  // pointers of error.details, in order
};

// One blocking connection; a read that takes ten seconds is a failure.
class RawClient {
 public:
  explicit RawClient(unsigned short port);
  ~RawClient();
  RawClient(const RawClient&) = delete;
  RawClient& operator=(const RawClient&) = delete;

  // False: the server closed the connection.
  bool send(std::string_view bytes);
  void end_sending();
  [[nodiscard]] bool answered_within(Millis patience) const;
  Response read_response(bool to_head = false);   // status 0: closed before a whole one
  std::string read_until(std::string_view mark);  // everything up to and including `mark`; less when closed before
  std::string read_all() { return read_until(std::string_view("\0never", 6)); }

 private:
  bool fill();
  int fd_ = -1;
  std::string buffer_;
};

using Headers = std::vector<std::pair<std::string, std::string>>;
inline const Headers kNobody = {{"Authorization", ""}};

class LiveServer {
 public:
  // `prepare` may change the world before anything runs.
  explicit LiveServer(HttpLimits limits = {}, const std::function<void(FakeWorld&)>& prepare = {});
  ~LiveServer();
  LiveServer(const LiveServer&) = delete;
  LiveServer& operator=(const LiveServer&) = delete;

  [[nodiscard]] unsigned short port() const { return port_; }
  // On a connection of its own, as JSON when there is a body.
  [[nodiscard]] Response request(std::string_view method, std::string_view target, std::string_view body = {},
                                 const Headers& headers = {}) const;
  [[nodiscard]] Response get(std::string_view target, const Headers& headers = {}) const {
    return request("GET", target, {}, headers);
  }
  // Runs `change` on the server's thread, and whoever waits for runs or output looks again.
  void change(const std::function<void(FakeWorld&)>& change);
  // Looks until `seen` is true.
  void until(const std::function<bool(const FakeWorld&)>& seen);
  // Begins to stop the server, and returns once it has stopped.
  void stop(Millis grace);

 private:
  FakeWorld world_;
  asio::io_context io_{1};
  std::unique_ptr<HttpServer> server_;
  unsigned short port_ = 0;
  std::thread thread_;
};

// "GET /x HTTP/1.1" with Host and the rest; what request() sends. As an admin, unless a header says who asks: kNobody.
[[nodiscard]] std::string message(std::string_view method, std::string_view target, std::string_view body = {},
                                  const Headers& headers = {});

}  // namespace scheduler::api
