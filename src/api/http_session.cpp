#include "api/http_session.hpp"

#include "api/answer.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <fmt/chrono.h>
#include <fmt/format.h>

#include <algorithm>
#include <random>

namespace scheduler::api {
namespace {

namespace http = boost::beast::http;
using ErrorCode = boost::system::error_code;
using Message = http::request<http::string_body>;
constexpr auto kAsTuple = asio::as_tuple(asio::deferred);

std::optional<std::string_view> header(const Message& message, http::field name) {
  const auto found = message.find(name);
  if (found == message.end()) return std::nullopt;
  return std::string_view(found->value().data(), found->value().size());
}

std::optional<std::string_view> header(const Message& message, std::string_view name) {
  const auto found = message.find(boost::beast::string_view(name.data(), name.size()));
  if (found == message.end()) return std::nullopt;
  return std::string_view(found->value().data(), found->value().size());
}

// What a client may choose as the id of its request: it comes back in headers and logs.
bool is_sane_id(std::string_view id) {
  const auto is_word = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '-' || c == '_' ||
           c == '.' || c == ':';
  };
  return !id.empty() && id.size() <= 128 && std::ranges::all_of(id, is_word);
}

// A target is a path, or for clients that take us for a proxy a whole URL (RFC 9112, 3.2.2).
void set_target(Request& request, std::string_view target) {
  constexpr std::string_view kScheme = "http://";
  if (target.starts_with(kScheme)) {
    target.remove_prefix(kScheme.size());
    const auto slash = target.find('/');
    request.host = target.substr(0, slash);
    target = slash == std::string_view::npos ? "/" : target.substr(slash);
  }
  const auto mark = target.find('?');
  request.path = target.substr(0, mark);
  request.query = mark == std::string_view::npos ? "" : target.substr(mark + 1);
}

Request request_of(const Message& message, ServerState& server) {
  Request request;
  const auto method = message.method_string();
  request.method = {method.data(), method.size()};
  if (message.method() == http::verb::head) request.method = "GET";
  request.http_1_0 = message.version() == 10;
  request.body = message.body();
  if (message.count(http::field::host) == 1) request.host = header(message, http::field::host);
  set_target(request, {message.target().data(), message.target().size()});
  request.origin = header(message, http::field::origin);
  request.content_type = header(message, http::field::content_type);
  request.if_match = header(message, http::field::if_match);
  request.if_none_match = header(message, http::field::if_none_match);
  request.idempotency_key = header(message, "Idempotency-Key");
  request.last_event_id = header(message, "Last-Event-ID");
  request.authorization = header(message, http::field::authorization);
  request.api_key = header(message, "X-API-Key");
  request.credentials_twice = message.count(http::field::authorization) + message.count("X-API-Key") > 1;
  request.user_agent = header(message, http::field::user_agent);
  request.forwarded_for = header(message, "X-Forwarded-For");
  if (message.count("X-Forwarded-For") > 1) request.forwarded_for.reset();  // whose is the last one? nobody can tell
  const auto id = header(message, "X-Request-Id");
  request.id = id && is_sane_id(*id) ? std::string(*id) : server.next_request_id();
  return request;
}

Problem problem_of_read(const ErrorCode& ec, bool expired, const HttpLimits& limits) {
  if (expired)
    return {408, code_of(ErrorKind::Timeout),
            fmt::format("the request did not arrive within {} ms", limits.request_max.count())};
  if (ec == http::error::body_limit)
    return {413, code_of(ErrorKind::PayloadTooLarge),
            fmt::format("the body is larger than the {} bytes that are accepted", limits.body_bytes_max)};
  if (ec == http::error::header_limit)
    return {431, code_of(ErrorKind::Validation),
            fmt::format("request line and headers are larger than the {} bytes that are accepted",
                        limits.header_bytes_max)};
  return {400, code_of(ErrorKind::Validation), fmt::format("this is no valid HTTP/1.1 request: {}", ec.message())};
}

// True where an answer makes sense: the client is still there and spoke HTTP, more or less.
bool deserves_reply(const ErrorCode& ec, bool expired) {
  if (expired) return true;
  return ec.category() == make_error_code(http::error::bad_method).category() && ec != http::error::end_of_stream &&
         ec != http::error::partial_message;
}

bool has_body(int status) { return status != 204 && status != 304; }

class Session final : public Connection, public ReplyStream {
 public:
  Session(std::shared_ptr<ServerState> server, tcp::socket socket)
      : server_(std::move(server)), socket_(std::move(socket)), buffer_(kBufferBytesMax) {
    server_->connections.insert(this);
  }
  ~Session() override { server_->connections.erase(this); }
  Session(const Session&) = delete;
  Session& operator=(const Session&) = delete;

  asio::awaitable<void> run();
  asio::awaitable<void> turn_away();

