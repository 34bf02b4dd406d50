// api/http_session.hpp — one connection: bytes to requests, replies to bytes. What they mean is answer.hpp's matter.
//
// Always true: requests of one connection are answered one after the other, in order; every wait for the client has a
// deadline (ServerState::sweep looks for missed ones, so that a request costs no timer); memory is bounded by
// HttpLimits.
#pragma once

#include "api/context.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>

#include <memory>
#include <set>
#include <string>

namespace scheduler::api {

using tcp = asio::ip::tcp;
using SteadyTime = std::chrono::steady_clock::time_point;

class Connection {
 public:
  virtual ~Connection() = default;
  [[nodiscard]] virtual bool is_busy() const = 0;  // a request is being read or answered
  virtual void expire(SteadyTime now) = 0;         // ends the present wait if its deadline has passed
  virtual void stop() = 0;                         // the server stops: ends an idle wait
  virtual void abort() = 0;                        // closes the socket
};

// Shared by the server and its connections, so that a connection may outlive the server by a moment.
struct ServerState {
  ServerState(asio::io_context& io, Context context);

  [[nodiscard]] std::string next_request_id();
  [[nodiscard]] std::string_view http_date();  // RFC 9110, 5.6.7

  Context context;
  tcp::acceptor acceptor;
  asio::steady_timer sweep;  // its wait ends early at stop
  std::set<Connection*> connections;
  bool stopping = false;

 private:
  std::string id_prefix_;
  std::uint64_t ids_ = 0;
  std::string date_;
  std::int64_t date_second_ = -1;
};

// Serves the connection until either side closes it.
[[nodiscard]] asio::awaitable<void> serve(std::shared_ptr<ServerState> server, tcp::socket socket);

}  // namespace scheduler::api
