// application/system_service.hpp — is it well, and what is it doing.
#pragma once

#include "application/ports/store.hpp"
#include "core/async.hpp"

#include <optional>
#include <string>
#include <vector>

namespace scheduler::application {

struct HealthCheck {
  std::string name;  // "store", "message_queue", "workers", …
  bool ok = true;
  std::string message;  // what was seen; when not ok, what to do about it
  Micros took{0};
  std::optional<Circuit::Report> circuit = {};  // of what is a server of its own
};
struct Health {
  bool ready = true;  // every check that readiness needs is ok
  std::vector<HealthCheck> checks;
};

struct SystemStats {
  StoreStats store;
  std::int64_t workers_alive = 0;
  int slots = 0, slots_busy = 0;
  std::size_t status_queue_depth = 0;
};

class SystemService {
 public:
  virtual ~SystemService() = default;
  virtual asio::awaitable<Health> health() = 0;
  virtual Async<SystemStats> stats() = 0;
  [[nodiscard]] virtual std::string store_description() const = 0;
};

}  // namespace scheduler::application
