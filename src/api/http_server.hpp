// api/http_server.hpp — the REST API over HTTP/1.1. The contract is docs/openapi.yaml.
//
// There is no open mode: all but a few routes (health, metrics, the contract, logging in) need credentials, and a
// request that comes from another web page (Origin) is refused whatever it brings.
#pragma once

#include "application/api_key_service.hpp"
#include "application/auth_service.hpp"
#include "application/ports/metrics.hpp"
#include "application/run_service.hpp"
#include "application/system_service.hpp"
#include "application/task_control_service.hpp"
#include "application/task_service.hpp"
#include "application/user_service.hpp"
#include "application/worker_service.hpp"
#include "config/app_config.hpp"
#include "core/async.hpp"
#include "core/clock.hpp"

#include <memory>

namespace scheduler::api {

struct ApiAccounts {
  application::AuthService& auth;
  application::UserService& users;
  application::ApiKeyService& keys;
};

struct ApiServices {
  application::TaskService& tasks;
  application::TaskControlService& control;
  application::RunService& runs;
  application::WorkerService& workers;
  application::SystemService& system;
  application::Metrics& metrics;
  const Clock& clock;
  ApiAccounts accounts;
};

// What a client may take of the server. Not settings: tests make them small.
struct HttpLimits {
  std::size_t connections_max = 1024;       // beyond: 503 and closed
  std::size_t header_bytes_max = 16 << 10;  // beyond: 431
  std::size_t body_bytes_max = 2 << 20;     // beyond: 413
  std::size_t drain_bytes_max = 16 << 20;   // read and thrown away after a refusal, so that the client sees the answer
  Millis idle_max{30'000};                  // between two requests of a connection
  Millis request_max{10'000};               // from the first byte of a request to its last; beyond: 408
  Millis write_max{30'000};                 // for the client to take one piece of the reply
  Millis heartbeat{15'000};                 // a stream without news says that it is alive
};

class HttpServer {
 public:
  // `config` is copied; services and loop outlive the server.
  HttpServer(asio::io_context& io, const config::AppConfig& config, ApiServices services, HttpLimits limits = {});
  ~HttpServer();

  // Binds and starts to accept. Config for an address that is none; Unavailable when it cannot be bound: the
  // message names address and cause. Returns the port.
  SchedulerResult<unsigned short> start();

  // Not ready from here on, but answers everything: runs are watched and cancelled while the worker drains.
  void announce_stop();
  // Takes no new connections, ends idle ones and streams, and lets requests in progress finish, at most `grace`.
  asio::awaitable<void> stop(Millis grace);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace scheduler::api