  [[nodiscard]] bool is_busy() const override { return phase_ == Phase::reading || phase_ == Phase::answering; }
  void expire(SteadyTime now) override;
  void stop() override;
  void abort() override;

  asio::awaitable<bool> write(std::string text) override;
  [[nodiscard]] bool is_open() const override { return open_ && !server_->stopping; }

 private:
  static constexpr std::size_t kBufferBytesMax = 128 << 10;
  enum class Phase { idle, reading, answering, leaving };
  enum class After { next, close, drop };  // another request | say goodbye | the client is gone

  void wait_at_most(Millis max) { deadline_ = std::chrono::steady_clock::now() + max; }
  void wait_freely() { deadline_ = SteadyTime::max(); }

  asio::awaitable<bool> await_first_byte();
  asio::awaitable<After> exchange();
  asio::awaitable<After> send(const Reply& reply, const Message& message, std::string_view request_id, bool keep);
  asio::awaitable<void> send_stream(const Reply& reply);
  asio::awaitable<bool> send_bytes(std::string_view first, std::string_view second);
  asio::awaitable<void> say_goodbye();
  std::string head_of(const Reply& reply, std::string_view request_id, unsigned version, bool keep);

  std::shared_ptr<ServerState> server_;
  tcp::socket socket_;
  boost::beast::flat_buffer buffer_;
  Phase phase_ = Phase::idle;
  SteadyTime deadline_ = SteadyTime::max();
  bool expired_ = false;
  bool open_ = true;      // nothing went wrong while writing
  bool chunked_ = false;  // how the present stream is framed
};

void Session::expire(SteadyTime now) {
  if (now < deadline_) return;
  wait_freely();
  expired_ = true;
  ErrorCode ignored;
  socket_.cancel(ignored);
}

void Session::stop() {
  ErrorCode ignored;
  if (phase_ == Phase::idle) socket_.cancel(ignored);
}

void Session::abort() {
  ErrorCode ignored;
  socket_.close(ignored);
}

asio::awaitable<void> Session::run() {
  auto after = After::next;
  while (after == After::next && !server_->stopping) {
    phase_ = Phase::idle;
    const bool begun = buffer_.size() > 0 || co_await await_first_byte();
    if (!begun) co_return;
    after = co_await exchange();
  }
  if (after != After::drop) co_await say_goodbye();
}

asio::awaitable<void> Session::turn_away() {
  phase_ = Phase::leaving;
  const Request nothing{.id = server_->next_request_id()};
  const auto reply = refuse(
      server_->context, nothing,
      {503, code_of(ErrorKind::Unavailable),
       fmt::format("all {} connections are in use; try again in a moment", server_->context.limits.connections_max)});
  co_await send(reply, Message{}, nothing.id, false);
  co_await say_goodbye();
}

asio::awaitable<bool> Session::await_first_byte() {
  constexpr std::size_t kReadBytes = 4096;
  wait_at_most(server_->context.limits.idle_max);
  auto [ec, n] = co_await socket_.async_read_some(buffer_.prepare(kReadBytes), kAsTuple);
  buffer_.commit(n);
  co_return !ec;
}

asio::awaitable<Session::After> Session::exchange() {
  const auto& limits = server_->context.limits;
  phase_ = Phase::reading;
  expired_ = false;
  wait_at_most(limits.request_max);
  http::request_parser<http::string_body> parser;
  parser.header_limit(static_cast<std::uint32_t>(limits.header_bytes_max));
  parser.body_limit(limits.body_bytes_max);

  auto [ec, n] = co_await http::async_read_header(socket_, buffer_, parser, kAsTuple);
  if (!ec && !parser.is_done()) {
    const auto expect = header(parser.get(), http::field::expect);
    if (expect && boost::beast::iequals(*expect, "100-continue"))
      co_await asio::async_write(socket_, asio::buffer(std::string_view("HTTP/1.1 100 Continue\r\n\r\n")), kAsTuple);
    auto [body_ec, m] = co_await http::async_read(socket_, buffer_, parser, kAsTuple);
    ec = body_ec;
  }

  const auto& message = parser.get();
  auto request = request_of(message, *server_);
  ErrorCode gone;
  if (const auto peer = socket_.remote_endpoint(gone); !gone)
    request.client = server_->context.proxies.client_of(peer.address(), request.forwarded_for);
  phase_ = Phase::answering;
  wait_freely();
  if (ec) {
    if (!deserves_reply(ec, expired_)) co_return After::drop;
    const auto reply = refuse(server_->context, request, problem_of_read(ec, expired_, limits));
    expired_ = false;
    co_await send(reply, message, request.id, false);
    co_return After::close;
  }
  const auto reply = co_await answer(server_->context, request);
  co_return co_await send(reply, message, request.id, message.keep_alive() && !server_->stopping);
}

asio::awaitable<Session::After> Session::send(const Reply& reply, const Message& message, std::string_view request_id,
                                              bool keep) {
  const auto version = message.version();
  chunked_ = version >= 11;
  keep = keep && (!reply.stream || chunked_);
  const auto head = head_of(reply, request_id, version, keep);
  const bool bodyless = message.method() == http::verb::head || !has_body(reply.status);
  open_ = co_await send_bytes(head, bodyless ? std::string_view() : reply.body);
  if (open_ && reply.stream && !bodyless) co_await send_stream(reply);
  if (!open_) co_return After::drop;
  co_return keep ? After::next : After::close;
}

asio::awaitable<void> Session::send_stream(const Reply& reply) {
  wait_freely();
  co_await reply.stream(*this);
  if (open_ && chunked_) open_ = co_await send_bytes("0\r\n\r\n", {});
}

asio::awaitable<bool> Session::write(std::string text) {
  if (!is_open()) co_return false;
  if (text.empty()) co_return true;
  const auto framed = chunked_ ? fmt::format("{:x}\r\n{}\r\n", text.size(), text) : std::move(text);
  open_ = co_await send_bytes(framed, {});
  co_return is_open();
}

// In pieces, each with its own deadline: a slow reader of a large reply is no dead one.
asio::awaitable<bool> Session::send_bytes(std::string_view first, std::string_view second) {
  constexpr std::size_t kPieceBytes = 256 << 10;
  while (!first.empty() || !second.empty()) {
    const auto piece = second.substr(0, kPieceBytes);
    wait_at_most(server_->context.limits.write_max);
    const std::array buffers{asio::buffer(first), asio::buffer(piece)};
    auto [ec, n] = co_await asio::async_write(socket_, buffers, kAsTuple);
    wait_freely();
    if (ec) co_return false;
    first = {};
    second.remove_prefix(piece.size());
  }
  co_return true;
}

// Closing while the client still sends would make its kernel throw away our last reply (RFC 9112, 9.6): end our side
// first, and listen for a bounded while.
asio::awaitable<void> Session::say_goodbye() {
  constexpr Millis kPatience{2000};
  phase_ = Phase::leaving;
  ErrorCode ec;
  socket_.shutdown(tcp::socket::shutdown_send, ec);
  wait_at_most(kPatience);
  buffer_.clear();
  for (std::size_t drained = 0; !ec && drained < server_->context.limits.drain_bytes_max;) {
    auto [read_ec, n] = co_await socket_.async_read_some(buffer_.prepare(64 << 10), kAsTuple);
    ec = read_ec;
    drained += n;
  }
}

std::string Session::head_of(const Reply& reply, std::string_view request_id, unsigned version, bool keep) {
  std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\n"
      "Date: {}\r\n"
      "X-Request-Id: {}\r\n"
      "Cache-Control: no-store\r\n"
      "X-Content-Type-Options: nosniff\r\n"
      "X-Frame-Options: DENY\r\n"
      "Content-Security-Policy: default-src 'none'; frame-ancestors 'none'\r\n"
      "Referrer-Policy: no-referrer\r\n"
      "Cross-Origin-Resource-Policy: same-origin\r\n",
      reply.status, reason_phrase(reply.status), server_->http_date(), request_id);
  auto out = std::back_inserter(head);
  if (has_body(reply.status)) {
    fmt::format_to(out, "Content-Type: {}\r\n", reply.content_type);
    if (!reply.stream)
      fmt::format_to(out, "Content-Length: {}\r\n", reply.body.size());
    else if (version >= 11)
      fmt::format_to(out, "Transfer-Encoding: chunked\r\n");
  }
  for (const auto& [name, value] : reply.headers) fmt::format_to(out, "{}: {}\r\n", name, value);
  if (!keep)
    head += "Connection: close\r\n";
  else if (version < 11)
    head += "Connection: keep-alive\r\n";
  return head += "\r\n";
}

}  // namespace

ServerState::ServerState(asio::io_context& io, Context context_)
    : context(std::move(context_)),
      acceptor(io),
      sweep(io),
      id_prefix_(fmt::format("{:08x}", std::random_device{}())) {}

std::string ServerState::next_request_id() { return fmt::format("{}-{}", id_prefix_, ++ids_); }

std::string_view ServerState::http_date() {
  const auto now = std::chrono::floor<Seconds>(context.services.clock.now());
  if (const auto second = now.time_since_epoch().count(); second != date_second_) {
    date_second_ = second;
    date_ = fmt::format("{:%a, %d %b %Y %H:%M:%S} GMT", fmt::gmtime(static_cast<std::time_t>(second)));
  }
  return date_;
}

asio::awaitable<void> serve(std::shared_ptr<ServerState> server, tcp::socket socket) {
  const bool full = server->connections.size() >= server->context.limits.connections_max;
  const auto session = std::make_unique<Session>(std::move(server), std::move(socket));
  if (full)
    co_await session->turn_away();
  else
    co_await session->run();
}

}  // namespace scheduler::api
