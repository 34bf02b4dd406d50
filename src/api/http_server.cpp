#include "api/http_server.hpp"

#include "api/http_session.hpp"
#include "api/query.hpp"
#include "core/log.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/io_context.hpp>
#include <fmt/format.h>

#include <algorithm>

namespace scheduler::api {
namespace {

using ErrorCode = boost::system::error_code;
constexpr auto kAsTuple = asio::as_tuple(asio::deferred);

// Connections beyond the limit that may wait for their 503; still more are closed without a word.
constexpr std::size_t kTurnedAwayMax = 64;

asio::awaitable<void> accept_loop(asio::io_context& io, std::shared_ptr<ServerState> server) {
  constexpr Millis kPause{100};
  asio::steady_timer pause(io);
  while (!server->stopping) {
    auto [ec, socket] = co_await server->acceptor.async_accept(kAsTuple);
    if (server->stopping) co_return;
    if (ec) {
      // Out of descriptors, most likely: they come back when connections end, and trying at once would only spin.
      log::warning("cannot accept a connection", {{"error", ec.message()}});
      pause.expires_after(kPause);
      co_await pause.async_wait(kAsTuple);
      continue;
    }
    if (server->connections.size() >= server->context.limits.connections_max + kTurnedAwayMax) continue;
    socket.set_option(tcp::no_delay(true), ec);
    spawn(io, "http connection", serve(server, std::move(socket)));
  }
}

// Ends the waits whose deadline has passed: at most a quarter of the shortest limit late.
asio::awaitable<void> sweep_loop(std::shared_ptr<ServerState> server) {
  const auto& limits = server->context.limits;
  const auto shortest = std::min({limits.idle_max, limits.request_max, limits.write_max, Millis{2000}});
  while (!server->stopping) {
    server->sweep.expires_after(std::max(shortest / 4, Millis{1}));
    co_await server->sweep.async_wait(kAsTuple);
    const auto now = std::chrono::steady_clock::now();
    for (auto* connection : server->connections) connection->expire(now);
  }
}

SchedulerResult<tcp::endpoint> endpoint_of(const std::string& bind_address) {
  const auto refuse = [&](std::string_view why) {
    return fail(ErrorKind::Config,
                fmt::format("api.bind_address '{}' {}; for example 127.0.0.1:8080 or [::1]:8080", bind_address, why));
  };
  const auto colon = bind_address.rfind(':');
  if (colon == std::string::npos) return refuse("has no port");
  const auto port = parse_integer(std::string_view(bind_address).substr(colon + 1), 0, 65535);
  if (!port) return refuse("has no port between 0 and 65535");
  auto host = bind_address.substr(0, colon);
  if (host == "localhost") host = "127.0.0.1";
  if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
  ErrorCode ec;
  const auto address = asio::ip::make_address(host, ec);
  if (ec) return refuse("names no host");
  return tcp::endpoint(address, static_cast<unsigned short>(*port));
}

ErrorCode listen_on(tcp::acceptor& acceptor, const tcp::endpoint& endpoint) {
  ErrorCode ec;
  acceptor.open(endpoint.protocol(), ec);
  if (!ec) acceptor.set_option(tcp::acceptor::reuse_address(true), ec);
  if (!ec) acceptor.bind(endpoint, ec);
  if (!ec) acceptor.listen(tcp::acceptor::max_listen_connections, ec);
  return ec;
}

}  // namespace

class HttpServer::Impl {
 public:
  Impl(asio::io_context& io, Context context)
      : io_(io), state_(std::make_shared<ServerState>(io, std::move(context))) {}
  ~Impl() {
    refuse_new();
    abort_all();
  }
  Impl(const Impl&) = delete;
  Impl& operator=(const Impl&) = delete;

  SchedulerResult<unsigned short> start();
  void announce_stop() { state_->context.leaving = true; }
  asio::awaitable<void> stop(Millis grace);

 private:
  void refuse_new();
  void abort_all() {
    for (auto* connection : state_->connections) connection->abort();
  }
  [[nodiscard]] bool is_busy() const {
    return std::ranges::any_of(state_->connections, [](const Connection* it) { return it->is_busy(); });
  }

  asio::io_context& io_;
  std::shared_ptr<ServerState> state_;
};

SchedulerResult<unsigned short> HttpServer::Impl::start() {
  const auto& address = state_->context.config.api.bind_address;
  TRY(const auto endpoint, endpoint_of(address));
  TRY(state_->context.proxies, TrustedProxies::parse(state_->context.config.api.trusted_proxies));
  if (const auto ec = listen_on(state_->acceptor, endpoint)) {
    ErrorCode ignored;
    state_->acceptor.close(ignored);
    return fail(ErrorKind::Unavailable,
                fmt::format("cannot listen on {}: {}; another program may use the port: choose another one with "
                            "api.bind_address",
                            address, ec.message()));
  }
  state_->context.started_at = state_->context.services.clock.now();
  spawn(io_, "http accept", accept_loop(io_, state_));
  spawn(io_, "http sweep", sweep_loop(state_));
  return state_->acceptor.local_endpoint().port();
}

void HttpServer::Impl::refuse_new() {
  if (state_->stopping) return;
  state_->stopping = true;
  ErrorCode ignored;
  state_->acceptor.close(ignored);
  state_->sweep.cancel();
  for (auto* connection : state_->connections) connection->stop();
}

asio::awaitable<void> HttpServer::Impl::stop(Millis grace) {
  constexpr Millis kLook{10};
  refuse_new();
  const auto end = std::chrono::steady_clock::now() + grace;
  asio::steady_timer look(io_);
  while (is_busy() && std::chrono::steady_clock::now() < end) {
    look.expires_after(kLook);
    co_await look.async_wait(kAsTuple);
  }
  abort_all();
}

HttpServer::HttpServer(asio::io_context& io, const config::AppConfig& config, ApiServices services, HttpLimits limits)
    : impl_(
          std::make_unique<Impl>(io, Context{.services = services,
                                             .config = config,
                                             .limits = limits,
                                             .rates = std::make_shared<RateLimits>(config.api.requests_per_second)})) {}

HttpServer::~HttpServer() = default;

SchedulerResult<unsigned short> HttpServer::start() { return impl_->start(); }

void HttpServer::announce_stop() { impl_->announce_stop(); }
asio::awaitable<void> HttpServer::stop(Millis grace) { return impl_->stop(grace); }

}  // namespace scheduler::api
