// api/http_message.hpp — a request and a reply as the routes see them: no sockets, no parser.
#pragma once

#include "core/async.hpp"
#include "domain/access.hpp"

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace scheduler::api {

// Everything is as the client sent it, so nothing here is trusted. The texts live as long as the request is answered.
struct Request {
  std::string_view method;  // "GET"; HEAD arrives as GET
  std::string_view path;    // still percent-encoded, without the query
  std::string_view query;   // still percent-encoded, without '?'
  std::string_view body;
  bool http_1_0 = false;

  // The headers that anybody here reads; nothing: not sent.
  std::optional<std::string_view> host, origin, content_type, if_match, if_none_match, idempotency_key, last_event_id;
  std::optional<std::string_view> authorization, api_key, user_agent, forwarded_for;
  bool credentials_twice = false;  // more than one header that says who asks

  std::string id;                              // X-Request-Id
  std::vector<std::string> parameters;         // values of the {…} of the route, decoded, in order
  std::string client;                          // the address that asks, behind the proxies that we trust
  std::optional<domain::Principal> principal;  // who asks; nothing: anybody, on a route that anybody may use
};

// Where a reply without an end in sight goes.
class ReplyStream {
 public:
  virtual ~ReplyStream() = default;
  // Sends `text` now. False: nobody listens any more, or the server stops; write no more.
  virtual asio::awaitable<bool> write(std::string text) = 0;
  // What write() would say, as far as it is known without writing.
  [[nodiscard]] virtual bool is_open() const = 0;
};

struct Reply {
  int status = 200;
  std::string body;
  std::string_view content_type = "application/json";
  std::vector<std::pair<std::string_view, std::string>> headers;  // beside those that every reply has
  // Set: sends the body piece by piece, and `body` is empty. Not a capturing coroutine: a function that makes one.
  std::function<asio::awaitable<void>(ReplyStream&)> stream;
};

}  // namespace scheduler::api
