// api/http_server.hpp — the REST API over HTTP/1.1. The contract is docs/openapi.yaml.
//
// Until accounts exist it listens on loopback only, and answers only requests that name a loopback host and come from
// no other web page (Host and Origin are checked), so that a browser cannot be talked into using it.
#pragma once

#include <memory>

#include "application/ports/metrics.hpp"
#include "application/run_service.hpp"
#include "application/system_service.hpp"
#include "application/task_control_service.hpp"
#include "application/task_service.hpp"
#include "application/worker_service.hpp"
#include "config/app_config.hpp"
#include "core/async.hpp"
#include "core/clock.hpp"

namespace scheduler::api {

struct ApiServices {
  application::TaskService& tasks;
  application::TaskControlService& control;
  application::RunService& runs;
  application::WorkerService& workers;
  application::SystemService& system;
  application::Metrics& metrics;
  const Clock& clock;
};

class HttpServer {
 public:
  // `config` is copied; services and loop outlive the server.
  HttpServer(asio::io_context& io, config::AppConfig config, ApiServices services);
  ~HttpServer();

  // Binds and starts to accept. Config for an address that is not loopback; Unavailable when it cannot be bound: the
  // message names address and cause. Returns the port.
  SchedulerResult<unsigned short> start();

  // Takes no new connections, ends idle ones and streams, and lets requests in progress finish, at most `grace`.
  asio::awaitable<void> stop(Millis grace);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace scheduler::api
